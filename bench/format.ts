/**
 * How figures are written for people, the same on the terminal, in the tables and in the charts.
 */
import type { Target } from './rows.js'

/** Three significant digits, millions and thousands shortened. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 1e6) return `${short(value / 1e6)} M`
  if (size >= 1e4) return `${short(value / 1e3)} k`
  return short(value)
}

/** A ratio with its sign. */
export function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${ratio.toFixed(2)} ×` : '–'
}

/** A promise as a sentence's end: `≥ 8 M`, `≤ 1.3 ×`. */
export function describeTarget({ of, bound }: Target): string {
  const sign = 'atLeast' in bound ? '≥' : '≤'
  const limit = 'atLeast' in bound ? bound.atLeast : bound.atMost
  return of === 'ratio' ? `${sign} ${limit} ×` : `${sign} ${figure(limit)}`
}

function short(value: number): string {
  if (value === 0) return '0'
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}
