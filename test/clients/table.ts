/** The part of `docs/compatibility.md` that the reports of the clients render to. */
import type { Compared, Outcome, Report } from './report.js'

/** The page with its tables of clients written anew. */
export function renderInto(page: string, reports: readonly Report[], compared: readonly Compared[]): string {
  const withClients = between(page, 'clients', `${clients(reports)}\n\n${operations(reports)}`)
  return between(withClients, 'compared', servers(compared))
}

/** The page with something else between two comments. */
function between(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [before, rest] = page.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`expected ${begin} and ${end} in the page`)
  return `${before}${begin}\n\n${text}\n\n${end}${after}`
}

/** Each test of a client, and how it ended against each server. */
function servers(compared: readonly Compared[]): string {
  const names = [...new Set(compared.flatMap(({ servers }) => Object.keys(servers)))].toSorted().toReversed()
  const rows = compared.map(({ client, does, servers }) => [client, does, ...names.map((name) => ended(servers[name]))])
  return table(['client', 'test', ...names], rows)
}

function ended(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'not run'
  const { seconds, failure } = outcome
  return failure === undefined ? `yes, ${seconds} s` : `**no**, ${seconds} s: ${failure.replaceAll('|', '\\|')}`
}

/** Each client with its release and the errors that it had classes for. */
function clients(reports: readonly Report[]): string {
  const rows = reports.map(({ client, version, errors }) => [client, version, errors.join(', ')])
  return table(['client', 'release', 'errors that came as the client knows them'], rows)
}

/** Each operation that any client exercised, and how each client spoke. */
function operations(reports: readonly Report[]): string {
  const names = new Set(reports.flatMap((report) => [...Object.keys(report.operations), ...Object.keys(report.cannot)]))
  const rows = [...names].toSorted().map((name) => [`\`${name}\``, ...reports.map((report) => cell(report, name))])
  return table(['operation', ...reports.map(({ client }) => client)], rows)
}

/** How a client's calls of an operation came: `CBOR 1.1 + TLS`, or `JSON 1.1, JSON 2 TLS`. */
function cell({ operations, cannot }: Report, operation: string): string {
  if (cannot[operation] !== undefined) return 'cannot call it'
  const protocols = operations[operation] ?? []
  const shown = protocols.flatMap((protocol) => {
    const [format = '', http = '', tls] = protocol.split(', ')
    const short = `${format} ${http.replace('HTTP/', '')}`
    if (tls === undefined) return protocols.includes(`${protocol}, TLS`) ? `${short} + TLS` : short
    return protocols.includes(`${format}, ${http}`) ? [] : `${short} TLS`
  })
  return shown.join(', ') || '–'
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, headings.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
