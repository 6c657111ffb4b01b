/**
 * Records as Parquet, a row group at a time, so that memory does not grow with the stream.
 *
 * Data is bytes, or with a table a typed column a field. `hyparquet-writer` encodes; it is loaded only here.
 */
import type { BasicType, ByteWriter, ColumnSource } from 'hyparquet-writer'
import type { Batch } from '../../index.js'
import { contentOf } from '../record-text.js'
import { isJsonObject, parsedJson, type ColumnType } from './columns.js'
import type { Sink } from './sink.js'
import type { RecordWriter, Table } from './writers.js'

/** Whichever comes first ends a row group. */
const GROUP_ROWS = 50_000
const GROUP_BYTES = 32 * 1024 * 1024

const TYPES: Readonly<Record<ColumnType, BasicType>> = {
  boolean: 'BOOLEAN',
  integer: 'INT64',
  number: 'DOUBLE',
  text: 'STRING',
  json: 'JSON',
}

/** Begins a file in `sink`. */
export async function parquetWriter(sink: Sink, table: Table | undefined): Promise<RecordWriter> {
  const parquet = await import('hyparquet-writer')
  const group = new RowGroup(table)
  const bytes = new parquet.ByteWriter()
  const schema = parquet.schemaFromColumnData({ columnData: group.take() })
  const file = new parquet.ParquetWriter({ writer: bytes, schema, createdBy: 'millrace' })
  const flush = async (): Promise<void> => {
    if (group.rows > 0) await file.write({ columnData: group.take(), rowGroupSize: GROUP_ROWS })
    await drain(bytes, sink)
  }
  return {
    write: async ({ batch, count }) => {
      for (let index = 0; index < count; index += 1) {
        group.add(batch, index)
        if (group.isFull) await flush()
      }
    },
    end: async () => {
      await flush()
      await file.finish()
      await drain(bytes, sink)
    },
  }
}

/** Hands over what is encoded; the buffer is used again, and offsets in the file go on. */
async function drain(bytes: ByteWriter, sink: Sink): Promise<void> {
  await sink.write(bytes.getBytes().slice())
  bytes.index = 0
}

/** The rows that are encoded together, as columns. */
class RowGroup {
  readonly #table: Table | undefined
  #columns: Map<string, unknown[]>
  #bytes = 0
  rows = 0

  constructor(table: Table | undefined) {
    this.#table = table
    this.#columns = new Map(this.#layout().map(({ name }) => [name, []]))
  }

  get isFull(): boolean {
    return this.rows >= GROUP_ROWS || this.#bytes >= GROUP_BYTES
  }

  add(batch: Batch, index: number): void {
    this.rows += 1
    this.#push('shardId', batch.shardId(index))
    this.#push('sequenceNumber', batch.sequenceNumber(index))
    this.#push('partitionKey', batch.partitionKey(index))
    this.#push('approximateArrivalTimestamp', new Date(batch.arrivalTime(index)))
    const content = contentOf(batch, index)
    this.#bytes += content.length
    const value = this.#table === undefined ? undefined : parsedJson(content)
    for (const { name, field, type } of this.#table?.columns ?? []) {
      this.#push(name, isJsonObject(value) ? encodable(value[field], type) : undefined)
    }
    // A view of the log would keep its segment mapped until the group is encoded.
    if (this.#columns.has('data')) this.#push('data', isJsonObject(value) ? undefined : Uint8Array.from(content))
  }

  /** The columns gathered so far; the next group begins. */
  take(): ColumnSource[] {
    const taken = this.#layout().map((column) => ({ ...column, data: this.#columns.get(column.name) ?? [] }))
    this.#columns = new Map(taken.map(({ name }) => [name, []]))
    this.#bytes = 0
    this.rows = 0
    return taken
  }

  #push(column: string, value: unknown): void {
    this.#columns.get(column)?.push(value)
  }

  #layout(): Omit<ColumnSource, 'data'>[] {
    const table = this.#table
    const fields = (table?.columns ?? []).map(({ name, type }) => ({ name, type: TYPES[type] }))
    const data = { name: 'data', type: 'BYTE_ARRAY', nullable: table !== undefined } as const
    return [
      { name: 'shardId', type: 'STRING', nullable: false },
      { name: 'sequenceNumber', type: 'STRING', nullable: false },
      { name: 'partitionKey', type: 'STRING', nullable: false },
      { name: 'approximateArrivalTimestamp', type: 'TIMESTAMP', nullable: false },
      ...fields,
      ...(table === undefined || table.others ? [data] : []),
    ]
  }
}

function encodable(value: unknown, type: ColumnType): unknown {
  if (value === undefined || value === null) return undefined
  return type === 'integer' ? BigInt(value as number) : value
}
