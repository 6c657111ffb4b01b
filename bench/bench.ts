/**
 * What every contest is given, and the data that several of them write.
 */
import { Millrace } from 'millrace'
import type { Limits } from './limits.js'
import type { Workspace } from './workspace.js'

/** One run of the bench. */
export interface Bench {
  readonly workspace: Workspace
  readonly limits: Limits
  /** Whether to stay under a minute. */
  readonly quick: boolean
}

/** Distinct partition keys, as the targets name them. */
export const KEYS = 100_000

/** Bytes in a MiB. */
export const MIB = 2 ** 20

/** The keys, made before anything is timed. */
export function makeKeys(): string[] {
  return Array.from({ length: KEYS }, (_, i) => `user-${String(i).padStart(6, '0')}`)
}

/** 2^20 uniform indexes into the keys, from a fixed seed, so that each run appends the same sequence of keys. */
export function makeKeyOrder(): Uint32Array {
  const order = new Uint32Array(2 ** 20)
  let state = 0x9e37_79b9
  for (let i = 0; i < order.length; i++) {
    // xorshift32: no period shorter than 2^32 - 1, and no modulo bias that matters at 100,000 keys.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    order[i] = (state >>> 0) % KEYS
  }
  return order
}

/** A few payloads of the same length and different bytes, so that no copy comes from one hot cache line. */
export function makePayloads(bytes: number): Uint8Array[] {
  return Array.from({ length: 64 }, (_, i) => new Uint8Array(bytes).fill(i + 1))
}

/** Writes out what earlier sides left in memory, so that this one does not pay for it. */
export function settle({ limits, workspace }: Bench): void {
  limits.syncFileSystem(workspace.directory)
}

/** Opens a fresh data directory of the given name, and returns what closes and removes it. */
export async function openFresh(
  bench: Bench,
  name: string,
): Promise<{ millrace: Millrace; remove: () => Promise<void> }> {
  const millrace = await Millrace.open(bench.workspace.path(name))
  const remove = async () => {
    await millrace.close()
    bench.workspace.discard(name)
  }
  return { millrace, remove }
}
