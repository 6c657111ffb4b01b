/**
 * The kinds of charts: bars with their spread, ratios beside what is promised, percentiles, and lines over a size.
 */
import * as Plot from '@observablehq/plot'
import { describeTarget, figure, times } from '../format.js'
import type { JudgedRow } from '../rows.js'
import { COLORS, drawSvg } from './svg.js'

const ROW_HEIGHT = 26
const AXIS_HEIGHT = 34
/** Between the names of two lines. */
const LABEL_HEIGHT = 18
/** Room for the longest name of a row. */
const NAMES_WIDTH = 410

const SIDES = { domain: ['Millrace', 'limit'], range: [COLORS.engine, COLORS.limit] }
const VERDICTS = { domain: ['kept', 'missed'], range: [COLORS.kept, COLORS.missed] }

/** Medians as bars, from the smallest to the largest round as a line over each. */
export function drawBars(title: string, unit: string, rows: readonly JudgedRow[]): string {
  const bars = rows.map((row) => ({ ...row, side: isLimit(row) ? 'limit' : 'Millrace', text: figure(row.median) }))
  return drawSvg({
    title: `${title} (${unit})`,
    height: AXIS_HEIGHT + bars.length * ROW_HEIGHT,
    legend: SIDES,
    plot: {
      marginLeft: NAMES_WIDTH,
      x: { grid: true, label: null, tickFormat: figure, nice: true },
      y: { label: null, domain: bars.map(({ name }) => name), padding: 0.25, tickSize: 0 },
      marks: [
        Plot.barX(bars, { x: 'median', y: 'name', fill: 'side' }),
        Plot.ruleY(bars, { x1: 'min', x2: 'max', y: 'name', strokeWidth: 1.5 }),
        Plot.text(bars, { x: 'max', y: 'name', text: 'text', textAnchor: 'start', dx: 8 }),
        Plot.ruleX([0]),
      ],
    },
  })
}

/** Each promised ratio as a dot with the rounds' spread, and the bound as a mark; what is right of 1 is more. */
export function drawRatios(title: string, rows: readonly JudgedRow[]): string {
  const dots = rows.flatMap((row) =>
    row.targets
      .filter(({ of }) => of === 'ratio')
      .map((target) => ({
        name: row.name,
        ratio: row.ratio ?? Number.NaN,
        min: Math.min(...(row.ratios ?? [])),
        max: Math.max(...(row.ratios ?? [])),
        bound: 'atLeast' in target.bound ? target.bound.atLeast : target.bound.atMost,
        verdict: target.kept ? 'kept' : 'missed',
        text: `${times(row.ratio ?? Number.NaN)}  (${describeTarget(target)})`,
      })),
  )
  return drawSvg({
    title,
    height: AXIS_HEIGHT + dots.length * ROW_HEIGHT,
    legend: VERDICTS,
    plot: {
      marginLeft: NAMES_WIDTH,
      marginRight: 170,
      x: { type: 'log', grid: true, label: null, tickFormat: figure, ticks: 6, insetLeft: 12 },
      y: { label: null, domain: [...new Set(dots.map(({ name }) => name))], type: 'band', padding: 0.3, tickSize: 0 },
      marks: [
        Plot.ruleX([1], { strokeOpacity: 0.5 }),
        Plot.ruleY(dots, { x1: 'min', x2: 'max', y: 'name', stroke: 'verdict', strokeWidth: 2 }),
        Plot.dot(dots, { x: 'ratio', y: 'name', fill: 'verdict', r: 4.5 }),
        Plot.tickX(dots, { x: 'bound', y: 'name', strokeWidth: 2, strokeDasharray: '3,2' }),
        Plot.text(dots, { y: 'name', text: 'text', frameAnchor: 'right', textAnchor: 'start', dx: 8 }),
      ],
    },
  })
}

