/**
 * From marks to the text of an SVG file, without a browser: Observable Plot draws into linkedom's document.
 *
 * A file brings its own paper, so that it reads on a light and on a dark page, and the same input gives the same bytes,
 * so that a test can tell whether a chart is what the results render to.
 */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** What differs from chart to chart. */
export interface Drawing {
  readonly title: string
  /** Pixels. */
  readonly height: number
  readonly plot: Plot.PlotOptions
  /** What the colours mean. */
  readonly legend?: Legend
}

/** Names and their colours. */
export interface Legend {
  readonly domain: string[]
  readonly range: string[]
}

const WIDTH = 960
const TITLE_HEIGHT = 44
const LEGEND_WIDTH = 90
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'

/** Colours that stand out from both papers. */
export const COLORS = { engine: '#2f81f7', limit: '#8b949e', kept: '#2da44e', missed: '#e5534b' } as const

const STYLE = `
  .chart { color: #1f2328; font-family: ${FONT}; }
  .paper { fill: #ffffff; stroke: #d0d7de; }
  @media (prefers-color-scheme: dark) {
    .chart { color: #e6edf3; }
    .paper { fill: #0d1117; stroke: #30363d; }
  }`

/** Draws one chart and returns the file's text. */
export function drawSvg({ title, height, plot, legend }: Drawing): string {
  const { document } = parseHTML('<html><body></body></html>')
  const chart = Plot.plot({
    width: WIDTH,
    height: height + TITLE_HEIGHT,
    marginTop: TITLE_HEIGHT,
    marginRight: 90,
    className: 'chart',
    style: { fontSize: '12px' },
    ...(legend && { color: legend }),
    ...plot,
    document,
  })
  chart.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  chart.setAttribute('role', 'img')
  const frame =
    `<title>${escaped(title)}</title>` +
    `<rect class="paper" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height + TITLE_HEIGHT - 1}" rx="6"/>` +
    `<text x="16" y="24" text-anchor="start" font-size="15" font-weight="600">${escaped(title)}</text>` +
    drawLegend(legend)
  const svg: string = chart.outerHTML
  return `${svg
    .replace(/<style>[^]*?<\/style>/, `<style>${STYLE}\n</style>${frame}`)
    .replaceAll(/\d+\.\d{4,}/g, (digits) => String(Number(Number(digits).toFixed(2))))
    .replaceAll('><', '>\n<')}\n`
}

function drawLegend(legend: Legend | undefined): string {
  const names = legend?.domain ?? []
  return names
    .map((name, i) => {
      const x = WIDTH - LEGEND_WIDTH * (names.length - i)
      const square = `<rect x="${x}" y="14" width="11" height="11" rx="2" fill="${legend?.range[i]}"/>`
      return `${square}<text x="${x + 16}" y="24" text-anchor="start">${escaped(name)}</text>`
    })
    .join('')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
