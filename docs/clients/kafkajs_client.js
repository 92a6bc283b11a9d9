// Sends events, one JSON object a line on stdin, with kafkajs 2: its default partitioner is murmur2, as Java's is.
// Partitioners.LegacyPartitioner, the default of kafkajs 1, puts keys elsewhere.
// Run as:  npm install kafkajs && node docs/clients/kafkajs_client.js localhost:9092 views < events.jsonl

const fs = require('fs')
const { Kafka, Partitioners, logLevel } = require('kafkajs')

async function main(servers, topic) {
  const kafka = new Kafka({ brokers: servers.split(','), logLevel: logLevel.ERROR })
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    allowAutoTopicCreation: false,
  })
  const lines = fs.readFileSync(0, 'utf8').split('\n').filter((line) => line.trim())
  const messages = lines.map((line) => {
    const event = JSON.parse(line)
    const attributes = { ce_id: event.event_id, ce_source: '/shop/web', ce_type: 'com.example.shop.event' }
    return { key: event.user_id, value: line, headers: { ce_specversion: '1.0', ...attributes } }
  })
  await producer.connect()
  await producer.send({ topic, messages, acks: -1 }) // rejects with what went wrong
  await producer.disconnect()
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error.message)
  process.exit(1)
})
