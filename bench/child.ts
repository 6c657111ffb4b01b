/**
 * Processes of their own, for what a process that has run other contests cannot show: how long a first open takes, what
 * a kill leaves, how much memory remains in use.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Batch, Millrace } from 'millrace'
import { Appender, BatchAppender } from './appender.js'
import type { Bench } from './bench.js'

/** What a child does. Each answers with one message. */
export type Task =
  /** Appends and closes; or appends, answers, and waits to be killed. */
  | { readonly do: 'fill'; readonly directory: string; readonly bytes: number; readonly end: 'close' | 'wait' }
  /** Opens the store and its stream, answers with the milliseconds that took, and closes. */
  | { readonly do: 'open'; readonly directory: string }
  /** Creates streams with a record each and answers with what memory that took. */
  | { readonly do: 'idle'; readonly directory: string; readonly streams: number }
  /** Appends and then reads all of it, and answers with what memory that took. */
  | { readonly do: 'grow'; readonly directory: string; readonly bytes: number }
  /** Appends so much to a stream that has data, reads that back, and answers with the rates and the memory in use. */
  | { readonly do: 'tail'; readonly directory: string; readonly bytes: number }
  /** Creates a stream of many shards and one of the same shape to warm up with. */
  | { readonly do: 'fill shards'; readonly directory: string; readonly shards: number; readonly records: number }
  /** Reads one shard of that stream, or all of it, and answers with the rate. */
  | { readonly do: 'read shard'; readonly directory: string; readonly shard: string | undefined }

/** What a child answers; each task fills what it measures. */
export interface Answer {
  readonly milliseconds: number
  /** MiB of anonymous memory: heaps and stacks, what the system cannot take back. */
  readonly anonymousMib: number
  /** MiB of resident memory, mapped files in the page cache included. */
  readonly residentMib: number
  /** Records a second, where it appended. */
  readonly appendRate?: number
  /** Records a second, where it read. */
  readonly readRate?: number
}

/** The stream that tasks write to and open. */
const STREAM = 'main'
const WARM_STREAM = 'warm'
const RECORD_BYTES = 1024
const SMALL_RECORD_BYTES = 100

/** A stream that was just opened begins with small segments; behind these it writes full ones, whatever it holds. */
const WARM_UP_BYTES = 1e8

/** Runs a task to its end. */
export async function runTask(bench: Bench, task: Task): Promise<Answer> {
  const { child, answer } = await startTask(bench, task)
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return answer
}

/** Starts a task and returns when it has answered; the child may still live. */
export async function startTask(bench: Bench, task: Task): Promise<{ child: ChildProcess; answer: Answer }> {
  // A collection on demand tells memory in use from memory not yet collected.
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(task)], {
    execArgv: [...process.execArgv, '--expose-gc'],
  })
  bench.workspace.adopt(child)
  const answer = await new Promise<Answer>((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (status) =>
      reject(new Error(`the child for '${task.do}' ended with ${status} before it answered`)),
    )
  })
  return { child, answer }
}

async function perform(task: Task): Promise<Answer> {
  switch (task.do) {
    case 'fill':
      return await fill(task.directory, task.bytes, task.end)
    case 'open':
      return await open(task.directory)
    case 'idle':
      return await idle(task.directory, task.streams)
    case 'grow':
      return await grow(task.directory, task.bytes)
    case 'tail':
      return await tail(task.directory, task.bytes)
    case 'fill shards':
      return await fillShards(task.directory, task.shards, task.records)
    case 'read shard':
      return await readShard(task.directory, task.shard)
  }
}

async function fill(directory: string, bytes: number, end: 'close' | 'wait'): Promise<Answer> {
  const started = performance.now()
  const millrace = await Millrace.open(directory)
  const stream = await millrace.createStream(STREAM, { shards: 4, durability: 'os', ifNotExists: true })
  await new Appender(RECORD_BYTES).appendRecords(stream, bytes / RECORD_BYTES)
  if (end === 'close') await millrace.close()
  // Waits for its killer; a parent that is gone ends it as well.
  else process.once('disconnect', () => process.exit(1))
  return { milliseconds: performance.now() - started, ...memory() }
}

async function open(directory: string): Promise<Answer> {
  const started = performance.now()
  const millrace = await Millrace.open(directory)
  await millrace.stream(STREAM)
  const milliseconds = performance.now() - started
  const answer = { milliseconds, ...memory() }
  await millrace.close()
  return answer
}

async function idle(directory: string, streams: number): Promise<Answer> {
  const millrace = await Millrace.open(directory)
  const before = memory()
  const started = performance.now()
  for (let i = 0; i < streams; i++) {
    const stream = await millrace.createStream(`stream-${i}`, { durability: 'os' })
    await stream.put({ partitionKey: 'user', data: new Uint8Array(SMALL_RECORD_BYTES) })
  }
  const answer = { milliseconds: performance.now() - started, ...grownSince(before) }
  await millrace.close()
  return answer
}

