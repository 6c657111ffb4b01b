/** `millrace ingest`: a file or standard input becomes records. */
import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import type { Stream } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { CommandFailure, UsageError } from '../exit.js'
import { bytes, duration, plural, rate } from '../format.js'
import { follow } from '../follow/follow.js'
import { BadRecords } from '../input/bad-records.js'
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
  readonly follow?: true
  readonly fromStart?: true
  readonly places?: string
}

const BATCH_DEFAULT = 5000

const EXAMPLES = `
NDJSON lines are stored as they are; CSV rows become JSON objects, their fields text. Without --key, a record's
partition key is a hash of its line. Input in gzip is unpacked. What the limits of a stream refuse is put again.

With --follow the file is a log that grows: it is read over renames, truncations (copytruncate) and restarts. How far
it is in the stream stands in DATA.places.json (--places); after a kill, lines that are in the stream already are found
there and not put again. Without a place a file is begun at its end, or with --from-start at its start. A last line
waits for its line feed.

Examples:
  $ millrace ingest clicks clicks.ndjson --key user.id
  $ millrace ingest flights flights.csv.gz --key origin --create --shards 4
  $ journalctl -o json -f | millrace ingest journal - --format ndjson --key _SYSTEMD_UNIT --skip-bad
  $ millrace ingest words /usr/share/dict/words --key-line
  $ millrace ingest access /var/log/nginx/access.log --follow --from-start --create`

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
    .option('-F, --follow', 'go on with what the file grows by, over rotations and restarts, until interrupted')
    .option('--from-start', 'with --follow: begin a file that has no place yet at its start, not at its end')
    .option(
      '--places <file>',
      'with --follow: where the places are kept (default: the name of the store and .places.json)',
    )
    .addHelpText('after', EXAMPLES)
  register(command, ingest)
}

async function ingest(session: Session, options: IngestOptions, name: string, file: string): CommandResult {
  const recordOptions = recordOptionsOf(options, file)
  await session.withStore(options.create === true ? 'create' : 'existing', async (store) => {
    const exists = store.listStreams().some((summary) => summary.name === name)
    if (!exists && options.create === true) await store.createStream(name, { shards: options.shards })
    const stream = await openBytes(store, name)
    if (options.follow === true) await followFile(session, options, stream, file, recordOptions)
    else await feed(session, options, stream, await openSource(file, session.signal), recordOptions)
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
  const bad = new BadRecords(options.skipBad === true)
  const feeder = new Feeder(stream, { batch: options.batch, bad })
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
  report(session, stream, { ...counts(feeder), bad, elapsed: progress.elapsed })
  if (failure !== undefined) throw explained(failure, source.name, feeder.acknowledged)
}

async function followFile(
  session: Session,
  options: IngestOptions,
  stream: Stream,
  file: string,
  recordOptions: RecordOptions,
): Promise<void> {
  const path = resolve(file)
  const bad = new BadRecords(options.skipBad === true)
  const progress = new Progress({ label: 'follow', total: undefined, counts: 'records', quiet: session.quiet })
  const places = options.places ?? `${resolve(session.directory)}.places.json`
  const begin = options.fromStart === true ? 'start' : 'end'
  const { signal } = session
  const note = (text: string): void => session.note(`millrace: ${text}`)
  const following = follow(stream, path, { places, begin, recordOptions, bad, signal, note, progress })
  const followed = await following.finally(() => progress.stop())
  const { recalled, failure } = followed
  report(session, stream, { ...counts(followed), bad, elapsed: progress.elapsed, recalled })
  if (failure !== undefined) throw explained(failure.error, failure.source, followed.acknowledged)
}

interface Report {
  readonly acknowledged: number
  readonly acknowledgedBytes: number
  readonly bad: BadRecords
  readonly elapsed: number
  /** Lines that an earlier run had put, with --follow. */
  readonly recalled?: number
}

function counts({ acknowledged, acknowledgedBytes }: Pick<Feeder, 'acknowledged' | 'acknowledgedBytes'>) {
  return { acknowledged, acknowledgedBytes }
}

function report(session: Session, stream: Stream, result: Report): void {
  const { acknowledged, acknowledgedBytes, bad, elapsed, recalled } = result
  if (session.json) {
    const seconds = Number((elapsed / 1000).toFixed(3))
    const found = recalled === undefined ? {} : { recalled }
    session.out.json({
      stream: stream.name,
      records: acknowledged,
      bytes: acknowledgedBytes,
      skipped: bad.count,
      ...found,
      seconds,
    })
  } else {
    const amount = `${plural(acknowledged, 'record')} (${bytes(acknowledgedBytes)})`
    session.out.line(`ingested ${amount} into '${stream.name}' in ${duration(elapsed)}, ${rate(acknowledged, elapsed)}`)
  }
  if (recalled !== undefined && recalled > 0) {
    session.note(
      `${plural(recalled, 'line')} of an earlier run ${recalled === 1 ? 'was' : 'were'} in the stream already`,
    )
  }
  if (bad.first !== undefined) session.note(`skipped ${plural(bad.count, 'bad line')}; the first: ${bad.first}`)
}

function recordOptionsOf(options: IngestOptions, file: string): RecordOptions {
  const guess = options.key === undefined ? 'lines' : 'ndjson'
  const format = options.format ?? formatOfName(file) ?? guess
  if (format === 'lines' && options.key !== undefined) {
    throw new UsageError('expected --format ndjson or csv with --key, because raw lines have no fields')
  }
  if (options.follow === true) checkFollow(format, file)
  else if (options.fromStart === true || options.places !== undefined) {
    throw new UsageError('expected --from-start and --places with --follow only')
  }
  if (format !== 'csv' && options.columns !== undefined) throw new UsageError('expected --columns with CSV only')
  const key: KeyFrom = options.key !== undefined ? { field: options.key } : options.keyLine === true ? 'line' : 'hash'
  return { format, key, columns: options.columns?.split(',') }
}

function checkFollow(format: Format, file: string): void {
  if (file === '-') throw new UsageError('expected a file with --follow; standard input is read to its end anyway')
  if (format === 'csv')
    throw new UsageError('expected lines or ndjson with --follow, because a row of CSV may span lines')
}

function explained(error: unknown, source: string, kept: number): unknown {
  if (!(error instanceof CommandFailure)) return error
  const message = `${source}, ${error.message}; ${plural(kept, 'record')} before it ${kept === 1 ? 'is' : 'are'} kept`
  return new CommandFailure(error.code, message, { cause: error })
}
