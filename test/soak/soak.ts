/**
 * One run: rounds of load by many threads on one store, each ended by closing the store, opening it again and auditing
 * it; beside it a store whose writers are killed. Samples of what is held are taken all the while.
 */
import { once, setMaxListeners } from 'node:events'
import { existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Millrace } from 'millrace'
import { auditStream } from './activities/audit.js'
import { verify } from './activities/administer.js'
import { Counters, openOptions, STEER, type Context, type ThreadData } from './context.js'
import { judge, type Verdict } from './judge.js'
import { Kills } from './kills.js'
import { Ledger } from './ledger.js'
import { Payloads } from './payload.js'
import { paceOf, ROLES, STANDING, type Pace, type Role } from './plan.js'
import { Random } from './random.js'
import { leftovers, Sampler, type Sample } from './resources.js'
import { ENTRY, translate } from './scripts.js'
import { Breach } from './tally.js'
import { Threads } from './threads.js'

/** What may be broken on purpose, to show that it is noticed. */
export const PLANTS = ['lost', 'view', 'descriptor', 'memory'] as const

/** How to run. */
export interface SoakOptions {
  readonly directory: string
  readonly minutes: number
  readonly seed: number
  readonly diskBytesMax: number
  readonly plant: string | undefined
  /** Aborted to end the run early; the final checks are the same. */
  readonly signal: AbortSignal
  readonly onSample: (sample: Sample, soak: Soak) => void
}

const SAMPLE_EVERY_MS = 1_000
/** The load is held back when this part of the disk that is allowed is in use. */
const PRESSURE = 0.6
/** Headers, keys and tables beside the data, as a factor. */
const FRAMING = 1.25
/** What a thread gets to come to its end: its own last read, and the sync of what is in flight. */
const STOP_WITHIN_MS = 20_000
/** A round of load takes at most so long, in milliseconds, and at least a fifth of a run fits. */
const ROUND_MS_MOST = 20_000

/** See the head of this file. */
export class Soak {
  readonly options: SoakOptions
  readonly pace: Pace
  readonly counters = new Counters()
  readonly samples: Sample[] = []
  readonly breaches: string[] = []
  readonly kills: Kills
  readonly threads: Threads
  readonly runMs: number
  rounds = 0
  readonly #store: string
  readonly #random: Random
  readonly #ledger: Ledger
  readonly #payloads: Payloads
  readonly #steer = new Int32Array(new SharedArrayBuffer(STEER.words * Int32Array.BYTES_PER_ELEMENT))
  readonly #stop = new AbortController()
  readonly #started = performance.now()
  readonly #hoard: unknown[] = []
  /** KiB acknowledged by each sample, for as long as the store keeps them. */
  readonly #written: { readonly ms: number; readonly kib: number }[] = []

