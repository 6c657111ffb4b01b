/**
 * What a client of the tests did, and over which protocols: the form of the reports in `reports/`, each written by a run of
 * its client.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support.js'

/** What the last line of a story's output tells. */
export interface Told {
  /** Release of the client. */
  readonly version: string
  /** Operations that were answered as the story expects. */
  readonly operations: readonly string[]
  /** Errors that came as the client's own classes; for the command line, by name. */
  readonly errors: readonly string[]
  /** Operations that the client has no way to call, with the reason. */
  readonly cannot: Readonly<Record<string, string>>
}

/** What a client did in all its runs. */
export interface Report {
  readonly client: string
  readonly version: string
  /** For each operation, the protocols over which the server answered it, as its log says: `CBOR, HTTP/2, TLS`. */
  readonly operations: Readonly<Record<string, readonly string[]>>
  readonly errors: readonly string[]
  readonly cannot: Readonly<Record<string, string>>
}

/** A line of the server's log about an answer. */
export interface Answered {
  readonly operation: string
  readonly status: number
  /** `JSON` or `CBOR`. */
  readonly format: string
  /** `HTTP/1.1` or `HTTP/2.0`. */
  readonly http: string
}

/** One run of a client: what it told, what the server logged, and whether they spoke over TLS. */
export interface Run {
  readonly told: Told
  readonly answered: readonly Answered[]
  readonly tls: boolean
}

/** The folder of the reports. */
export const REPORTS = join(root, 'test', 'clients', 'reports')

/** How a test of a client ended against a server. */
export interface Outcome {
  readonly seconds: number
  /** The first line of what went wrong, where something did. */
  readonly failure?: string
}

/** A test of a client against several servers. */
export interface Compared {
  readonly client: string
  readonly does: string
  /** By server, where the test was run against it. */
  readonly servers: Readonly<Record<string, Outcome>>
}

/** The file with what was compared. */
export const COMPARED = join(root, 'test', 'clients', 'compared.json')

/** What was compared last. */
export function loadCompared(): Compared[] {
  return JSON.parse(readFileSync(COMPARED, 'utf8')) as Compared[]
}

/** The reports that are checked in, by the name of their client. */
export function loadReports(): Report[] {
  const names = readdirSync(REPORTS).filter((name) => name.endsWith('.json'))
  const reports = names.map((name) => JSON.parse(readFileSync(join(REPORTS, name), 'utf8')) as Report)
  return reports.toSorted((one, other) => one.client.localeCompare(other.client))
}

/** What a client did in these runs, in an order that does not depend on the runs. */
export function reportOf(client: string, runs: readonly Run[]): Report {
  const operations = new Set(runs.flatMap(({ told }) => told.operations))
  return {
    client,
    version: runs[0]?.told.version ?? '',
    operations: Object.fromEntries([...operations].toSorted().map((name) => [name, protocolsOf(name, runs)])),
    errors: [...new Set(runs.flatMap(({ told }) => told.errors))].toSorted(),
    cannot: runs[0]?.told.cannot ?? {},
  }
}

/** The protocols of all runs over which an operation was answered. */
function protocolsOf(operation: string, runs: readonly Run[]): string[] {
  const protocols = runs.flatMap(({ answered, tls }) =>
    answered
      .filter((line) => line.operation === operation && line.status === 200)
      .map(({ format, http }) => `${format}, ${http.replace('.0', '')}${tls ? ', TLS' : ''}`),
  )
  return [...new Set(protocols)].toSorted()
}

/** The text of a report's file. */
export function textOf(report: Report): string {
  return `${JSON.stringify(report, undefined, 2)}\n`
}
