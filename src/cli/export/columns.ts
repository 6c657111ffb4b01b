/**
 * Which columns the JSON in a stream makes, and of which types: what its objects hold at their top level.
 *
 * A field with values of several types is a column of JSON, so that nothing is lost by a type.
 */
import { CommandFailure } from '../exit.js'

/** More are no table: the fields are data then, such as names of users. */
const COLUMNS_MAX = 1000

/** The columns that each record has beside those of its data. */
export const PLACE_COLUMNS = ['shardId', 'sequenceNumber', 'partitionKey', 'approximateArrivalTimestamp'] as const

/** What a column holds. */
export type ColumnType = 'boolean' | 'integer' | 'number' | 'text' | 'json'

/** A column made of one field. */
export interface Column {
  /** The field's name, with `data_` before it where a record's own column has that name. */
  readonly name: string
  readonly field: string
  readonly type: ColumnType
}

const TAKEN: ReadonlySet<string> = new Set([...PLACE_COLUMNS, 'data', 'encoding'])

/** Looks at values one after the other. */
export class ColumnFinder {
  /** The type so far; `undefined` while only null was seen. */
  readonly #types = new Map<string, ColumnType | undefined>()
  /** Whether any value was no object. */
  othersSeen = false

  /** Takes the data of one record, parsed; `undefined` for what is no JSON. */
  see(value: unknown): void {
    if (!isJsonObject(value)) {
      this.othersSeen = true
      return
    }
    for (const [field, inside] of Object.entries(value)) this.#types.set(field, joined(this.#types.get(field), inside))
    if (this.#types.size > COLUMNS_MAX) {
      throw new CommandFailure(
        'ERR_TOO_MANY_COLUMNS',
        `expected at most ${COLUMNS_MAX} different fields in the data, got more; export without --parse`,
      )
    }
  }

  /** The columns, in the order in which their fields were first seen. */
  columns(): Column[] {
    const fields = [...this.#types.keys()]
    return fields.map((field) => {
      const name = TAKEN.has(field) ? `data_${field}` : field
      return {
        name: fields.includes(name) && name !== field ? `data_${name}` : name,
        field,
        type: this.#types.get(field) ?? 'json',
      }
    })
  }
}

/** Whether `value` is an object with fields. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The JSON in `data`; `undefined` when it is none. */
export function parsedJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString('utf8'))
  } catch {
    return undefined
  }
}

function joined(before: ColumnType | undefined, value: unknown): ColumnType | undefined {
  if (value === null) return before
  const type = typeOf(value)
  if (before === undefined || before === type) return type
  const numbers = (one: ColumnType): boolean => one === 'integer' || one === 'number'
  return numbers(before) && numbers(type) ? 'number' : 'json'
}

function typeOf(value: unknown): ColumnType {
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'string') return 'text'
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'integer' : 'number'
  return 'json'
}
