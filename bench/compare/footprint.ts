/**
 * What a peer takes from the machine: memory, bytes written to disk, and the time until it is ready again. In process it
 * is measured in a process of its own, which has run nothing else; a server is looked at from outside.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadLimits } from '../limits.js'
import type { Peer, Place } from './peer.js'
import { peers } from './peers/all.js'
import { Servers } from './servers.js'
import { appendUntil, Source, type Until } from './workload.js'

const RECORD_BYTES = 1024
const LOG = 'footprint'

/** What one peer took. */
export interface Footprint {
  readonly storedMib: number
  /** Resident memory: all of a server's, the growth of a process. */
  readonly residentMib: number
  /** The part of it that the system cannot take back: no mapped files. */
  readonly anonymousMib: number
  readonly writtenPerByte: number
  readonly openMs: number
}

/** Measures a peer once, in a folder that it makes and removes. */
export async function footprintOf(
  peer: Peer,
  directory: string,
  until: Until,
  adopt: (child: ChildProcess) => void,
): Promise<Footprint> {
  mkdirSync(directory, { recursive: true })
  try {
    if (peer.runs === 'in process') return await inChild(peer, directory, until, adopt)
    return await ofServer(peer, directory, until)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function inChild(
  { name }: Peer,
  directory: string,
  until: Until,
  adopt: (child: ChildProcess) => void,
): Promise<Footprint> {
  const task: Task = { name, directory, until }
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(task)], {
    execArgv: [...process.execArgv, '--expose-gc'],
  })
  adopt(child)
  const footprint = await new Promise<Footprint>((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (status) => reject(new Error(`the process of ${name} ended with ${status}`)))
  })
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return footprint
}

async function ofServer(peer: Peer, directory: string, until: Until): Promise<Footprint> {
  const servers = new Servers(() => join(directory, 'servers'))
  try {
    const place: Place = { directory, servers, limits: loadLimits() }
    const server = await peer.server!(place)
    const log = await peer.open(place, LOG)
    const before = usage(server.pid)
    const { records } = await appendUntil(peer, log, new Source(RECORD_BYTES), until)
    const after = usage(server.pid)
    await log.close()
    const startMs = await server.restart()
    const answered = performance.now()
    const again = await peer.open(place, LOG)
    const openMs = startMs + (performance.now() - answered)
    await again.close()
    return { ...footprint(records, before, after, openMs), ...memoryOf(after) }
  } finally {
    await servers.stop()
  }
}

/** What the process in the middle is told. */
interface Task {
  readonly name: string
  readonly directory: string
  readonly until: Until
}

async function perform({ name, directory, until }: Task): Promise<Footprint> {
  const peer = peers.find((peer) => peer.name === name)!
  const place: Place = { directory, servers: new Servers(() => join(directory, 'servers')), limits: loadLimits() }
  // Few batches: a large heap of records would hide what the peer adds to it.
  const source = new Source(RECORD_BYTES, { batches: 20 })
  globalThis.gc?.()
  const before = usage(process.pid)
  const log = await peer.open(place, LOG)
  const { records } = await appendUntil(peer, log, source, until)
  globalThis.gc?.()
  const after = usage(process.pid)
  await log.close()
  const started = performance.now()
  const again = await peer.open(place, LOG)
  const openMs = performance.now() - started
  await again.close()
  return footprint(records, before, after, openMs)
}

function footprint(records: number, before: Usage, after: Usage, openMs: number): Footprint {
  const stored = records * RECORD_BYTES
  return {
    storedMib: stored / 2 ** 20,
    residentMib: after.residentMib - before.residentMib,
    anonymousMib: after.anonymousMib - before.anonymousMib,
    writtenPerByte: (after.writtenBytes - before.writtenBytes) / stored,
    openMs,
  }
}

/** What the kernel says of a process. */
interface Usage {
  readonly residentMib: number
  readonly anonymousMib: number
  /** Bytes that it has caused to be written to the disk, counted when a page becomes dirty. */
  readonly writtenBytes: number
}

function memoryOf({ residentMib, anonymousMib }: Usage): Pick<Footprint, 'residentMib' | 'anonymousMib'> {
  return { residentMib, anonymousMib }
}

function usage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const io = readFileSync(`/proc/${pid}/io`, 'utf8')
  const field = (text: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN)
  return {
    residentMib: field(status, 'VmRSS') / 1024,
    anonymousMib: field(status, 'RssAnon') / 1024,
    writtenBytes: field(io, 'write_bytes'),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.send?.(await perform(JSON.parse(process.argv[2] ?? '') as Task))
  process.disconnect?.()
}
