// Sends events, one JSON object a line on stdin, with Kafka's own client: its default partitioner is murmur2.
// Run as:  java -cp "$KAFKA_HOME/libs/*" docs/clients/JavaClient.java localhost:9092 views < events.jsonl

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

class JavaClient {
    public static void main(String[] args) throws Exception {
        String servers = args[0], topic = args[1];
        Map<String, Object> settings = Map.of("bootstrap.servers", servers, "acks", "all", "enable.idempotence", true);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String line; (line = lines.readLine()) != null;) {
                if (line.isBlank()) continue;
                JsonNode event = new ObjectMapper().readTree(line);
                var record = new ProducerRecord<>(topic, event.get("user_id").asText(), line);
                var headers = Map.of("ce_specversion", "1.0", "ce_id", event.get("event_id").asText(),
                    "ce_source", "/shop/web", "ce_type", "com.example.shop.event");
                headers.forEach((name, text) -> record.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
                sent.add(producer.send(record));
            }
            for (var each : sent) each.get(); // throws what went wrong
        }
    }
}
