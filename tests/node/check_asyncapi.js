// Reads an AsyncAPI document with AsyncAPI's own parser: prints what it says, ends with 1 where that is an error or a warning.

const fs = require('fs')
const { Parser } = require('@asyncapi/parser')

const SEVERITIES = ['error', 'warning', 'information', 'hint']

async function main(path) {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(path, 'utf8'), { source: path })
  for (const each of diagnostics)
    console.log(`${SEVERITIES[each.severity]} at ${each.path.join('.')}: ${each.message}`)
  if (document === undefined || diagnostics.some((each) => each.severity <= 1)) process.exit(1)
  const channels = document.channels().all()
  const messages = channels.map((channel) => channel.messages().all().length).reduce((a, b) => a + b, 0)
  console.log(`AsyncAPI ${document.version()}: ${channels.length} channels, ${messages} messages`)
}

main(process.argv[2])
