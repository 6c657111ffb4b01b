/**
 * Between the native module's plain objects and the settings of a stream: limits and tags.
 */
import type { NativeLimits, NativeTag } from './binding.js'
import { checkWhole } from './checks.js'
import { invalidArgument } from './errors.js'
import type { CapacityMode, LimitPolicy, ShardLimits } from './options.js'

const RATE_MAX = 2 ** 40
const RATES = [
  'writeBytesPerSecond',
  'writeRecordsPerSecond',
  'readBytesPerSecond',
  'readsPerSecond',
  'iteratorsPerSecond',
  'fanOutBytesPerSecond',
] as const satisfies readonly (keyof ShardLimits)[]

/** Limits as the native module takes them. */
export function nativeLimits(limits: LimitPolicy): NativeLimits {
  if (limits === 'unlimited' || limits === 'aws') return { policy: limits }
  if (typeof limits !== 'object' || limits === null) {
    throw invalidArgument(`limits: expected 'unlimited', 'aws' or numbers a second, got ${JSON.stringify(limits)}`)
  }
  const stray = Object.keys(limits).find((name) => !(RATES as readonly string[]).includes(name))
  if (stray !== undefined) throw invalidArgument(`limits: expected ${RATES.join(', ')}, got ${stray}`)
  return { policy: 'custom', ...rates(limits, (name, value) => checkWhole(name, value, 1, RATE_MAX)) }
}

/** Limits as callers see them. */
export function describeLimits(native: NativeLimits): LimitPolicy {
  if (native.policy === 'unlimited' || native.policy === 'aws') return native.policy
  return rates(native, (_name, value) => value)
}

/** Those of the numbers that are there. */
function rates(from: ShardLimits, of: (name: string, value: number) => number): ShardLimits {
  const given = RATES.flatMap((name) => {
    const value = from[name]
    return value === undefined ? [] : [[name, of(name, value)] as const]
  })
  return Object.fromEntries(given)
}

/** A capacity mode, if it is one. */
export function checkMode(mode: CapacityMode): CapacityMode {
  if (mode === 'provisioned' || mode === 'on-demand') return mode
  throw invalidArgument(`mode: expected 'provisioned' or 'on-demand', got ${JSON.stringify(mode)}`)
}

/** Tags as the native module takes them. */
export function nativeTags(tags: Readonly<Record<string, string>>): NativeTag[] {
  if (typeof tags !== 'object' || tags === null) throw invalidArgument(`tags: expected an object, got ${String(tags)}`)
  return Object.entries(tags).map(([key, value]) => {
    if (typeof value !== 'string') throw invalidArgument(`tags: expected a string at '${key}', got ${typeof value}`)
    return { key, value }
  })
}

/** Tags as callers see them. */
export function describeTags(native: readonly NativeTag[]): Readonly<Record<string, string>> {
  return Object.fromEntries(native.map(({ key, value }) => [key, value]))
}
