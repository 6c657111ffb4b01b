/**
 * The bare operations of `native/limits`, built here and loaded without a package around them: only the bench ever
 * needs that crate.
 */
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** In what state `prepareFile` leaves a file. */
export type FileState = 'growing' | 'allocated' | 'rewritten'

/** Whether a publisher sleeps or spins until its next turn. */
export type Pace = 'sleep' | 'spin'

/** How a waiting native thread learns of what another one says. */
export type Signal = 'eventfd' | 'futex' | 'spinning'

/** What the crate exports; its documentation stands there. */
export interface Limits {
  emptyCall(): void
  nowNs(): number
  memoryCopy(bytes: number, copies: number): number
  prepareFile(path: string, state: FileState, bytes: number): void
  syncedWrites(path: string, offset: number, bytesPerSync: number, syncs: number): Float64Array
  pacedSyncedWrites(
    path: string,
    offset: number,
    bytesPerSync: number,
    syncs: number,
    pace: Pace,
    intervalUs: number,
  ): Float64Array
  cachedWrites(path: string, bytesPerWrite: number, writes: number): number
  dropFromCache(path: string): void
  syncFileSystem(path: string): void
  pacedRequests(address: string, requests: readonly string[], connections: number, intervalUs: number): Float64Array
  pacedSyncedExchanges(
    path: string,
    bytesPerAppend: number,
    requests: readonly string[],
    connections: number,
    intervalUs: number,
  ): Float64Array
  touchMemory(bytes: number): void
  checksums(bytes: number, times: number): number
  handOvers(signal: Signal, pace: Pace, intervalUs: number, count: number): Float64Array
  readonly StampPage: new () => StampPage
  readonly Waker: new (callback: (stampNs: number) => void) => Waker
}

/** A page that a native thread stamps. */
export interface StampPage {
  buffer(): ArrayBuffer
  storeFromThread(pace: Pace, intervalUs: number, count: number): void
}

/** A bare thread-safe function. */
export interface Waker {
  wake(): void
  wakeFromThread(pace: Pace, intervalUs: number, count: number): void
  close(): void
}

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where cargo puts what it builds. */
export const targetFolder = resolve(root, process.env['CARGO_TARGET_DIR'] ?? 'target')

const library = join(targetFolder, 'release', 'libmillrace_limits.so')

/** Compiles the crate; cargo does nothing when it is up to date. */
export function buildLimits(): void {
  const args = ['build', '--release', '--quiet', '--locked', '--package', 'millrace-limits']
  const { status } = spawnSync('cargo', args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Error('cargo could not build millrace-limits; its output stands above')
}

/** Loads what `buildLimits` built, in any thread or child process of the bench. */
export function loadLimits(): Limits {
  const loaded = { exports: {} as Limits }
  process.dlopen(loaded as unknown as NodeJS.Module, library)
  return loaded.exports
}
