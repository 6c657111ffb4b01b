/** `millrace subscribe`: the events of a registered consumer, as NDJSON. */
import type { Command } from 'commander'
import type { SubscriptionEvent } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { LINE_FORM, parsedLine, textLine } from '../record-text.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { START_AT_FORMS, parseStartAt } from '../start-at.js'

interface SubscribeOptions extends CommonOptions {
  readonly from: string
  readonly shard?: string
  readonly limit?: number
  readonly parse?: true
  readonly register?: true
}

const EXAMPLES = `
Each line is an event: {"records", "continuationSequenceNumber", "millisBehindLatest"}. An event comes when there are
records, and at least every five seconds. --from after:CONTINUATION goes on behind it. The last event of a shard that was
split or merged has "childShards".
Records are as tail prints them. ${LINE_FORM}

Examples:
  $ millrace subscribe clicks billing --register
  $ millrace subscribe clicks billing --from trim-horizon --limit 1 --parse | jq '.records[].data'`

/** Adds the command to the program. */
export function registerSubscribe(program: Command, register: Register): void {
  const command = program
    .command('subscribe')
    .description('print the events of a registered consumer as NDJSON')
    .argument('<stream>', 'name of the stream')
    .argument('<consumer>', 'name of the consumer')
  commonOptions(command)
    .option('-f, --from <position>', START_AT_FORMS, 'LATEST')
    .option('--shard <shard>', 'only this shard, such as shardId-000000000000')
    .option('-n, --limit <n>', 'stop after so many events', positiveInteger)
    .option('-p, --parse', 'print data that is JSON as JSON, not as text')
    .option('--register', 'register the consumer when it is not')
    .addHelpText('after', EXAMPLES)
  register(command, subscribe)
}

async function subscribe(session: Session, options: SubscribeOptions, name: string, consumer: string): CommandResult {
  const from = parseStartAt(options.from, Date.now())
  const { out, signal } = session
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const isKnown = stream.consumers().some((known) => known.name === consumer)
    if (!isKnown && options.register === true) await stream.registerConsumer(consumer)
    const { shard } = options
    const events = stream.consumer(consumer).subscribe({ from, signal, ...(shard === undefined ? {} : { shard }) })
    let left = options.limit ?? Number.POSITIVE_INFINITY
    for await (const event of events) {
      out.line(eventLine(event, options.parse === true ? parsedLine : textLine))
      await out.flush()
      left -= 1
      if (left === 0) break
    }
  })
}

function eventLine(event: SubscriptionEvent, line: typeof textLine): string {
  const { records, continuationSequenceNumber, millisBehindLatest, childShards } = event
  const lines = Array.from({ length: records.length }, (_, index) => line(records, index))
  const rest = JSON.stringify({ continuationSequenceNumber, millisBehindLatest, childShards })
  return `{"records":[${lines.join(',')}],${rest.slice(1)}`
}