/** Half of all came by the large dot, 99 of 100 by the small one; the engine above its limit, on a logarithmic scale. */
export function drawPercentiles(title: string, unit: string, rows: readonly JudgedRow[]): string {
  const names = [...new Set(rows.map(({ point }) => String(point?.x)))]
  return drawSvg({
    title: `${title}: p50 (large dot) and p99 (small dot), ${unit}`,
    height: AXIS_HEIGHT + names.length * ROW_HEIGHT * 1.3,
    legend: SIDES,
    plot: {
      marginLeft: NAMES_WIDTH - 60,
      marginRight: 110,
      x: { type: 'log', grid: true, label: null, tickFormat: figure, ticks: 6, insetLeft: 12, insetRight: 12 },
      y: { label: null, domain: names, type: 'point', padding: 0.7, tickSize: 0 },
      marks: Object.entries({ Millrace: -6, limit: 6 }).flatMap(([side, dy]) => percentileMarks(rows, side, dy)),
    },
  })
}

function percentileMarks(rows: readonly JudgedRow[], side: string, dy: number): Plot.Markish[] {
  const of = (percentile: string) => rows.filter(({ point }) => point?.series === `${side} ${percentile}`)
  const spans = of('p50').flatMap(({ point, median: p50 }) => {
    const p99 = of('p99').find((other) => other.point?.x === point?.x)?.median
    return p99 === undefined ? [] : [{ name: point?.x, p50, p99, side, text: `${figure(p50)} / ${figure(p99)}` }]
  })
  const at = { y: 'name', dy } as const
  return [
    Plot.ruleY(spans, { ...at, x1: 'p50', x2: 'p99', stroke: 'side', strokeWidth: 2 }),
    Plot.dot(spans, { ...at, x: 'p50', fill: 'side', r: 5 }),
    Plot.dot(spans, { ...at, x: 'p99', fill: 'side', r: 3 }),
    Plot.text(spans, { ...at, text: 'text', frameAnchor: 'right', textAnchor: 'start', dx: 10, fontSize: 11 }),
  ]
}

/** Medians over a size, joined by series, with the spread of each; rates from zero on, times on a logarithmic scale. */
export function drawLines(title: string, unit: string, x: string, rows: readonly JudgedRow[]): string {
  const dots = rows.flatMap((row) =>
    row.point === undefined ? [] : [{ ...row, at: Number(row.point.x), series: row.point.series }],
  )
  const rates = unit.endsWith('/s')
  const ticks = [...new Set(dots.map(({ at }) => at))].toSorted((a, b) => a - b)
  // A logarithm has no place for none.
  const type = ticks[0] === 0 ? 'sqrt' : 'log'
  return drawSvg({
    title: `${title} (${unit})`,
    height: 330,
    plot: {
      marginLeft: 80,
      marginRight: 250,
      marginBottom: 44,
      x: {
        type,
        label: x,
        labelAnchor: 'center',
        labelArrow: 'none',
        ticks,
        tickFormat: figure,
        grid: true,
        inset: 12,
      },
      y: { type: rates ? 'linear' : 'log', zero: rates, nice: true, label: null, tickFormat: figure, grid: true },
      color: { scheme: 'Observable10' },
      marks: [
        Plot.ruleX(dots, { x: 'at', y1: 'min', y2: 'max', stroke: 'series', strokeWidth: 1.5 }),
        Plot.line(dots, { x: 'at', y: 'median', stroke: 'series', strokeWidth: 2 }),
        Plot.dot(dots, { x: 'at', y: 'median', fill: 'series', r: 4 }),
        ...lineLabels(dots),
      ],
    },
  })
}

/** The names of the lines at their ends, top down, each in its line's colour. */
function lineLabels(dots: readonly { at: number; median: number; series: string }[]): Plot.Markish[] {
  const ends = [...new Map(dots.toSorted((a, b) => a.at - b.at).map((dot) => [dot.series, dot])).values()]
  return ends
    .toSorted((a, b) => b.median - a.median)
    .map((end, i) => {
      const dy = i * LABEL_HEIGHT
      return Plot.text([end], {
        text: ({ series, median }: typeof end) => `● ${series}: ${figure(median)}`,
        fill: 'series',
        frameAnchor: 'top-right',
        textAnchor: 'start',
        dx: 12,
        dy,
      })
    })
}

/** A row that is set beside nothing and promises nothing is what others are set beside. */
function isLimit(row: JudgedRow): boolean {
  return row.against === null && row.targets.length === 0
}
