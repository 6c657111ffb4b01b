/**
 * What a store costs while nothing happens: how long it takes to open, what idle streams hold, and whether memory grows
 * with the data. Each in a process of its own.
 */
import { once } from 'node:events'
import { closeSync, openSync, readSync } from 'node:fs'
import { allocatedBytes, type Bench, MIB } from '../bench.js'
import { type Answer, runTask, startTask } from '../child.js'
import { atMost, type Contest, type OpenContest, ratioAtMost, type Side } from '../rows.js'

/** What 1,000 idle streams may take, in MiB: 2 GB of disk and 100 MB of memory. */
const IDLE_DISK_MIB = 2e9 / MIB
const IDLE_MEMORY_MIB = 1e8 / MIB

/** How much a killed writer appended since its store was last closed. */
const UNSEALED_BYTES = 96 * MIB

/** Room for the collector's moods; what grew with the data would be far beyond it. */
const GROWTH_MIB = 32

/** Openings, idle streams, and memory. */
export function storeContests(bench: Bench): Contest[] {
  const rounds = bench.quick ? 2 : 5
  return [
    { name: 'open', rounds, open: () => openings(bench) },
    { name: 'idle streams', rounds: 1, open: () => idleStreams(bench) },
    { name: 'memory growth', rounds: 1, open: () => memoryGrowth(bench) },
  ]
}

async function openings(bench: Bench): Promise<OpenContest> {
  const largeGb = bench.quick ? 0.5 : 10
  const large = await filled(bench, 'open-large', largeGb * 1e9)
  const small = await filled(bench, 'open-small', (largeGb * 1e9) / 10)
  const limit = 'plain read of a 64 MiB file'
  const smallName = `open after a kill, ${largeGb / 10} GB stream`
  const clean = async () => (await runTask(bench, { do: 'open', directory: large })).milliseconds
  const killed = (directory: string) => async () => {
    const { child } = await startTask(bench, { do: 'fill', directory, bytes: UNSEALED_BYTES, end: 'wait' })
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    // The store stays locked until the process is gone.
    await exited
    return (await runTask(bench, { do: 'open', directory })).milliseconds
  }
  const sides: Side[] = [
    readSide(bench, limit),
    {
      name: `open after a clean close, ${largeGb} GB stream`,
      unit: 'ms',
      measure: clean,
      against: limit,
      target: atMost(100),
    },
    { name: smallName, unit: 'ms', measure: killed(small), against: limit },
    {
      name: `open after a kill, ${largeGb} GB stream`,
      unit: 'ms',
      measure: killed(large),
      against: smallName,
      target: ratioAtMost(2),
    },
  ]
  const close = async () => ['open-large', 'open-small'].forEach((name) => bench.workspace.discard(name))
  return { sides, close }
}

async function filled(bench: Bench, name: string, bytes: number): Promise<string> {
  const directory = bench.workspace.path(name)
  await runTask(bench, { do: 'fill', directory, bytes, end: 'close' })
  return directory
}

/** An unclean open reads its unsealed segment, 64 MiB at most: this is the least that takes. */
function readSide(bench: Bench, name: string): Side {
  const path = bench.workspace.path('read.limit')
  bench.limits.prepareFile(path, 'rewritten', 64 * MIB)
  const buffer = new Uint8Array(MIB)
  const measure = () => {
    const started = performance.now()
    const file = openSync(path, 'r')
    while (readSync(file, buffer) > 0);
    closeSync(file)
    return performance.now() - started
  }
  return { name, unit: 'ms', measure }
}

async function idleStreams(bench: Bench): Promise<OpenContest> {
  const directory = bench.workspace.path('idle')
  const streams = bench.quick ? 200 : 1000
  let answer: Answer | undefined
  const disk = async () => {
    answer = await runTask(bench, { do: 'idle', directory, streams })
    return allocatedBytes(directory) / MIB
  }
  const name = `${streams} idle streams`
  const sides: Side[] = [
    { name: `${name}, disk`, unit: 'MiB', measure: disk, target: atMost((IDLE_DISK_MIB * streams) / 1000) },
    {
      name: `${name}, memory`,
      unit: 'MiB',
      measure: () => answer?.residentMib ?? Number.NaN,
      target: atMost((IDLE_MEMORY_MIB * streams) / 1000),
    },
    { name: `${name}, create and put one each`, unit: 'ms', measure: () => answer?.milliseconds ?? Number.NaN },
  ]
  return { sides, close: async () => bench.workspace.discard('idle') }
}

async function memoryGrowth(bench: Bench): Promise<OpenContest> {
  const directory = bench.workspace.path('growth')
  const bytes = (bench.quick ? 256 : 4096) * MIB
  const stored = `${bytes / MIB} MiB of 100 B records, stored and read`
  let answer: Answer | undefined
  const anonymous = async () => {
    answer = await runTask(bench, { do: 'grow', directory, bytes })
    return answer.anonymousMib
  }
  const sides: Side[] = [
    { name: stored, unit: 'MiB', measure: () => bytes / MIB },
    {
      name: 'growth of anonymous memory meanwhile',
      unit: 'MiB',
      measure: anonymous,
      against: stored,
      target: atMost(GROWTH_MIB),
    },
    {
      name: 'growth of resident memory, mapped files included',
      unit: 'MiB',
      measure: () => answer?.residentMib ?? Number.NaN,
      against: stored,
    },
  ]
  return { sides, close: async () => bench.workspace.discard('growth') }
}
