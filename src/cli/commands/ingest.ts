/** `millrace ingest`: a file or standard input becomes records. */
import { Option, type Command } from 'commander'
import type { Stream } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { CommandFailure, UsageError } from '../exit.js'
import { bytes, duration, plural, rate } from '../format.js'
import { Feeder } from '../input/feeder.js'
import { FORMATS, formatOfName, records, type Format, type KeyFrom, type RecordOptions } from '../input/records.js'
import { openSource, type Source } from '../input/source.js'
import { Progress } from '../progress.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface IngestOptions extends CommonOptions {
  readonly format?: Format
  readonly key?: string
  readonly keyLine?: true
  readonly columns?: string
  readonly batch: number
  readonly skipBad?: true
  readonly create?: true
  readonly shards: number
}

const BATCH_DEFAULT = 5000

const EXAMPLES = `
NDJSON lines are stored as they are; CSV rows become JSON objects, their fields text. Without --key, a record's
partition key is a hash of its line. Input in gzip is unpacked.

Examples:
  $ millrace ingest clicks clicks.ndjson --key user.id
  $ millrace ingest flights flights.csv.gz --key origin --create --shards 4
  $ journalctl -o json -f | millrace ingest journal - --format ndjson --key _SYSTEMD_UNIT --skip-bad
  $ millrace ingest words /usr/share/dict/words --key-line`

/** Adds the command to the program. */
export function registerIngest(program: Command, register: Register): void {
  const command = program
    .command('ingest')
    .description('append a file, or standard input, a record a line')
    .argument('<stream>', 'name of the stream')
    .argument('[file]', 'the file, or - for standard input', '-')
  commonOptions(command)
    .addOption(
      new Option('-f, --format <format>', "form of the input (default: by the file's name, otherwise lines)").choices(
        FORMATS,
      ),
    )
    .option('-k, --key <field>', 'field of NDJSON or CSV that is the partition key; a.b goes into objects')
    .addOption(new Option('--key-line', 'the line itself is the partition key').conflicts('key'))
    .option('--columns <names>', 'names of the CSV columns, when the file has no header row: a,b,c')
    .option('-b, --batch <n>', 'records between two flushes', positiveInteger, BATCH_DEFAULT)
    .option('--skip-bad', 'skip lines that cannot become records, and count them')
    .option('--create', 'create the stream when it does not exist')
    .option('-s, --shards <n>', 'shards of a stream that --create makes', positiveInteger, 1)
    .addHelpText('after', EXAMPLES)
  register(command, ingest)
}

async function ingest(session: Session, options: IngestOptions, name: string, file: string): CommandResult {
  const recordOptions = recordOptionsOf(options, file)
  await session.withStore(options.create === true ? 'create' : 'existing', async (store) => {
    const exists = store.listStreams().some((summary) => summary.name === name)
    if (!exists && options.create === true) await store.createStream(name, { shards: options.shards })
    const stream = await openBytes(store, name)
    const source = await openSource(file, session.signal)
    await feed(session, options, stream, source, recordOptions)
  })
}

async function feed(
  session: Session,
  options: IngestOptions,
  stream: Stream,
  source: Source,
  recordOptions: RecordOptions,
): Promise<void> {
  const progress = new Progress({ label: 'ingest', total: source.totalBytes, counts: 'records', quiet: session.quiet })
  const feeder = new Feeder(stream, { batch: options.batch, skipBad: options.skipBad === true })
  let failure: unknown
  try {
    for await (const group of records(source.chunks, recordOptions)) {
      await feeder.feed(group, session.signal)
      progress.update(source.bytesRead(), feeder.acknowledged)
      if (session.signal.aborted) break
    }
  } catch (error) {
    failure = error
  }
  // What was read before a fault or a signal is kept, so that the count that is reported holds.
  await feeder.finish()
  progress.stop()
  report(session, stream, feeder, progress.elapsed)
  if (failure !== undefined) throw explained(failure, source.name, feeder.acknowledged)
}

function report(session: Session, stream: Stream, feeder: Feeder, elapsed: number): void {
  const { acknowledged, acknowledgedBytes, skipped, firstProblem } = feeder
  if (session.json) {
    const seconds = Number((elapsed / 1000).toFixed(3))
    session.out.json({ stream: stream.name, records: acknowledged, bytes: acknowledgedBytes, skipped, seconds })
  } else {
    const amount = `${plural(acknowledged, 'record')} (${bytes(acknowledgedBytes)})`
    session.out.line(`ingested ${amount} into '${stream.name}' in ${duration(elapsed)}, ${rate(acknowledged, elapsed)}`)
  }
  if (firstProblem !== undefined) session.note(`skipped ${plural(skipped, 'bad line')}; the first: ${firstProblem}`)
}

function recordOptionsOf(options: IngestOptions, file: string): RecordOptions {
  const guess = options.key === undefined ? 'lines' : 'ndjson'
  const format = options.format ?? formatOfName(file) ?? guess
  if (format === 'lines' && options.key !== undefined) {
    throw new UsageError('expected --format ndjson or csv with --key, because raw lines have no fields')
  }
  if (format !== 'csv' && options.columns !== undefined) throw new UsageError('expected --columns with CSV only')
  const key: KeyFrom = options.key !== undefined ? { field: options.key } : options.keyLine === true ? 'line' : 'hash'
  return { format, key, columns: options.columns?.split(',') }
}

function explained(error: unknown, source: string, kept: number): unknown {
  if (!(error instanceof CommandFailure)) return error
  const message = `${source}, ${error.message}; ${plural(kept, 'record')} before it ${kept === 1 ? 'is' : 'are'} kept`
  return new CommandFailure(error.code, message, { cause: error })
}
