/**
 * From input to records: NDJSON, CSV or raw lines, each with its partition key.
 *
 * Bad input is a {@link BadRecord} in the place of a record, so that the caller decides whether it stops.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { lines, type Line } from './lines.js'

/** The forms of input that `ingest` reads. */
export const FORMATS = ['ndjson', 'csv', 'lines'] as const
/** One of {@link FORMATS}. */
export type Format = (typeof FORMATS)[number]

/** Where a record's partition key comes from. */
export type KeyFrom = { readonly field: string } | 'line' | 'hash'

/** How the input is to be read. */
export interface RecordOptions {
  readonly format: Format
  readonly key: KeyFrom
  /** Names of the CSV columns when the file has no header row. */
  readonly columns: readonly string[] | undefined
}

/** A record to be appended. */
export interface InputRecord {
  readonly key: string
  readonly data: Uint8Array
  /** Line of the input that it began or ended on, from 1. */
  readonly line: number
}

/** A line that is no record. */
export interface BadRecord {
  readonly problem: string
  readonly line: number
}

/** Rows are handed on in groups, because a step of an async iterator costs more than a row. */
const CSV_GROUP = 512
/** Hexadecimal digits of a line's hash that make its key: enough that only equal lines share one. */
const HASH_KEY_DIGITS = 32

/** What a file name says of its format; `undefined` when it says nothing. */
export function formatOfName(path: string): Format | undefined {
  const name = path.toLowerCase().replace(/\.gz$/, '')
  if (/\.(ndjson|jsonl|json)$/.test(name)) return 'ndjson'
  return name.endsWith('.csv') ? 'csv' : undefined
}

/** The records of `chunks`, in groups. */
export function records(
  chunks: AsyncIterable<Buffer>,
  options: RecordOptions,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  return options.format === 'csv' ? csvRecords(chunks, options) : lineRecords(chunks, options)
}

async function* lineRecords(
  chunks: AsyncIterable<Buffer>,
  { format, key }: RecordOptions,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  const convert = format === 'ndjson' ? ndjsonRecord : rawRecord
  for await (const group of lines(chunks)) yield group.map((line) => convert(line, key))
}

function rawRecord(line: Line, key: KeyFrom): InputRecord {
  return { key: keyOfLine(line.bytes, key), data: line.bytes, line: line.number }
}

function ndjsonRecord(line: Line, key: KeyFrom): InputRecord | BadRecord {
  let value: unknown
  try {
    value = JSON.parse(line.bytes.toString('utf8'))
  } catch (error) {
    return {
      problem: `expected a JSON value, got ${excerpt(line.bytes)}: ${(error as Error).message}`,
      line: line.number,
    }
  }
  if (typeof key === 'string') return rawRecord(line, key)
  return keyed(value, key.field, line.bytes, line.number)
}

async function* csvRecords(
  chunks: AsyncIterable<Buffer>,
  { key, columns }: RecordOptions,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  const skipped: BadRecord[] = []
  const parser = parse({
    bom: true,
    columns: columns === undefined ? true : [...columns],
    info: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error !== undefined) skipped.push({ problem: error.message, line: Number(error['lines'] ?? 0) })
      return undefined
    },
  })
  const input = Readable.from(chunks, { objectMode: false })
  input.on('error', (error) => parser.destroy(error))
  let group: (InputRecord | BadRecord)[] = []
  for await (const { record, info } of input.pipe(parser) as AsyncIterable<CsvRow>) {
    const data = Buffer.from(JSON.stringify(record))
    group.push(
      typeof key === 'string'
        ? { key: keyOfLine(data, key), data, line: info.lines }
        : keyed(record, key.field, data, info.lines),
    )
    if (group.length < CSV_GROUP) continue
    yield [...skipped.splice(0), ...group]
    group = []
  }
  yield [...skipped.splice(0), ...group]
}

interface CsvRow {
  readonly record: Readonly<Record<string, string>>
  readonly info: { readonly lines: number }
}

function keyed(value: unknown, field: string, data: Uint8Array, line: number): InputRecord | BadRecord {
  const found = fieldOf(value, field)
  if (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean') {
    return { key: String(found), data, line }
  }
  const came = found === undefined ? 'no such field' : found === null ? 'null' : typeof found
  return { problem: `expected text or a number in the field '${field}' for the partition key, got ${came}`, line }
}

/** The field of that very name, or the one that a dotted path leads to. */
function fieldOf(value: unknown, field: string): unknown {
  if (!isObject(value)) return undefined
  if (Object.hasOwn(value, field)) return value[field]
  const dot = field.indexOf('.')
  if (dot === -1 || !Object.hasOwn(value, field.slice(0, dot))) return undefined
  return fieldOf(value[field.slice(0, dot)], field.slice(dot + 1))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function keyOfLine(line: Uint8Array, key: KeyFrom): string {
  if (key === 'line') return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8')
  return createHash('sha256').update(line).digest('hex').slice(0, HASH_KEY_DIGITS)
}

function excerpt(bytes: Buffer): string {
  const text = bytes.subarray(0, 40).toString('utf8')
  return `'${text}${bytes.length > 40 ? '…' : ''}'`
}
