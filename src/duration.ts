/** Retention periods in words: what callers write, and the hours that the engine stores (0 is unbounded). */
import { invalidArgument } from './errors.js'
import type { Retention } from './options.js'

const HOURS_MIN = 24
const HOURS_MAX = 8760

/** The hours in a retention; 0 for `'unbounded'`. */
export function retentionHours(retention: Retention): number {
  if (retention === 'unbounded') return 0
  const hours = typeof retention === 'number' ? retention : parse(retention)
  if (!Number.isInteger(hours) || hours < HOURS_MIN || hours > HOURS_MAX) {
    throw invalidArgument(
      `retention: expected ${HOURS_MIN}h to ${HOURS_MAX}h (365d), a number of hours or 'unbounded', got ${retention}`,
    )
  }
  return hours
}

/** The hours as callers see them. */
export function describeHours(hours: number): number | 'unbounded' {
  return hours === 0 ? 'unbounded' : hours
}

function parse(text: string): number {
  const match = /^(\d{1,5})([hd])$/.exec(text)
  if (match === null) return Number.NaN
  return Number(match[1]) * (match[2] === 'd' ? 24 : 1)
}
