/** What `millrace top` shows, as lines of text: nothing here writes, and the time comes in. */
import type { Flow, Observation, ShardMetrics, StreamMetrics } from '../../index.js'
import { bar, bytes, count, plural, rate, table, type Align } from '../format.js'
import { heavyKeys } from '../hot.js'

/** What is shown, and where. */
export interface ViewOptions {
  /** Milliseconds since 1970. */
  readonly now: number
  /** Columns of the terminal. */
  readonly width: number
  /** Lines of the terminal. */
  readonly height: number
}

/** Figures older than this are not those of the present: nothing has happened since. */
const FRESH_MS = 3_500
const BAR_CELLS = 12
const SHARDS_SHOWN = 8
const KEYS_SHOWN = 3
/** From so many columns on there is room for the less needed ones. */
const WIDE = 92
const NARROW = 60

/** The picture, no wider and no higher than the terminal. */
export function topView(observation: Observation, { now, width, height }: ViewOptions): string[] {
  const lines = [headLine(observation, now)]
  if (observation.streams.length === 0) lines.push('', emptyReason(observation))
  else lines.push('', ...streamLines(observation, isFresh(observation, now), width))
  const fitting = lines.flatMap((line) => line.split('\n')).map((line) => fit(line, width))
  return fitting.length <= height ? fitting : [...fitting.slice(0, Math.max(height - 1, 1)), fit('…', width)]
}

function headLine({ pid, since, writtenAt }: Observation, now: number): string {
  if (pid === undefined) return 'millrace top: no process on this machine has the store open'
  const held = `millrace top: process ${pid}${since === undefined ? '' : ` since ${since.toISOString()}`}`
  if (writtenAt === undefined) return held
  const age = Math.max(0, Math.round((now - writtenAt.getTime()) / 1_000))
  return age * 1_000 <= FRESH_MS ? held : `${held}, idle for ${count(age)} s`
}

function emptyReason({ pid }: Observation): string {
  return pid === undefined
    ? 'Figures are told by the process that writes to a store; start it, or see millrace describe.'
    : 'Nothing has happened in its streams yet.'
}

function isFresh({ writtenAt }: Observation, now: number): boolean {
  return writtenAt !== undefined && now - writtenAt.getTime() <= FRESH_MS
}

function streamLines({ streams }: Observation, fresh: boolean, width: number): string[] {
  const rows = streams.map((stream) => streamRow(stream, fresh))
  const header = ['STREAM', 'SHARDS', 'IN', '', 'OUT', '', 'AGE', 'REFUSED', 'PUT p99', 'SYNC p99']
  const align: Align[] = ['left', ...header.slice(1).map((): Align => 'right')]
  const shown = columnsFor(width, [0, 2, 4, 6], [0, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  const lines = [selected(header, rows, align, shown)]
  for (const stream of streams) lines.push('', ...shardLines(stream, fresh, width), ...keyLines(stream))
  return lines
}

function streamRow(stream: StreamMetrics, fresh: boolean): string[] {
  const [incoming, outgoing] = [now(stream.incoming.second, fresh), now(stream.outgoing.second, fresh)]
  return [
    stream.stream,
    count(stream.openShards),
    rate(incoming.records, 1_000),
    `${bytes(incoming.bytes)}/s`,
    rate(outgoing.records, 1_000),
    `${bytes(outgoing.bytes)}/s`,
    age(stream.iteratorAgeMs),
    rate(now(stream.incoming.minute, fresh).throttled, 1_000),
    latency(stream.putRecord.latency.count > 0 ? stream.putRecord.latency.p99Ns : stream.putRecords.latency.p99Ns),
    latency(stream.sync.p99Ns),
  ]
}

function shardLines({ stream, shards, openShards }: StreamMetrics, fresh: boolean, width: number): string[] {
  const busy = (shard: ShardMetrics): number => shard.incoming.tenSeconds.bytes + shard.outgoing.tenSeconds.bytes
  const open = shards.filter((shard) => shard.open || busy(shard) > 0)
  const shown = [...open].sort((left, right) => busy(right) - busy(left)).slice(0, SHARDS_SHOWN)
  const all = shown.reduce((sum, shard) => Math.max(sum, shard.incoming.tenSeconds.bytes), 0)
  const rows = shown.map((shard) => {
    const incoming = now(shard.incoming.tenSeconds, fresh)
    const outgoing = now(shard.outgoing.tenSeconds, fresh)
    return [
      shard.open ? shard.shardId : `${shard.shardId} (closed)`,
      rate(incoming.records, 1_000),
      `${bytes(incoming.bytes)}/s`,
      rate(outgoing.records, 1_000),
      age(shard.iteratorAgeMs),
      rate(now(shard.incoming.minute, fresh).throttled, 1_000),
      bar(all === 0 ? 0 : incoming.bytes / all, BAR_CELLS),
    ]
  })
  const header = [`SHARDS OF ${stream}`, 'IN', '', 'OUT', 'AGE', 'REFUSED', '']
  const align: Align[] = ['left', 'right', 'right', 'right', 'right', 'right', 'left']
  const columns = columnsFor(width, [0, 1, 6], [0, 1, 2, 3, 6], [0, 1, 2, 3, 4, 5, 6])
  const lines = [selected(header, rows, align, columns)]
  if (openShards > shown.length) lines.push(`… and ${plural(openShards - shown.length, 'shard')} with less`)
  return lines
}

function keyLines(stream: StreamMetrics): string[] {
  const keys = heavyKeys(stream).slice(0, KEYS_SHOWN)
  if (keys.length === 0) return []
  return [`hot keys: ${keys.map(({ key, share }) => `${key} ${(share * 100).toFixed(1)} %`).join(', ')}`]
}

/** Nothing has happened since figures that are old were written. */
function now(flow: Flow, fresh: boolean): Flow {
  return fresh ? flow : { records: 0, bytes: 0, throttled: 0 }
}

function columnsFor(width: number, few: number[], some: number[], all: number[]): number[] {
  if (width >= WIDE) return all
  return width >= NARROW ? some : few
}

function selected(header: string[], rows: string[][], align: Align[], columns: number[]): string {
  const pick = <T>(cells: readonly T[]): T[] => columns.map((column) => cells[column] as T)
  return table(pick(header), rows.map(pick), pick(align))
}

function age(milliseconds: number): string {
  if (milliseconds < 1_000) return `${milliseconds} ms`
  return milliseconds < 120_000 ? `${(milliseconds / 1_000).toFixed(1)} s` : `${Math.round(milliseconds / 60_000)} min`
}

function latency(nanoseconds: number): string {
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(1)} µs`
  return `${(nanoseconds / 1e6).toFixed(1)} ms`
}

/** A line that is too long ends with an ellipsis. Keys and names are of any characters; those that move the cursor go. */
function fit(line: string, width: number): string {
  const plain = line.replaceAll(/\p{Cc}/gu, '\uFFFD')
  const characters = [...plain]
  return characters.length <= width ? plain : `${characters.slice(0, Math.max(width - 1, 0)).join('')}…`
}
