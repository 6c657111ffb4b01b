/** `--from` and `--to` in words: what people type, and the position that the API takes. */
import type { StartAt } from '../index.js'
import { UsageError } from './exit.js'

const MILLISECONDS_OF_UNIT = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The forms of a time, for help texts and errors. */
export const TIME_FORMS = 'an ISO time, or an age such as 5m'

/** The forms of `--from`, for help texts and errors. */
export const START_AT_FORMS = 'TRIM_HORIZON, LATEST, at:SEQUENCE, after:SEQUENCE, an ISO time, or an age such as 5m'

/** The forms of `--to`, for help texts and errors. */
export const END_AT_FORMS = 'an ISO time, an age such as 5m, or before:SEQUENCE'

/** The position in `text`; `now` (milliseconds since the epoch) is what ages count back from. */
export function parseStartAt(text: string, now: number): StartAt {
  const word = text.toUpperCase().replaceAll('-', '_')
  if (word === 'TRIM_HORIZON' || word === 'LATEST') return word
  const [, side, sequence] = /^(at|after):(\d+)$/.exec(text) ?? []
  if (sequence !== undefined) return side === 'at' ? { at: sequence } : { after: sequence }
  const timestamp = parseTime(text, now)
  if (timestamp === undefined) throw new UsageError(`--from: expected ${START_AT_FORMS}; got '${text}'`)
  return { timestamp }
}

/** The end in `text`, which is not part of what comes before it; `now` is what ages count back from. */
export function parseEndAt(text: string, now: number): { before: string } | { arrival: number } {
  const sequence = /^before:(\d{56})$/.exec(text)?.[1]
  if (sequence !== undefined) return { before: sequence }
  const arrival = parseTime(text, now)
  if (arrival === undefined) throw new UsageError(`--to: expected ${END_AT_FORMS}; got '${text}'`)
  return { arrival }
}

/** A moment in milliseconds since the epoch: an ISO time, or an age; `undefined` when it is neither. */
export function parseTime(text: string, now: number): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  if (amount !== undefined)
    return now - Number(amount) * MILLISECONDS_OF_UNIT[unit as keyof typeof MILLISECONDS_OF_UNIT]
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}
