/**
 * What the machine can do at all, without the engine: copy memory, make checksums, take writes into the page cache, put
 * them on the disk, wake a thread.
 */
import { type Bench, MIB, settle } from '../bench.js'
import type { FileState, Pace, Signal } from '../limits.js'
import { type Contest, median, type Side } from '../rows.js'

const KIB = 1024

/** What a file was before it is written: `rewritten` once with zeros is what the engine's segments are. */
const STATES: readonly FileState[] = ['growing', 'allocated', 'rewritten']

/** The contests that know nothing of the engine. */
export function machineContests(bench: Bench): Contest[] {
  const rounds = bench.quick ? 3 : 5
  const contest = (name: string, sides: () => readonly Side[]): Contest => {
    return { name, rounds, open: async () => ({ sides: sides(), close: async () => {} }) }
  }
  return [
    contest('memory copy', () => memoryCopies(bench)),
    contest('checksums', () => checksums(bench)),
    contest('cached writes', () => STATES.map((state) => cachedWrites(bench, state))),
    contest('syncs', () => syncs(bench)),
    contest('wake-ups', () => wakeUps(bench)),
  ]
}

function memoryCopies({ limits, quick }: Bench): Side[] {
  const totalBytes = (quick ? 512 : 4096) * MIB
  const copies = (name: string, bytes: number): Side => {
    return { name, unit: 'GiB/s', measure: () => limits.memoryCopy(bytes, totalBytes / bytes) / 2 ** 30 }
  }
  return [copies('memory copy, 64 MiB buffers', 64 * MIB), copies('memory copy, 256 KiB buffers', MIB / 4)]
}

function checksums({ limits, quick }: Bench): Side[] {
  const totalBytes = (quick ? 256 : 2048) * MIB
  return Object.entries({ '100 B': 100, '1 KiB': KIB, '64 KiB': 64 * KIB }).map(([name, bytes]): Side => {
    const measure = () => limits.checksums(bytes, Math.round(totalBytes / bytes)) / 2 ** 30
    return { name: `CRC32C of ${name}`, unit: 'GiB/s', measure }
  })
}

function cachedWrites(bench: Bench, state: FileState): Side {
  const path = bench.workspace.path(`cached-${state}.limit`)
  const bytes = (bench.quick ? 128 : 512) * MIB
  const measure = () => {
    bench.limits.prepareFile(path, state, bytes)
    settle(bench)
    const rate = bench.limits.cachedWrites(path, 64 * KIB, bytes / (64 * KIB)) / 2 ** 30
    bench.workspace.discard(`cached-${state}.limit`)
    return rate
  }
  return { name: `write of 64 KiB to the page cache, ${state} file`, unit: 'GiB/s', measure }
}

function syncs(bench: Bench): Side[] {
  return Object.entries({ '4 KiB': 4 * KIB, '50 KiB': 50 * KIB, '512 KiB': 512 * KIB }).flatMap(([name, bytes]) =>
    STATES.map((state) => syncedWrites(bench, name, bytes, state)),
  )
}

function syncedWrites(bench: Bench, size: string, bytes: number, state: FileState): Side {
  const file = `syncs-${state}-${bytes}.limit`
  const writes = bench.quick ? 50 : 500
  const measure = () => {
    bench.limits.prepareFile(bench.workspace.path(file), state, bytes * writes)
    settle(bench)
    const tookNs = bench.limits.syncedWrites(bench.workspace.path(file), 0, bytes, writes)
    bench.workspace.discard(file)
    return median([...tookNs]) / 1000
  }
  return { name: `${size} append + fdatasync, ${state} file, p50`, unit: 'µs', measure }
}

function wakeUps({ limits, quick }: Bench): Side[] {
  const wakeUp = (signal: Signal, pace: Pace, how: string): Side => {
    const [count, intervalUs] = [quick ? 200 : 1000, 200]
    const measure = () => median([...limits.handOvers(signal, pace, intervalUs, count)]) / 1000
    return { name: `thread to thread, ${signal}, ${how}, p50`, unit: 'µs', measure }
  }
  return [
    wakeUp('spinning', 'spin', 'busy sender'),
    wakeUp('futex', 'spin', 'busy sender'),
    wakeUp('futex', 'sleep', 'sleeping sender'),
    wakeUp('eventfd', 'spin', 'busy sender'),
    wakeUp('eventfd', 'sleep', 'sleeping sender'),
  ]
}
