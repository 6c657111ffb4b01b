/**
 * CSV rows as the text of JSON objects.
 *
 * The parser is fed and emptied chunk by chunk instead of iterated: a step of an async iterator, and the position
 * that the parser can report with each row, would each cost more than the row itself.
 */
import { parse, type Parser } from 'csv-parse'
import { CommandFailure } from '../exit.js'

/** A row, or why there is none. */
export type CsvRow =
  | {
      /** The row as an object, its values text. */
      readonly json: string
      /** The text in a column, if there is such a column. */
      readonly value: (column: string) => string | undefined
      readonly where: string
    }
  | { readonly problem: string; readonly where: string }

/** The rows of `chunks`, in groups. Without `columns` the first row names them. */
export async function* csvRows(
  chunks: AsyncIterable<Buffer>,
  columns: readonly string[] | undefined,
): AsyncGenerator<CsvRow[]> {
  const skipped: CsvRow[] = []
  const parser = parse({
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error !== undefined) skipped.push({ problem: error.message, where: 'CSV' })
      return undefined
    },
  })
  // An error is thrown by the iteration below; a listener must stand before that.
  parser.on('error', () => {})
  const rows = new Rows(columns)
  for await (const chunk of chunks) {
    parser.write(chunk)
    const group = rows.take(parser)
    yield [...skipped.splice(0), ...group]
  }
  parser.end()
  yield [...(await lastRows(parser, rows)), ...skipped]
}

/** What the parser could tell only at the end of the input. */
async function lastRows(parser: Parser, rows: Rows): Promise<CsvRow[]> {
  const group: CsvRow[] = []
  try {
    for await (const row of parser as AsyncIterable<readonly string[]>) group.push(...rows.convert(row))
  } catch (error) {
    throw new CommandFailure('ERR_CSV', (error as Error).message, { cause: error })
  }
  return group
}

/** Names the columns and counts the rows. */
class Rows {
  #columns: readonly string[] | undefined
  #indexes = new Map<string, number>()
  #prefixes: readonly string[] = []
  #count = 0

  constructor(columns: readonly string[] | undefined) {
    if (columns !== undefined) this.#name(columns)
  }

  /** All rows that the parser has ready. */
  take(parser: Parser): CsvRow[] {
    const group: CsvRow[] = []
    for (let row = next(parser); row !== undefined; row = next(parser)) group.push(...this.convert(row))
    return group
  }

  /** One row; nothing, when it names the columns. */
  convert(values: readonly string[]): CsvRow[] {
    if (this.#columns !== undefined) return [this.#row(values)]
    this.#name(values)
    return []
  }

  #name(columns: readonly string[]): void {
    this.#columns = columns
    this.#indexes = new Map(columns.map((column, index) => [column, index]))
    this.#prefixes = columns.map((column, index) => `${index === 0 ? '{' : ','}${JSON.stringify(column)}:`)
  }

  #row(values: readonly string[]): CsvRow {
    this.#count += 1
    const where = `row ${this.#count}`
    const expected = this.#prefixes.length
    if (values.length !== expected) return { problem: `expected ${expected} fields, got ${values.length}`, where }
    let json = ''
    for (let i = 0; i < expected; i += 1) json += (this.#prefixes[i] as string) + JSON.stringify(values[i])
    const value = (column: string): string | undefined => values[this.#indexes.get(column) ?? -1]
    return { json: `${json}}`, value, where }
  }
}

function next(parser: Parser): readonly string[] | undefined {
  return (parser.read() as readonly string[] | null) ?? undefined
}
