/** `millrace tail`: records as NDJSON, from any position, following or up to the end. */
import { Option, type Command } from 'commander'
import type { Batch } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { contentOf, LINE_FORM, parsedLine, textLine, textOrBase64 } from '../record-text.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { START_AT_FORMS, parseStartAt } from '../start-at.js'

interface TailOptions extends CommonOptions {
  readonly from?: string
  readonly shard?: string
  readonly withChildren?: true
  readonly untilEnd?: true
  readonly limit?: number
  readonly parse?: true
  readonly dataOnly?: true
  readonly visibility: 'durable' | 'published'
}

const EXAMPLES = `
${LINE_FORM}

Examples:
  $ millrace tail clicks                                  # what comes from now on
  $ millrace tail clicks --from 5m --until-end            # the last five minutes
  $ millrace tail clicks --from trim-horizon --limit 10 --parse
  $ millrace tail clicks --from after:49590338271490256608559692538361571095921575989136588898
  $ millrace tail clicks --until-end --data-only > copy.ndjson`

/** Adds the command to the program. */
export function registerTail(program: Command, register: Register): void {
  const command = program
    .command('tail')
    .description('print records as NDJSON')
    .argument('<stream>', 'name of the stream')
  commonOptions(command)
    .option('-f, --from <position>', `${START_AT_FORMS} (default: LATEST; TRIM_HORIZON with --until-end)`)
    .option('--shard <shard>', 'only this shard, such as shardId-000000000000')
    .option('--with-children', 'with --shard: go on into what it is split and merged into, each behind its parents')
    .option('-e, --until-end', 'stop at the end instead of waiting for more')
    .option('-n, --limit <n>', 'stop after so many records', positiveInteger)
    .option('-p, --parse', 'print data that is JSON as JSON, not as text')
    .option('--data-only', 'print only the data, a line each')
    .addOption(
      new Option('--visibility <when>', 'records once they are on disk, or already when they are published')
        .choices(['durable', 'published'])
        .default('durable'),
    )
    .addHelpText('after', EXAMPLES)
  register(command, tail)
}

async function tail(session: Session, options: TailOptions, name: string): CommandResult {
  const from = parseStartAt(options.from ?? (options.untilEnd === true ? 'TRIM_HORIZON' : 'LATEST'), Date.now())
  const print = options.dataOnly === true ? dataLine : options.parse === true ? parsedLine : textLine
  const limit = options.limit ?? Number.POSITIVE_INFINITY
  const { out, signal } = session
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const reader = stream.read({
      from,
      signal,
      follow: options.untilEnd !== true,
      visibility: options.visibility,
      withChildren: options.withChildren === true,
      ...(options.shard === undefined ? {} : { shard: options.shard }),
    })
    let printed = 0
    for await (const batch of reader) {
      for (let i = 0; i < batch.length && printed < limit; i += 1) {
        printed += 1
        if (out.line(print(batch, i))) await out.flush()
      }
      // Whoever follows the tail wants to see what there is, not what fills a buffer.
      if (batch.millisBehindLatest === 0) await out.flush()
      if (printed >= limit) break
    }
  })
}

function dataLine(batch: Batch, index: number): string {
  return textOrBase64(contentOf(batch, index)).data
}
