/** The text forms of an export: NDJSON and CSV. Parquet stands in `parquet.ts`. */
import type { Batch } from '../../index.js'
import { contentOf, parsedLine, textLine, textOrBase64 } from '../record-text.js'
import { isJsonObject, parsedJson, PLACE_COLUMNS, type Column } from './columns.js'
import type { Selected } from './selection.js'
import type { Sink } from './sink.js'

/** Writes selected records in one form. */
export interface RecordWriter {
  /** Takes records. */
  write(selected: Selected): Promise<void>
  /** Writes what comes after the last record. */
  end(): Promise<void>
}

/** What the JSON in a stream makes of a table. */
export interface Table {
  readonly columns: readonly Column[]
  /** Whether there is data that is no object, and needs a column of its own. */
  readonly others: boolean
}

/** A record a line. */
export function ndjsonWriter(sink: Sink, parse: boolean): RecordWriter {
  const line = parse ? parsedLine : textLine
  return {
    write: ({ batch, count }) => sink.write(joinLines(batch, count, line)),
    end: async () => {},
  }
}

/** A row a record, quoted as RFC 4180 has it, under a header; with a `table` its columns instead of the data. */
export async function csvWriter(sink: Sink, table: Table | undefined): Promise<RecordWriter> {
  const ofData = table === undefined || table.others ? ['data', 'encoding'] : []
  const fields = table?.columns ?? []
  await sink.write(`${[...PLACE_COLUMNS, ...fields.map(({ name }) => name), ...ofData].map(cell).join(',')}\n`)
  const row = (batch: Batch, index: number): string => {
    const content = contentOf(batch, index)
    const value = table === undefined ? undefined : parsedJson(content)
    const cells = fields.map(({ field }) => textOf(isJsonObject(value) ? value[field] : undefined))
    if (ofData.length > 0) {
      const { data, encoding = '' } = isJsonObject(value) ? { data: '' } : textOrBase64(content)
      cells.push(data, encoding)
    }
    return [...place(batch, index), ...cells].map(cell).join(',')
  }
  return { write: ({ batch, count }) => sink.write(joinLines(batch, count, row)), end: async () => {} }
}

function place(batch: Batch, index: number): string[] {
  const arrival = new Date(batch.arrivalTime(index)).toISOString()
  return [batch.shardId(index), batch.sequenceNumber(index), batch.partitionKey(index), arrival]
}

function joinLines(batch: Batch, count: number, line: (batch: Batch, index: number) => string): string {
  let text = ''
  for (let index = 0; index < count; index += 1) text += `${line(batch, index)}\n`
  return text
}

/** A value of JSON in a cell: text as it is, nothing for null, all else as JSON. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function cell(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
