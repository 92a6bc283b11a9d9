// What Kafka's own Java client makes of some keys: murmur2, and the partition among so many.
// Run as:  java -cp "$KAFKA_HOME/libs/*" docs/clients/Murmur2Vectors.java > docs/clients/murmur2.json

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Utils;

class Murmur2Vectors {
    static final int[] PARTITIONS = {1, 2, 3, 4, 6, 8, 12, 16, 100};

    public static void main(String[] args) {
        List<String> keys = new ArrayList<>(List.of("u-81723", "21", "foobar", "a-little-bit-long-string", "Zo\u00eb"));
        for (int length = 1; length <= 9; length++) keys.add("abcdefghi".substring(0, length));
        keys.add("0");
        keys.add("1234567890123456789");
        keys.add("550e8400-e29b-41d4-a716-446655440000");
        keys.add("ann@shop.example");
        keys.add("a b\tc");
        keys.add("\u7528\u6237-42");
        keys.add("\ud83d\ude00");
        keys.add("x".repeat(256));
        List<String> lines = new ArrayList<>();
        for (String key : keys) {
            byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
            List<String> numbers = new ArrayList<>();
            for (int partitions : PARTITIONS)
                numbers.add("\"" + partitions + "\": " + BuiltInPartitioner.partitionForKey(bytes, partitions));
            lines.add("    {\"key\": " + quoted(key) + ", \"murmur2\": " + Utils.murmur2(bytes)
                + ", \"partition\": {" + String.join(", ", numbers) + "}}");
        }
        String made = "java -cp \"$KAFKA_HOME/libs/*\" docs/clients/Murmur2Vectors.java > docs/clients/murmur2.json";
        new PrintStream(System.out, true, StandardCharsets.UTF_8).print(
            "{\n  \"made_with\": " + quoted(made) + ",\n  \"kafka_clients\": " + quoted(AppInfoParser.getVersion())
            + ",\n  \"vectors\": [\n" + String.join(",\n", lines) + "\n  ]\n}\n");
    }

    static String quoted(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\t", "\\t") + "\"";
    }
}
