/**
 * The demo's input: the three million flights of the package `vega-datasets`, or made-up ones when it is absent.
 *
 * The flights come in the order of their departure, as an airport's event stream would.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Hyparquet from 'hyparquet'
import type * as Compressors from 'hyparquet-compressors'
import { syntheticFlights } from './synthetic.js'

/** Flights in the file. */
export const FLIGHTS = 3_000_000
/** What has to be installed for the real flights. */
const PACKAGES = ['vega-datasets', 'hyparquet', 'hyparquet-compressors'] as const
/** Rows decoded at a time: memory stays bounded, and a decoding pause short. */
const ROWS_PER_GROUP = 50_000

/** One departure. */
export interface Flight {
  /** Its place in the input, from 0: makes each event different. */
  readonly row: number
  readonly date: string
  readonly origin: string
  readonly destination: string
  /** Minutes. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
}

/** Flights, and where they come from. */
export interface FlightSource {
  readonly description: string
  readonly real: boolean
  /** At most `limit` flights, in groups. */
  readonly groups: (limit: number) => AsyncIterable<readonly Flight[]>
}

type Reader = typeof Hyparquet
type Codecs = (typeof Compressors)['compressors']

/** The real flights if their packages are installed, otherwise made-up ones with the remedy in the description. */
export async function openFlights(): Promise<FlightSource> {
  const resolved = PACKAGES.map(resolvePackage)
  const [dataset, reader, compressors] = resolved
  if (dataset === undefined || reader === undefined || compressors === undefined) {
    const missing = PACKAGES.filter((_, index) => resolved[index] === undefined)
    return {
      real: false,
      description: `made-up flights, because ${missing.join(', ')} cannot be found (for real ones: npm install ${PACKAGES.join(' ')})`,
      groups: syntheticFlights,
    }
  }
  const parquet = (await import(pathToFileURL(reader).href)) as Reader
  const { compressors: codecs } = (await import(pathToFileURL(compressors).href)) as typeof Compressors
  const path = join(dirname(dataset), '..', 'data', 'flights-3m.parquet')
  return {
    real: true,
    description: 'flights in the United States, 2001 (vega-datasets, flights-3m.parquet)',
    groups: (limit) => parquetFlights(parquet, codecs, path, limit),
  }
}

/** The entry file of a package, seen from this program or from where it was started. */
function resolvePackage(name: string): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(from).resolve(name)
    } catch {
      // Not there: the next place, or no such package.
    }
  }
  return undefined
}

async function* parquetFlights(
  parquet: Reader,
  compressors: Codecs,
  path: string,
  limit: number,
): AsyncGenerator<Flight[]> {
  const file = await parquet.asyncBufferFromFile(path)
  const metadata = await parquet.parquetMetadataAsync(file)
  let rowStart = 0
  for (const { num_rows: rows } of metadata.row_groups) {
    const rowEnd = Math.min(rowStart + Number(rows), limit)
    if (rowStart >= rowEnd) return
    const columns = await readColumns(parquet, { file, metadata, compressors, rowStart, rowEnd })
    for (let first = 0; first < rowEnd - rowStart; first += ROWS_PER_GROUP) {
      const length = Math.min(ROWS_PER_GROUP, rowEnd - rowStart - first)
      const base = rowStart
      yield Array.from({ length }, (_, i) => flightAt(columns, first + i, base + first + i))
    }
    rowStart = rowEnd
  }
}

type ReadOptions = Parameters<Reader['parquetRead']>[0]

/** The columns of a row group by name. */
class Columns {
  readonly #values = new Map<string, unknown[]>()

  append(name: string, values: Iterable<unknown>): void {
    const column = this.#values.get(name) ?? []
    for (const value of values) column.push(value)
    this.#values.set(name, column)
  }

  get(name: string, index: number): unknown {
    return this.#values.get(name)?.[index]
  }
}

/** A row group, column by column: a third of the time that rows take. */
async function readColumns(parquet: Reader, options: ReadOptions): Promise<Columns> {
  const columns = new Columns()
  await parquet.parquetRead({
    ...options,
    onChunk: ({ columnName, columnData }) => columns.append(columnName, columnData),
  })
  return columns
}

function flightAt(columns: Columns, index: number, row: number): Flight {
  return {
    row,
    date: (columns.get('date', index) as Date).toISOString(),
    origin: String(columns.get('origin', index)),
    destination: String(columns.get('destination', index)),
    delay: Number(columns.get('delay', index)),
    distance: Number(columns.get('distance', index)),
  }
}
