/**
 * Processes of their own, for what a process that has run other contests cannot show: how long a first open takes, what
 * a kill leaves, how much memory remains in use.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Millrace } from 'millrace'
import { Appender } from './appender.js'
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

/** What a child answers; each task fills what it measures. */
export interface Answer {
  readonly milliseconds: number
  /** MiB of anonymous memory: heaps and stacks, what the system cannot take back. */
  readonly anonymousMib: number
  /** MiB of resident memory, mapped files in the page cache included. */
  readonly residentMib: number
}

/** The stream that tasks write to and open. */
const STREAM = 'main'
const RECORD_BYTES = 1024
const SMALL_RECORD_BYTES = 100

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

async function readAll(batches: AsyncIterable<{ readonly length: number }>): Promise<number> {
  let records = 0
  for await (const batch of batches) records += batch.length
  return records
}

type Memory = Omit<Answer, 'milliseconds'>

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