  constructor(options: SoakOptions) {
    this.options = options
    this.runMs = options.minutes * 60_000
    this.pace = paceOf(this.runMs)
    this.#store = join(options.directory, 'store')
    this.#random = new Random(options.seed, 'main')
    this.#ledger = Ledger.create(this.pace.retentionMs)
    this.#payloads = new Payloads(options.seed)
    this.#steer[STEER.nextStream] = 1
    const scripts = translate(join(options.directory, 'scripts'))
    this.threads = new Threads(scripts('thread.js'), (text) => this.#breach(text))
    this.kills = new Kills({
      directory: join(options.directory, 'killed'),
      script: scripts('killed.js'),
      payloads: this.#payloads,
      seed: options.seed,
      random: new Random(options.seed, 'kills'),
      pace: this.pace,
    })
    setMaxListeners(0, this.#stop.signal)
  }

  /** Milliseconds since the run began. */
  get elapsedMs(): number {
    return performance.now() - this.#started
  }

  /** Runs to the end, which comes by time, by a breach or by the signal; resolves to the verdicts on what was held. */
  async run(): Promise<readonly Verdict[] | undefined> {
    const end = (): void => this.#stop.abort()
    this.options.signal.addEventListener('abort', end, { once: true })
    const timer = setTimeout(end, this.runMs)
    const sampler = new Sampler(this.options.directory)
    const sampling = setInterval(() => this.#sample(sampler), SAMPLE_EVERY_MS)
    try {
      await this.#guarded(() => this.#load())
      await this.#guarded(() => this.#finalAudit())
      // Apart from the audit, so that no frame of it holds on to the store.
      await this.#guarded(() => this.#checkLeftovers())
    } finally {
      clearTimeout(timer)
      clearInterval(sampling)
      sampler.stop()
      this.options.signal.removeEventListener('abort', end)
    }
    // Two retentions: by then records expire as fast as they come, and all code has run.
    const verdicts = judge(this.samples, Math.min(2 * this.pace.retentionMs, this.runMs / 3))
    for (const { figure, kept, earlier, later, bound } of verdicts ?? []) {
      if (!kept) this.#breach(`${figure} grew from ${earlier} to ${later}, expected at most ${Math.round(bound)}`)
    }
    return verdicts
  }

  async #load(): Promise<void> {
    const kills = this.#killAgainAndAgain()
    try {
      while (!this.#stop.signal.aborted) await this.#round()
    } finally {
      this.#stop.abort()
      await kills
    }
  }

  /** Opens the store, audits what the round before left, and puts it under load for a while. */
  async #round(): Promise<void> {
    const millrace = await Millrace.open(this.#store, openOptions(this.pace))
    try {
      // By a clock this fast the store was closed for hours: an operator says that this is right.
      await millrace.acceptClock()
      for (const { name, options } of STANDING) await millrace.createStream(name, { ...options, ifNotExists: true })
      if (this.rounds > 0) await this.#auditAll(millrace)
      this.rounds += 1
      const lanes = ROLES.map((role) => this.#lane(role))
      await this.#wait(Math.min(ROUND_MS_MOST, this.runMs / 5) * (0.7 + 0.6 * this.#random.fraction()))
      this.#roundIsOver = true
      await this.threads.stop(STOP_WITHIN_MS)
      await Promise.all(lanes)
      await this.#auditAll(millrace)
    } finally {
      this.#roundIsOver = false
      await millrace.close()
    }
  }

  #roundIsOver = false

  /** Keeps one thread of a role running; a mortal one is ended now and then, and another takes its place. */
  async #lane(role: Role): Promise<void> {
    for (let life = 0; !this.#over(); life += 1) {
      const worker = this.threads.start(this.#dataFor(role, life))
      const exited = new Promise<void>((resolve) => {
        worker.once('exit', () => resolve())
      })
      if (!role.mortal) return await exited
      // Not while it still loads its modules: Node.js leaves open what such a thread was just reading.
      await Promise.race([exited, once(worker, 'message')])
      // Short lives end while the store is being opened.
      const lifeMs = this.#random.chance(25) ? this.#random.whole(0, 120) : this.#random.whole(200, 4_000)
      await Promise.race([exited, this.#wait(lifeMs)])
      if (!this.#over()) await this.threads.terminate(worker)
    }
  }

  #over(): boolean {
    return this.#roundIsOver || this.#stop.signal.aborted
  }

  async #killAgainAndAgain(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#guarded(() => this.kills.round())
      await this.#wait(this.#random.whole(1_000, 6_000))
    }
  }

  async #auditAll(millrace: Millrace): Promise<void> {
    const context = this.#contextFor(millrace)
    for (const standing of STANDING) await auditStream(context, standing)
  }

  async #finalAudit(): Promise<void> {
    if (!existsSync(this.#store)) return
    const millrace = await Millrace.open(this.#store, openOptions(this.pace))
    try {
      const context = this.#contextFor(millrace)
      await this.#auditAll(millrace)
      await verify(context)
      for (const { name } of millrace.listStreams()) await (await millrace.stream(name)).sync()
    } finally {
      await millrace.close()
    }
  }

  /** With the store closed and all garbage collected, nothing of the process may refer to its files any more. */
  async #checkLeftovers(): Promise<void> {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    let left: string[] = []
    for (let turn = 0; turn < 50; turn += 1) {
      collect()
      // Finalizers run in a later turn of the event loop.
      await sleep(20)
      left = leftovers(this.#store)
      if (left.length === 0) return
    }
    throw new Breach(`${left.length} descriptors and maps are left behind, such as ${left[0]}`)
  }

  #contextFor(millrace: Millrace): Context {
    return {
      millrace,
      directory: this.#store,
      random: this.#random,
      ledger: this.#ledger,
      payloads: this.#payloads,
      counters: this.counters,
      pace: this.pace,
      // Audits between rounds come to their end, whatever else is to stop.
      signal: new AbortController().signal,
      steer: this.#steer,
      plant: undefined,
      verify: (directory) => Millrace.verify(directory),
    }
  }

  #dataFor(role: Role, life: number): ThreadData {
    return {
      entry: ENTRY,
      directory: this.#store,
      seed: this.options.seed,
      name: `${role.name} ${this.rounds}.${life}`,
      activities: role.activities,
      pace: this.pace,
      ledger: this.#ledger.memory,
      counters: this.counters.memory,
      steer: this.#steer.buffer as SharedArrayBuffer,
      plant: this.options.plant,
    }
  }

  #sample(sampler: Sampler): void {
    const sample = sampler.sample(this.#keptBytes())
    this.samples.push(sample)
    this.options.onSample(sample, this)
    const { diskBytesMax, plant } = this.options
    Atomics.store(this.#steer, STEER.pressure, sample.disk > diskBytesMax * PRESSURE ? 1 : 0)
    if (sample.disk > diskBytesMax) this.#breach(`${sample.disk} bytes on disk, expected at most ${diskBytesMax}`)
    if (plant === 'descriptor') for (let i = 0; i < 10; i += 1) this.#hoard.push(openSync('/dev/null', 'r'))
    if (plant === 'memory') this.#hoard.push(Buffer.alloc(24 << 20, 1))
  }

  /** An upper bound on what the store keeps: the longest retention, half of one for whole segments, and framing. */
  #keptBytes(): number {
    const kib = this.counters.get('kibAcknowledged')
    this.#written.push({ ms: this.elapsedMs, kib })
    while ((this.#written[1]?.ms ?? Number.POSITIVE_INFINITY) < this.elapsedMs - 2.5 * this.pace.retentionMs) {
      this.#written.shift()
    }
    return (kib - (this.#written[0]?.kib ?? 0)) * 1024 * FRAMING
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#breach(
        error instanceof Breach ? error.message : error instanceof Error ? String(error.stack) : String(error),
      )
    }
  }

  #breach(text: string): void {
    this.breaches.push(text)
    this.#stop.abort()
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => {})
  }
}
