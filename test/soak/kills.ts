/** Kills a writing process with SIGKILL, opens its store, and compares it with what the process was told. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Millrace } from 'millrace'
import { openOptions } from './context.js'
import { Ledger, type ProducerAccount } from './ledger.js'
import type { Payloads } from './payload.js'
import { POLICIES, type KilledData, type Pace } from './plan.js'
import type { Random } from './random.js'
import { diskBytes } from './resources.js'
import { ENTRY } from './scripts.js'
import { Breach, Tally } from './tally.js'

/** A store that has grown beyond this is begun anew, in bytes. */
const STORE_BYTES_MAX = 64 << 20
/** And one that has lived so often: its ledger has a slot for each of its producers. */
const LIVES_MAX = 200
/** How streams are called that a life creates and deletes. */
const BRIEF = 'brief-'
/** Nothing expires in these stores: they live for seconds, by the machine's clock. */
const KEPT = { leastMs: Number.POSITIVE_INFINITY, mostMs: Number.POSITIVE_INFINITY }

/** What a victim's streams are known to be. */
type Fate = 'created' | 'deleting' | 'deleted'

/** One store whose writers are killed, life after life. */
export class Kills {
  readonly #directory: string
  readonly #script: URL
  readonly #payloads: Payloads
  readonly #seed: number
  readonly #random: Random
  readonly #pace: Pace
  #ledger = Ledger.create(1_000)
  #fates = new Map<string, Fate>()
  #life = 0
  /** Processes killed, and records that were found again. */
  kills = 0
  records = 0

  constructor(options: {
    readonly directory: string
    readonly script: URL
    readonly payloads: Payloads
    readonly seed: number
    readonly random: Random
    readonly pace: Pace
  }) {
    this.#directory = options.directory
    this.#script = options.script
    this.#payloads = options.payloads
    this.#seed = options.seed
    this.#random = options.random
    this.#pace = options.pace
  }

  /** One life: the process writes, is killed at some instant, and its store is audited. */
  async round(): Promise<void> {
    this.#life += 1
    if (this.#life % LIVES_MAX === 0 || diskBytes(this.#directory) > STORE_BYTES_MAX) this.#beginAnew()
    await this.#writeAndKill()
    this.kills += 1
    await this.#audit()
  }

  async #writeAndKill(): Promise<void> {
    const accounts = new Map<number, ProducerAccount>()
    const producers = Object.keys(POLICIES).map((policy, index) => {
      const account = this.#ledger.register(index + 1, this.#random.pick([1, 7, 50]))
      account.assumeAll()
      accounts.set(account.producer, account)
      return { producer: account.producer, keys: account.keys, policy }
    })
    const data: KilledData = {
      entry: ENTRY,
      directory: this.#directory,
      seed: this.#seed,
      life: this.#life,
      pace: this.#pace,
      producers,
    }
    const child = spawn(process.execPath, [fileURLToPath(this.#script), JSON.stringify(data)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    // Killed after so many facts, or soon after the start where there are none: while it opens its store, that is.
    let left = this.#random.chance(20) ? 1 : this.#random.whole(2, 400)
    for await (const line of createInterface({ input: child.stdout })) {
      this.#note(line, accounts)
      left -= 1
      if (left === 0) child.kill('SIGKILL')
    }
    await closed
    if (child.exitCode !== null) throw new Breach(`the process that was to be killed ended with ${child.exitCode}`)
  }

  /** Takes a fact. The pipe keeps so short a line whole. */
  #note(line: string, accounts: ReadonlyMap<number, ProducerAccount>): void {
    const [fact, subject = '', count] = line.split(' ')
    if (fact === 'acknowledged' && count !== undefined) accounts.get(Number(subject))?.acknowledge(Number(count))
    if (fact === 'created' || fact === 'deleting' || fact === 'deleted') this.#fates.set(subject, fact)
  }

  async #audit(): Promise<void> {
    const millrace = await Millrace.open(this.#directory, openOptions({ ...this.#pace, clockFactor: 1 }))
    try {
      const damaged = millrace.warnings.filter((warning) => warning.includes('damaged'))
      if (damaged.length > 0) throw new Breach(`a kill damaged the store: ${damaged[0]}`)
      const listed = new Map(millrace.listStreams().map(({ name, status }) => [name, status]))
      for (const [name, fate] of this.#fates) {
        if (fate === 'created' && listed.get(name) !== 'active') throw new Breach(`stream ${name} is gone after a kill`)
        if (fate === 'deleted' && listed.has(name)) throw new Breach(`stream ${name} is back after a kill`)
      }
      for (const [index, policy] of Object.keys(POLICIES).entries()) {
        if (listed.has(policy)) await this.#auditStream(millrace, policy, index + 1)
      }
      for (const name of listed.keys()) {
        if (name.startsWith(BRIEF)) await millrace.deleteStream(name)
      }
      // A life never uses the names of another one.
      for (const name of this.#fates.keys()) if (name.startsWith(BRIEF)) this.#fates.delete(name)
    } finally {
      await millrace.close()
    }
  }

  async #auditStream(millrace: Millrace, name: string, id: number): Promise<void> {
    const stream = await millrace.stream(name)
    const tally = new Tally({ ledger: this.#ledger, payloads: this.#payloads }, id, KEPT, true)
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false })) tally.take(batch, 0)
    tally.finish(this.#ledger.accountsOf(id))
    this.records += tally.records
  }

  #beginAnew(): void {
    rmSync(this.#directory, { recursive: true, force: true })
    this.#ledger = Ledger.create(1_000)
    this.#fates = new Map()
  }
}
