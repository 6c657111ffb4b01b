/**
 * From input to records: NDJSON, CSV or raw lines, each with its partition key.
 *
 * Bad input is a {@link BadRecord} in the place of a record, so that the caller decides whether it stops.
 */
import { createHash } from 'node:crypto'
import { csvRows, type CsvRow } from './csv.js'
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
  /** Where in the input it stood, such as `line 7`. */
  readonly where: string
}

/** A line that is no record. */
export interface BadRecord {
  readonly problem: string
  readonly where: string
}

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
  options: RecordOptions,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  for await (const group of lines(chunks)) yield group.map((line) => lineRecord(line, options))
}

/** The record in one line of NDJSON or of raw text. */
export function lineRecord(line: Line, { format, key }: RecordOptions): InputRecord | BadRecord {
  return format === 'ndjson' ? ndjsonRecord(line, key) : rawRecord(line, key)
}

function rawRecord(line: Line, key: KeyFrom): InputRecord {
  return { key: keyOfLine(line.bytes, key), data: line.bytes, where: `line ${line.number}` }
}

function ndjsonRecord(line: Line, key: KeyFrom): InputRecord | BadRecord {
  let value: unknown
  try {
    value = JSON.parse(line.bytes.toString('utf8'))
  } catch (error) {
    return {
      problem: `expected a JSON value, got ${excerpt(line.bytes)}: ${(error as Error).message}`,
      where: `line ${line.number}`,
    }
  }
  if (typeof key === 'string') return rawRecord(line, key)
  return keyed(fieldOf(value, key.field), key.field, line.bytes, `line ${line.number}`)
}

async function* csvRecords(
  chunks: AsyncIterable<Buffer>,
  { key, columns }: RecordOptions,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  for await (const rows of csvRows(chunks, columns)) yield rows.map((row) => csvRecord(row, key))
}

function csvRecord(row: CsvRow, key: KeyFrom): InputRecord | BadRecord {
  if ('problem' in row) return row
  const data = Buffer.from(row.json)
  if (typeof key === 'string') return { key: keyOfLine(data, key), data, where: row.where }
  return keyed(row.value(key.field), key.field, data, row.where)
}

function keyed(found: unknown, field: string, data: Uint8Array, where: string): InputRecord | BadRecord {
  if (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean') {
    return { key: String(found), data, where }
  }
  const came = found === undefined ? 'no such field' : found === null ? 'null' : typeof found
  return { problem: `expected text or a number in the field '${field}' for the partition key, got ${came}`, where }
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
