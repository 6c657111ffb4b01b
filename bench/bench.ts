/**
 * What every contest is given, and the data that several of them write.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
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

/** Appends after which the keys repeat in the same order. */
const KEY_SEQUENCE = 2 ** 20

/**
 * Keys in the order of their use, uniform over {@link KEYS} distinct ones, from a fixed seed. Each is a string of its
 * own, as it is when a caller has just parsed it, so that what is timed is the append and not the search for a string
 * that was last touched 100,000 records ago.
 */
export function makeFreshKeys(): string[] {
  return keyNumbers().map(keyName)
}

/** The same keys in the same order, but 100,000 shared strings, which the processor's cache does not hold. */
export function makeSharedKeys(): string[] {
  const keys = Array.from({ length: KEYS }, (_, i) => keyName(i))
  return keyNumbers().map((number) => keys[number]!)
}

function keyName(number: number): string {
  return `user-${String(number).padStart(6, '0')}`
}

function keyNumbers(): number[] {
  let state = 0x9e37_79b9
  return Array.from({ length: KEY_SEQUENCE }, () => {
    // xorshift32: no period shorter than 2^32 - 1, and no modulo bias that matters at 100,000 keys.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % KEYS
  })
}

/** A few payloads of the same length and different bytes, so that no copy comes from one hot cache line. */
export function makePayloads(bytes: number): Uint8Array[] {
  return Array.from({ length: 64 }, (_, i) => new Uint8Array(bytes).fill(i + 1))
}

/** About what a side writes in one round. */
const SETTLED_BYTES = 1280 * MIB
const SETTLED_BYTES_QUICK = 384 * MIB

/**
 * Makes every side begin alike: writes out what earlier ones left in memory, and has the pages of memory at hand that
 * this one will fill. A virtual machine gives free memory back to its host within seconds; pages that have to come from
 * there again take six times as long, and would fall to whichever side is the first to need them.
 */
export function settle({ limits, workspace, quick }: Bench, bytes = quick ? SETTLED_BYTES_QUICK : SETTLED_BYTES): void {
  limits.syncFileSystem(workspace.directory)
  limits.touchMemory(bytes)
}

/** Waits until nothing below the folder has grown for a moment: what the engine prepares is prepared. */
export async function untilPrepared(directory: string): Promise<void> {
  let known = -1
  for (let bytes = allocatedBytes(directory); bytes !== known; bytes = allocatedBytes(directory)) {
    known = bytes
    await delay(250)
  }
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

/** Bytes of blocks that all files below take, which is less than their lengths where they are sparse. */
export function allocatedBytes(directory: string): number {
  return readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(directory, entry.name)
    return sum + (entry.isDirectory() ? allocatedBytes(path) : statSync(path).blocks * 512)
  }, 0)
}
