/** Numbers, sizes, times, tables and bars for people. Pure text in, text out. */
import type { Durability, LimitPolicy } from '../index.js'

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** `1234567` as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1,234,567 records`, `1 record`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}

/** Bytes with a binary unit and three digits or so: `512 B`, `1.4 MiB`. */
export function bytes(value: number): string {
  let unit = 0
  let scaled = value
  while (scaled >= 1024 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1024
    unit += 1
  }
  return `${unit === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${BYTE_UNITS[unit]}`
}

/** Something a second, shortened: `950/s`, `12.3 k/s`, `1.25 M/s`. */
export function rate(amount: number, milliseconds: number): string {
  const perSecond = milliseconds > 0 ? (amount * 1000) / milliseconds : 0
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(2)} M/s`
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toFixed(1)} k/s`
  return `${Math.round(perSecond)}/s`
}

/** A span of time: `85 ms`, `2.4 s`, `3 min 05 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
}

/** A retention period: whole days as days. */
export function retention(hours: number | 'unbounded'): string {
  if (hours === 'unbounded') return 'unbounded'
  return hours % 24 === 0 && hours > 24 ? `${hours / 24} d` : `${hours} h`
}

/** A durability policy in words. */
export function durability(policy: Durability): string {
  return typeof policy === 'string' ? policy : `interval ${policy.interval} ms`
}

/** A limit policy in words: `aws`, or `100 records/s in, 64 KiB/s out`. */
export function limits(policy: LimitPolicy): string {
  if (typeof policy === 'string') return policy
  const { writeBytesPerSecond, writeRecordsPerSecond, readBytesPerSecond, readsPerSecond } = policy
  const { iteratorsPerSecond, fanOutBytesPerSecond } = policy
  const parts = [
    [writeBytesPerSecond, bytes, 'in'],
    [writeRecordsPerSecond, (value: number) => `${count(value)} records`, 'in'],
    [readBytesPerSecond, bytes, 'out'],
    [readsPerSecond, (value: number) => `${count(value)} reads`, 'in all'],
    [iteratorsPerSecond, (value: number) => `${count(value)} iterators`, 'in all'],
    [fanOutBytesPerSecond, bytes, 'to each consumer'],
  ] as const
  const told = parts.flatMap(([value, text, where]) => (value === undefined ? [] : [`${text(value)}/s ${where}`]))
  return told.length === 0 ? 'unlimited' : told.join(', ')
}

/** A bar of `width` cells for `share` (0 to 1), with eighths of a cell at its end. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(Math.max(share, 0), 1) * width * 8)
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] as string)
}

/** How a column stands in its cells. */
export type Align = 'left' | 'right'

/** Rows as aligned columns under a header, two spaces apart. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly Align[],
): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0
      return align[column] === 'right' ? cell.padStart(width) : cell.padEnd(width)
    })
    return padded.join('  ').trimEnd()
  }
  return [line(header), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n')
}

/** Names and values under each other, the values in one column. */
export function fields(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}
