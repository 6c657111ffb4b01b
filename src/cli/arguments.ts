/** Parsers of option values: each throws an error that commander prints as wrong usage. */
import { InvalidArgumentError } from 'commander'
import type { Durability, Retention } from '../index.js'

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** A whole number of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0) {
    throw new InvalidArgumentError('Expected a whole number of at least 1.')
  }
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