async function grow(directory: string, bytes: number): Promise<Answer> {
  const millrace = await Millrace.open(directory)
  const stream = await millrace.createStream(STREAM, { shards: 4, durability: 'os' })
  const appender = new Appender(SMALL_RECORD_BYTES)
  const records = bytes / SMALL_RECORD_BYTES
  // A tenth is past every warm-up: what comes after must not add to memory.
  await appender.appendRecords(stream, records / 10)
  await readAll(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  const before = memory()
  const started = performance.now()
  await appender.appendRecords(stream, records)
  await readAll(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  const answer = { milliseconds: performance.now() - started, ...grownSince(before) }
  await millrace.close()
  return answer
}

async function tail(directory: string, bytes: number): Promise<Answer> {
  const started = performance.now()
  const millrace = await Millrace.open(directory)
  const stream = await millrace.stream(STREAM)
  const appender = new Appender(SMALL_RECORD_BYTES)
  const reader = stream.read({ from: 'LATEST' })
  const through = async (records: number) => {
    const appendRate = await appender.appendRecords(stream, records)
    return { appendRate, readRate: await readRecords(reader, records) }
  }
  const records = Math.round(bytes / SMALL_RECORD_BYTES)
  await through(WARM_UP_BYTES / SMALL_RECORD_BYTES)
  const rates = await through(records)
  const answer = { milliseconds: performance.now() - started, ...memory(), ...rates }
  reader.close()
  await millrace.close()
  return answer
}

/** Records a second, of the next `records` ones. */
async function readRecords(reader: AsyncIterator<Batch<Uint8Array>>, records: number): Promise<number> {
  const started = performance.now()
  let seen = 0
  while (seen < records) seen += visited((await reader.next()).value)
  return (seen / (performance.now() - started)) * 1000
}

/** Looks at each record's length, as a reader that does something would. */
function visited(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (let i = 0; i < batch.length; i++) bytes += batch.dataLength(i)
  if (bytes !== batch.length * SMALL_RECORD_BYTES) throw new Error(`expected records of ${SMALL_RECORD_BYTES} bytes`)
  return batch.length
}

async function fillShards(directory: string, shards: number, records: number): Promise<Answer> {
  const started = performance.now()
  const millrace = await Millrace.open(directory)
  const appender = new BatchAppender(SMALL_RECORD_BYTES, 10_000)
  for (const [name, count] of [
    [WARM_STREAM, records / 10],
    [STREAM, records],
  ] as const) {
    const stream = await millrace.createStream(name, { shards, durability: 'os' })
    while (appender.appendedTo(stream) < count) appender.appendBatch(stream)
  }
  await millrace.close()
  return { milliseconds: performance.now() - started, ...memory() }
}

/** The compiler has seen the loop on another stream, of which nothing stays in memory that this one needs. */
async function readShard(directory: string, shard: string | undefined): Promise<Answer> {
  const millrace = await Millrace.open(directory)
  const read = async (name: string, only: string | undefined) => {
    const stream = await millrace.stream(name)
    const started = performance.now()
    let records = 0
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false, ...(only && { shard: only }) })) {
      records += visited(batch)
    }
    return { records, milliseconds: performance.now() - started }
  }
  await read(WARM_STREAM, undefined)
  for (let number = 0; number < 20; number++) await read(WARM_STREAM, shardName(number))
  const { records, milliseconds } = await read(STREAM, shard)
  await millrace.close()
  return { milliseconds, readRate: (records / milliseconds) * 1000, ...memory() }
}

/** The name of a stream's n-th shard. */
export function shardName(number: number): string {
  return `shardId-${String(number).padStart(12, '0')}`
}

async function readAll(batches: AsyncIterable<{ readonly length: number }>): Promise<number> {
  let records = 0
  for await (const batch of batches) records += batch.length
  return records
}

type Memory = Pick<Answer, 'anonymousMib' | 'residentMib'>

function grownSince(before: Memory): Memory {
  const now = memory()
  return {
    anonymousMib: Math.max(0, now.anonymousMib - before.anonymousMib),
    residentMib: Math.max(0, now.residentMib - before.residentMib),
  }
}

function memory(): Memory {
  globalThis.gc?.()
  const status = readFileSync('/proc/self/status', 'utf8')
  const mib = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
  return { anonymousMib: mib('RssAnon'), residentMib: mib('VmRSS') }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const answer = await perform(JSON.parse(process.argv[2] ?? '') as Task)
  process.send?.(answer)
}
