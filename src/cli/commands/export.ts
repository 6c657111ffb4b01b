/** `millrace export`: records into a file of NDJSON, CSV or Parquet. */
import { Option, type Command } from 'commander'
import type { Stream } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { UsageError } from '../exit.js'
import { ColumnFinder, parsedJson } from '../export/columns.js'
import { parquetWriter } from '../export/parquet.js'
import { selected, type Selected, type Selection } from '../export/selection.js'
import { OutputFile, StandardOutput, type Sink } from '../export/sink.js'
import { csvWriter, ndjsonWriter, type RecordWriter, type Table } from '../export/writers.js'
import { bytes, duration, plural, rate } from '../format.js'
import { Progress } from '../progress.js'
import { contentOf, LINE_FORM } from '../record-text.js'
import {
  commonOptions,
  openBytes,
  stopIfAborted,
  type CommandResult,
  type CommonOptions,
  type Session,
} from '../session.js'
import { END_AT_FORMS, parseEndAt, parseStartAt, START_AT_FORMS } from '../start-at.js'

const FORMATS = ['ndjson', 'csv', 'parquet'] as const
type Format = (typeof FORMATS)[number]

interface ExportOptions extends CommonOptions {
  readonly format?: Format
  readonly out?: string
  readonly from: string
  readonly to?: string
  readonly shard?: string
  readonly limit?: number
  readonly parse?: true
}

const EXAMPLES = `
NDJSON is as tail prints it. ${LINE_FORM}
CSV and Parquet have columns of these names. With --parse, data that is JSON is JSON in NDJSON, and each field of its
objects is a column in CSV and Parquet; the stream is then read twice. Whole numbers from 2^53 on lose digits by it.
The file appears when it is complete, and replaces one that is there; .gz at the end of its name packs it.

Examples:
  $ millrace export clicks --out clicks.parquet --parse
  $ millrace export clicks --out clicks-1h.csv.gz --from 1h
  $ millrace export clicks --from 2026-11-01 --to 2026-12-01 | jq .data
  $ duckdb -c "select page, count(*) from 'clicks.parquet' group by page"`

/** Adds the command to the program. */
export function registerExport(program: Command, register: Register): void {
  const command = program
    .command('export')
    .description('write records to a file of NDJSON, CSV or Parquet')
    .argument('<stream>', 'name of the stream')
  commonOptions(command)
    .addOption(
      new Option('--format <format>', "form of the output (default: by the file's name, otherwise ndjson)").choices(
        FORMATS,
      ),
    )
    .option('-o, --out <file>', 'the file; without it records go to standard output')
    .option('-f, --from <position>', START_AT_FORMS, 'TRIM_HORIZON')
    .option('-t, --to <position>', `only what comes before: ${END_AT_FORMS}`)
    .option('--shard <shard>', 'only this shard, such as shardId-000000000000')
    .option('-n, --limit <n>', 'stop after so many records', positiveInteger)
    .option('-p, --parse', 'take data that is JSON apart')
    .addHelpText('after', EXAMPLES)
  register(command, exportStream)
}

async function exportStream(session: Session, options: ExportOptions, name: string): CommandResult {
  const { out, parse } = options
  const format = options.format ?? formatOfName(out) ?? 'ndjson'
  check(session, options, format)
  const now = Date.now()
  const selection: Selection = {
    from: parseStartAt(options.from, now),
    to: options.to === undefined ? undefined : parseEndAt(options.to, now),
    shard: options.shard,
    limit: options.limit ?? Number.POSITIVE_INFINITY,
  }
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const read = (label: string, take: Take): Promise<Totals> => readThrough(session, stream, selection, label, take)
    const table = parse === true && format !== 'ndjson' ? await findTable(read) : undefined
    const sink = out === undefined ? new StandardOutput(session.out) : await OutputFile.create(out)
    try {
      const writer = await writerOf(format, sink, parse === true, table)
      const totals = await read('export', (selection) => writer.write(selection))
      await writer.end()
      stopIfAborted(session.signal)
      await sink.commit()
      if (out !== undefined) report(session, { stream: name, out, format, ...totals })
    } finally {
      await sink.abandon()
    }
  })
}

type Take = (records: Selected) => Promise<void> | void

interface Totals {
  readonly records: number
  /** Bytes of data, keys not included. */
  readonly dataBytes: number
  readonly milliseconds: number
}

/** Hands over what was selected, and shows how far it is. */
async function readThrough(
  session: Session,
  stream: Stream,
  selection: Selection,
  label: string,
  take: Take,
): Promise<Totals> {
  const progress = new Progress({ label, total: stream.describe().bytes, counts: 'records', quiet: session.quiet })
  let records = 0
  let dataBytes = 0
  try {
    for await (const part of selected(stream, selection, session.signal)) {
      await take(part)
      records += part.count
      for (let index = 0; index < part.count; index += 1) dataBytes += part.batch.dataLength(index)
      progress.update(dataBytes, records)
    }
  } finally {
    progress.stop()
  }
  return { records, dataBytes, milliseconds: progress.elapsed }
}

/** The columns that the data makes, found by reading it. */
async function findTable(read: (label: string, take: Take) => Promise<Totals>): Promise<Table> {
  const finder = new ColumnFinder()
  await read('columns', ({ batch, count }) => {
    for (let index = 0; index < count; index += 1) finder.see(parsedJson(contentOf(batch, index)))
  })
  return { columns: finder.columns(), others: finder.othersSeen }
}

async function writerOf(format: Format, sink: Sink, parse: boolean, table: Table | undefined): Promise<RecordWriter> {
  if (format === 'ndjson') return ndjsonWriter(sink, parse)
  return format === 'csv' ? await csvWriter(sink, table) : await parquetWriter(sink, table)
}

function report(session: Session, result: Totals & { stream: string; out: string; format: Format }): void {
  const { stream, out, format, records, dataBytes, milliseconds } = result
  if (session.json) {
    const seconds = Number((milliseconds / 1000).toFixed(3))
    session.out.json({ stream, out, format, records, bytes: dataBytes, seconds })
    return
  }
  const amount = `${plural(records, 'record')} (${bytes(dataBytes)})`
  const pace = `${duration(milliseconds)}, ${rate(records, milliseconds)}`
  session.out.line(`exported ${amount} of '${stream}' to ${out} in ${pace}`)
}

/** What a file name says of its format; `undefined` when it says nothing. */
function formatOfName(path = ''): Format | undefined {
  const ending = /\.(ndjson|jsonl|csv|parquet)(?:\.gz)?$/.exec(path.toLowerCase())?.[1]
  return ending === 'jsonl' ? 'ndjson' : FORMATS.find((format) => format === ending)
}

function check(session: Session, { out }: ExportOptions, format: Format): void {
  if (out === undefined && session.json) {
    throw new UsageError('expected --out with --json, because without it records go to standard output')
  }
  if (format !== 'parquet') return
  if (out === undefined) throw new UsageError('expected --out with --format parquet, which is no text')
  if (out.endsWith('.gz')) throw new UsageError('expected a name without .gz for Parquet, which is packed inside')
}
