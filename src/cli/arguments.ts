/** Parsers of option values: each throws an error that commander prints as wrong usage. */
import { InvalidArgumentError } from 'commander'
import type { Durability, LimitPolicy, Retention } from '../index.js'

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A whole number of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0) {
    throw new InvalidArgumentError('Expected a whole number of at least 1.')
  }
  return value
}

/** A port: 0 to 65,535. */
export function portNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value > 65_535) throw new InvalidArgumentError('Expected a port from 0 to 65535.')
  return value
}

/** A whole number of at least 0. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('Expected a whole number.')
  return value
}

/** One more `key=value` beside those before it. */
export function tag(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw new InvalidArgumentError('Expected key=value.')
  return { ...before, [key]: value }
}

/** Bytes: a whole number, with k, m or g (KiB, MiB, GiB) behind it if wanted. */
export function size(text: string): number {
  const match = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(text)
  const factor = SIZE_UNITS[match?.[2]?.toLowerCase() ?? 'none']
  if (match === null || factor === undefined) throw new InvalidArgumentError('Expected bytes such as 512k, 1m or 2g.')
  return Number(match[1]) * factor
}

/** `24h`, `7d`, `unbounded`. Whether the period is allowed is for the API to say. */
export function retention(text: string): Retention {
  if (text === 'unbounded') return text
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^\d+[hd]$/.test(text)) throw new InvalidArgumentError('Expected a period such as 24h or 7d, or unbounded.')
  return text as Retention
}

/** `synced`, `os`, `interval:MS`. */
export function durability(text: string): Durability {
  if (text === 'synced' || text === 'os') return text
  const milliseconds = /^interval:(\d+)$/.exec(text)?.[1]
  if (milliseconds === undefined) throw new InvalidArgumentError('Expected synced, os or interval:MILLISECONDS.')
  return { interval: Number(milliseconds) }
}

/** The names of limits on the command line, and what they are called in the API. */
const LIMITS = {
  'write-bytes': 'writeBytesPerSecond',
  'write-records': 'writeRecordsPerSecond',
  'read-bytes': 'readBytesPerSecond',
  reads: 'readsPerSecond',
  iterators: 'iteratorsPerSecond',
  'fan-out-bytes': 'fanOutBytesPerSecond',
} as const

/** The forms of limits, for help texts and errors. */
export const LIMITS_FORMS = `aws, unlimited, or some of ${Object.keys(LIMITS).join(', ')} as write-records=100,write-bytes=64k`

/** `aws`, `unlimited`, or numbers of the caller's own. */
export function limits(text: string): LimitPolicy {
  if (text === 'aws' || text === 'unlimited') return text
  const pairs = text.split(',').map((part) => {
    const [name = '', value = ''] = part.split('=')
    if (!isLimit(name)) throw new InvalidArgumentError(`Expected ${LIMITS_FORMS}.`)
    return [LIMITS[name], size(value)] as const
  })
  return Object.fromEntries(pairs)
}

function isLimit(name: string): name is keyof typeof LIMITS {
  return Object.hasOwn(LIMITS, name)
}
