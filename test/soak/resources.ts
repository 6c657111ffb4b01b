/** What a soak holds of the machine, looked at once a second. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * What is watched. All but the last four are bytes. Disk is what the files take beyond what was written lately: the rate
 * of writing, which the machine's other work decides, says nothing of a leak.
 */
export const WATCHED = [
  'rss',
  'anonymous',
  'heapUsed',
  'external',
  'arrayBuffers',
  'excessDisk',
  'descriptors',
  'maps',
  'threads',
  'delayMs',
] as const

/** One of the figures that are watched. */
export type Figure = (typeof WATCHED)[number]

/** All figures at a moment. */
export type Sample = Readonly<Record<Figure, number>> & {
  /** Milliseconds since the run began. */
  readonly ms: number
  /** Bytes of all files. */
  readonly disk: number
}

/** Looks at this process and at a folder. */
export class Sampler {
  readonly #folder: string
  readonly #delay = monitorEventLoopDelay({ resolution: 10 })
  readonly #started = performance.now()

  constructor(folder: string) {
    this.#folder = folder
    this.#delay.enable()
  }

  /**
   * The figures at this moment; the delay is the 99th percentile since the last look. `writtenBytes` is what was written
   * within the time that the store keeps it.
   */
  sample(writtenBytes: number): Sample {
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    const delayMs = this.#delay.percentile(99) / 1e6
    this.#delay.reset()
    const disk = diskBytes(this.#folder)
    const status = readFileSync('/proc/self/status', 'utf8')
    return {
      ms: performance.now() - this.#started,
      rss,
      anonymous: Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024,
      heapUsed,
      external,
      arrayBuffers,
      disk,
      excessDisk: Math.max(0, disk - writtenBytes),
      descriptors: readdirSync('/proc/self/fd').length,
      maps: readFileSync('/proc/self/maps', 'utf8').split('\n').length - 1,
      threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1]),
      delayMs,
    }
  }

  /** Stops watching the event loop. */
  stop(): void {
    this.#delay.disable()
  }
}

/** What of this process still refers to files below a folder: descriptors and maps, by name. */
export function leftovers(folder: string): string[] {
  const descriptors = readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)]
    } catch {
      // The descriptor of the listing itself is closed by now.
      return []
    }
  })
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return [...descriptors.map((path) => `open: ${path}`), ...maps.map((line) => `mapped: ${line}`)].filter((text) =>
    text.includes(folder),
  )
}

/** Bytes on disk of all files below a folder. */
export function diskBytes(folder: string): number {
  let bytes = 0
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      bytes += entry.isDirectory() ? diskBytes(path) : sizeOf(path)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return bytes
}

function sizeOf(path: string): number {
  // Files go while one looks: those of deleted streams and of expired segments.
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
}
