/** The part of `docs/compatibility.md` that the reports of the clients render to. */
import type { Report } from './report.js'

const BEGIN = '<!-- clients -->'
const END = '<!-- /clients -->'

/** The page with its tables of clients written anew. */
export function renderInto(page: string, reports: readonly Report[]): string {
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error(`expected ${BEGIN} and ${END} in the page`)
  return `${before}${BEGIN}\n\n${clients(reports)}\n\n${operations(reports)}\n\n${END}${after}`
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
