/**
 * The field of one run: who takes part, who had to be left out and why. A peer that fails leaves the run by name; the
 * others go on.
 */
import { join } from 'node:path'
import { type Bench, settle } from '../bench.js'
import { firstLine, type Log, type Peer, type Place } from './peer.js'

/** How long one step of a peer may take: opening it, or one measurement. */
const STEP_MS = 60_000

/** The one contender that is no peer, because no Node process can use it. */
export const CHRONICLE: Pick<Peer, 'name' | 'product' | 'server'> = {
  name: 'Chronicle Queue (Java)',
  product: 'chronicle',
}

/** A log of a peer, open for one contest. */
export interface Entrant {
  readonly peer: Peer
  readonly log: Log
}

/** Peers, place and settings of a run. */
export class Field {
  readonly bench: Bench
  readonly place: Place
  readonly peers: readonly Peer[]
  /** Whether {@link CHRONICLE} runs beside the latencies. */
  readonly withChronicle: boolean
  readonly #left = new Map<string, string>()

  constructor(bench: Bench, place: Place, peers: readonly Peer[], withChronicle: boolean) {
    this.bench = bench
    this.place = place
    this.peers = peers
    this.withChronicle = withChronicle
  }

  /** Whether this run is short. */
  get quick(): boolean {
    return this.bench.quick
  }

  /** Everybody who was left out, with the reason. */
  get leftOut(): ReadonlyMap<string, string> {
    return this.#left
  }

  /** Why a peer is not, or no longer, part of the run. */
  reason(name: string): string | undefined {
    return this.#left.get(name)
  }

  /** Leaves a peer out from now on. */
  leaveOut(name: string, reason: string): void {
    if (!this.#left.has(name)) this.#left.set(name, reason)
  }

  #fail({ name }: Pick<Peer, 'name'>, error: unknown): void {
    this.leaveOut(name, firstLine(error))
    console.log(`left out from here on: ${name} (${firstLine(error)})`)
  }

  /** Opens a log of each of these peers that is still part of the run. */
  async enter(contest: string, peers: readonly Peer[]): Promise<Entrant[]> {
    const entrants: Entrant[] = []
    this.place.servers.letAllRun()
    for (const peer of peers) {
      if (this.#left.has(peer.name)) continue
      try {
        entrants.push({ peer, log: await within(peer.open(this.place, logName(contest, peer))) })
      } catch (error) {
        this.#fail(peer, error)
      }
    }
    return entrants
  }

  /** Opens the log of an entrant again. */
  reopen(contest: string, peer: Peer): Promise<Log> {
    return within(peer.open(this.place, logName(contest, peer)))
  }

  /**
   * One measurement of a peer, after what others left in memory is written out. A failure leaves the peer out, and
   * gives no number now and later.
   */
  async measure(peer: Pick<Peer, 'name' | 'server'>, measure: () => Promise<number>): Promise<number> {
    if (this.#left.has(peer.name)) return Number.NaN
    try {
      this.place.servers.letRun(await peer.server?.(this.place))
      settle(this.bench)
      return await within(measure())
    } catch (error) {
      this.#fail(peer, error)
      return Number.NaN
    }
  }

  /** Closes the logs of a contest; in process their data goes at once, servers keep theirs until the run ends. */
  async leave(entrants: readonly Entrant[]): Promise<void> {
    this.place.servers.letAllRun()
    for (const { peer, log } of entrants) {
      try {
        await within(Promise.resolve(log.close()))
      } catch (error) {
        this.#fail(peer, error)
      }
    }
  }
}

/** A name of its own for each log, as files, topics and streams may be called. */
export function logName(contest: string, { name }: Peer): string {
  return `${contest}-${name}`.replaceAll(/\W+/g, '-')
}

/** Where logs of a run lie. */
export function logFolder(bench: Bench): string {
  return join(bench.workspace.directory, 'logs')
}

/** Fails a step that takes too long; a call that blocks this thread cannot be ended. */
async function within<T>(step: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${STEP_MS / 1000} s`)), STEP_MS)
  })
  try {
    return await Promise.race([step, late])
  } finally {
    clearTimeout(timer)
  }
}
