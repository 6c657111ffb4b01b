/**
 * Large synced writes: how near the log comes to bare writes of a MiB, each with its sync, into prepared and into
 * growing files.
 */
import { Appender } from '../appender.js'
import { type Bench, MIB, openFresh, settle, untilPrepared } from '../bench.js'
import { type Contest, ratioAtLeast, type Side } from '../rows.js'
import type { FileState } from '../limits.js'

const RECORD_BYTES = 1024
const SHARDS = 4

/** The contests against writes of a MiB. */
export function diskContests(bench: Bench): Contest[] {
  return [prepared(bench), sustained(bench)]
}

/** Every segment stands ready before the first append, so the disk has only data to write. */
function prepared(bench: Bench): Contest {
  const bytes = (bench.quick ? 128 : 1024) * MIB
  const limit = 'write + fdatasync each 1 MiB, rewritten file'
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, 'prepared')
    const appender = new Appender(RECORD_BYTES)
    const measure = async (round: number) => {
      // Keys and frames take their share too; the segments must suffice for all of it.
      const stream = await millrace.createStream(`prepared-${round}`, {
        shards: SHARDS,
        preallocate: bytes * 1.25,
      })
      await untilPrepared(bench.workspace.path('prepared'))
      settle(bench)
      return ((await appender.appendRecords(stream, bytes / RECORD_BYTES)) * RECORD_BYTES) / MIB
    }
    const name = 'append 1 KiB, synced, prepared segments'
    const sides = [
      largeWrites(bench, 'write + fdatasync each 1 MiB, allocated file', 'allocated', bytes),
      largeWrites(bench, limit, 'rewritten', bytes),
      { name, unit: 'MiB/s', measure, against: limit, target: ratioAtLeast(0.8) },
    ]
    return { sides, close: remove }
  }
  return { name: 'append 1 KiB prepared', rounds: bench.quick ? 3 : 5, open }
}

/** One stream and one file grow side by side, a chunk each in turn, further than any preparation reaches. */
function sustained(bench: Bench): Contest {
  const chunkBytes = (bench.quick ? 128 : 512) * MIB
  const limit = 'write + fdatasync each 1 MiB, growing file'
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, 'sustained')
    const stream = await millrace.createStream('sustained', { shards: SHARDS })
    const appender = new Appender(RECORD_BYTES)
    const measure = async () => {
      settle(bench)
      return ((await appender.appendRecords(stream, chunkBytes / RECORD_BYTES)) * RECORD_BYTES) / MIB
    }
    const name = `append 1 KiB, synced, sustained`
    const sides = [
      growingWrites(bench, limit, chunkBytes),
      { name, unit: 'MiB/s', measure, against: limit, target: ratioAtLeast(0.8) },
    ]
    return { sides, close: remove }
  }
  return { name: 'append 1 KiB sustained', rounds: bench.quick ? 4 : 8, open }
}

function largeWrites(bench: Bench, name: string, state: FileState, bytes: number): Side {
  const path = bench.workspace.path(`${state}.limit`)
  const measure = () => {
    bench.limits.prepareFile(path, state, bytes)
    settle(bench)
    return rateOf(bench.limits.syncedWrites(path, 0, MIB, bytes / MIB))
  }
  return { name, unit: 'MiB/s', measure }
}

function growingWrites(bench: Bench, name: string, chunkBytes: number): Side {
  const path = bench.workspace.path('sustained.limit')
  bench.limits.prepareFile(path, 'growing', 0)
  const measure = (round: number) => {
    settle(bench)
    return rateOf(bench.limits.syncedWrites(path, round * chunkBytes, MIB, chunkBytes / MIB))
  }
  return { name, unit: 'MiB/s', measure }
}

/** MiB a second from the nanoseconds that each MiB took. */
function rateOf(tookNs: Float64Array): number {
  return tookNs.length / (tookNs.reduce((sum, ns) => sum + ns, 0) / 1e9)
}
