/** Checks of arguments before they cross into native code, where a number is cut to 32 bits without a word. */
import { invalidArgument } from './errors.js'

/** Throws unless `value` is a whole number from `min` to `max`; returns it. */
export function checkWhole(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalidArgument(`${name}: expected a whole number from ${min} to ${max}, got ${String(value)}`)
}

/** Throws unless `value` is a string with something in it. */
export function checkName(name: string, value: string): void {
  if (typeof value === 'string' && value !== '') return
  throw invalidArgument(`${name}: expected a string that is not empty, got ${JSON.stringify(value)}`)
}

/** Throws unless `value` is one of `choices`; returns it. */
export function checkOneOf<T extends string>(name: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value
  throw invalidArgument(`${name}: expected ${choices.join(', ')}, got ${JSON.stringify(value)}`)
}
