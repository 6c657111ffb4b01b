/**
 * What a soak is made of: its streams, its threads and what each of them does, and the figures that follow from how
 * long it runs.
 */
import type { CreateStreamOptions, Durability } from 'millrace'
import type { Kept } from './tally.js'

const HOUR_MS = 3_600_000
/** The shortest retention that a stream can have, in hours. */
const RETENTION_HOURS = 24
/** A retention passes ten times in a run, and takes at least this long and at most that, in milliseconds. */
const RETENTION_MS_LEAST = 3_000
const RETENTION_MS_MOST = 24_000
/** By docs/durability.md a record is returned at most about a minute after its time. */
const SLACK_HOURS = 1 / 60
/** The passes of retention sync, beside a load that keeps all cores busy: so much real time they may take, in ms. */
const PASS_MS = 2_000

/** A stream that stands as long as the run. */
export interface Standing {
  readonly id: number
  readonly name: string
  readonly options: CreateStreamOptions<Uint8Array>
  readonly hoursLeast: number
  readonly hoursMost: number
}

/** `interval` is by the store's clock: at the usual factors a minute is a few milliseconds. */
const INTERVAL = { interval: 60_000 } as const

/** The stream whose shards split and merge. */
export const SHIFTING = 'shifting'

/** The standing streams: each policy, few shards and many, and those whose retention or shards change all the time. */
export const STANDING: readonly Standing[] = [
  standing(1, 'synced', { shards: 2, durability: 'synced' }),
  standing(2, 'interval', { shards: 4, durability: INTERVAL }),
  standing(3, 'os', { shards: 1, durability: 'os' }),
  standing(4, 'wide', { shards: 64, durability: 'os' }),
  standing(5, 'elastic', { shards: 3, durability: INTERVAL }, 48),
  standing(6, 'prepared', { shards: 2, durability: 'synced', preallocate: 2 << 20 }),
  standing(7, SHIFTING, { shards: 2, durability: 'os' }),
]

function standing(id: number, name: string, options: CreateStreamOptions<Uint8Array>, hoursMost = RETENTION_HOURS) {
  return { id, name, options: { ...options, retention: RETENTION_HOURS }, hoursLeast: RETENTION_HOURS, hoursMost }
}

/** Streams that come and go are numbered from here on. */
export const PASSING_FROM = 100

/** The number of a stream by its name; `undefined` for a name that is none of ours. */
export function streamOf(name: string): number | undefined {
  const passing = /^passing-(\d+)$/.exec(name)
  return passing === null ? STANDING.find((stream) => stream.name === name)?.id : Number(passing[1])
}

/** The name of a stream that comes and goes. */
export function passingName(id: number): string {
  return `passing-${id}`
}

/** Figures of a run, for its threads as well. */
export interface Pace {
  /** Real milliseconds in which the shortest retention passes. */
  readonly retentionMs: number
  /** How many times faster than the machine's the store's clock runs. */
  readonly clockFactor: number
  readonly segmentBytesMax: number
}

/** The pace of a run of so many milliseconds. */
export function paceOf(runMs: number): Pace {
  const wanted = Math.min(RETENTION_MS_MOST, Math.max(RETENTION_MS_LEAST, runMs / 10))
  const clockFactor = Math.round((RETENTION_HOURS * HOUR_MS) / wanted)
  return { retentionMs: (RETENTION_HOURS * HOUR_MS) / clockFactor, clockFactor, segmentBytesMax: 256 << 10 }
}

/** How long a stream's records stay, in real milliseconds. */
export function keptBy(pace: Pace, stream: number): Kept {
  const { hoursLeast, hoursMost } = STANDING.find(({ id }) => id === stream) ?? { hoursLeast: 24, hoursMost: 24 }
  const hourMs = HOUR_MS / pace.clockFactor
  return { leastMs: hoursLeast * hourMs, mostMs: (hoursMost + SLACK_HOURS) * hourMs + PASS_MS }
}

/** One thread and what it does at once, as often as they are named. */
export interface Role {
  readonly name: string
  readonly activities: readonly string[]
  /** Whether the thread is ended at random instants, with all that it is at. */
  readonly mortal: boolean
}

/** All threads. An activity that is new joins a list here and one in `activities.ts`. */
export const ROLES: readonly Role[] = [
  {
    name: 'steady',
    mortal: false,
    activities: ['produce', 'follow', 'follow', 'lag', 'hold', 'administer', 'audit', 'reshard'],
  },
  {
    name: 'mortal',
    mortal: true,
    activities: ['produce', 'produce', 'follow', 'revisit', 'poll', 'churn', 'trespass'],
  },
  { name: 'fleeting', mortal: true, activities: ['produce', 'churn', 'trespass', 'revisit', 'hold', 'administer'] },
]

/** What a process that will be killed is told. */
export interface KilledData {
  readonly entry: string
  readonly directory: string
  readonly seed: number
  readonly life: number
  readonly pace: Pace
  /** One producer a policy, and the first number of each of its records. */
  readonly producers: readonly { readonly producer: number; readonly keys: number; readonly policy: string }[]
}

/** The streams of that process, and their policies. */
export const POLICIES: Readonly<Record<string, Durability>> = {
  synced: 'synced',
  interval: { interval: 5 },
  os: 'os',
}
