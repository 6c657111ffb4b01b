/**
 * The ledger: what was attempted and acknowledged, in memory that all threads share and no termination can take back.
 *
 * Each producer has a slot: its number, its stream, how many records it has begun to write, how many of these were
 * acknowledged, and a ring of moments (time, begun, acknowledged). The ring bounds when a record arrived: no sooner than
 * the last moment at which it was not begun, no later than the first at which it was acknowledged. Times are
 * milliseconds of the machine's monotonic clock since the ledger was made, the same in all threads.
 *
 * It knows nothing of the store: it is told by those who got an acknowledgement.
 */

const SLOTS = 2048
const MOMENTS = 96
const WORDS_OF_MOMENT = 3
const WORD = { producer: 0, stream: 1, begun: 2, acknowledged: 3, keys: 4, moments: 5, lastMs: 6, ring: 7 }
const WORDS = WORD.ring + MOMENTS * WORDS_OF_MOMENT
/** One word before the slots: the producers given so far. */
const HEADER_WORDS = 1

/** The memory behind a ledger, to be handed to other threads. */
export interface LedgerMemory {
  readonly words: SharedArrayBuffer
  readonly originNs: bigint
  /** Milliseconds between two moments: a fortieth of the retention, so that the ring spans more than two of it. */
  readonly momentMs: number
}

/** What a ledger says of a producer. */
export interface Account {
  readonly producer: number
  readonly stream: number
  readonly begun: number
  readonly acknowledged: number
  readonly keys: number
}

/** A view of the shared ledger. */
export class Ledger {
  readonly memory: LedgerMemory
  readonly #words: Int32Array

  constructor(memory: LedgerMemory) {
    this.memory = memory
    this.#words = new Int32Array(memory.words)
  }

  /** A new ledger for records that stay `retentionMs` milliseconds of real time. */
  static create(retentionMs: number): Ledger {
    const words = new SharedArrayBuffer((HEADER_WORDS + SLOTS * WORDS) * Int32Array.BYTES_PER_ELEMENT)
    return new Ledger({ words, originNs: process.hrtime.bigint(), momentMs: Math.max(1, retentionMs / 40) })
  }

  /** Milliseconds since the ledger was made. */
  now(): number {
    return Number(process.hrtime.bigint() - this.memory.originNs) / 1e6
  }

  /** A slot for a new producer of `stream`. Slots of producers that wrote nothing for long are used again. */
  register(stream: number, keys: number): ProducerAccount {
    const forgottenMs = this.now() - this.memory.momentMs * MOMENTS * 2
    for (let tries = 0; tries < SLOTS; tries += 1) {
      // Never 0, so that an empty slot is told from the first producer's.
      const producer = Atomics.add(this.#words, 0, 1) + 1
      const base = this.#base(producer)
      const free = this.#load(base, WORD.producer) === 0 || this.#load(base, WORD.lastMs) < forgottenMs
      if (!free) continue
      this.#store(base, WORD.producer, 0)
      for (const word of [WORD.begun, WORD.acknowledged, WORD.moments]) this.#store(base, word, 0)
      this.#store(base, WORD.lastMs, this.now())
      this.#store(base, WORD.stream, stream)
      this.#store(base, WORD.keys, keys)
      this.#store(base, WORD.producer, producer)
      return new ProducerAccount(this.#words, base, producer, keys, this)
    }
    throw new Error(`expected a free one of ${SLOTS} slots for a producer`)
  }

  /** The account of a producer; `undefined` when its slot was given to another one since. */
  account(producer: number): Account | undefined {
    const base = this.#base(producer)
    if (this.#load(base, WORD.producer) !== producer) return undefined
    return this.#accountAt(base)
  }

  /** The accounts of all producers of a stream that are not forgotten. */
  accountsOf(stream: number): Account[] {
    const accounts: Account[] = []
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const base = HEADER_WORDS + slot * WORDS
      if (this.#load(base, WORD.producer) !== 0 && this.#load(base, WORD.stream) === stream) {
        accounts.push(this.#accountAt(base))
      }
    }
    return accounts
  }

  /** The producer's record `counter` arrived at this moment or later. */
  arrivedAfter(producer: number, counter: number): number {
    let latest = Number.NEGATIVE_INFINITY
    for (const { ms, begun } of this.#moments(producer)) if (begun <= counter && ms > latest) latest = ms
    return latest
  }

  /** The producer's record `counter` arrived at this moment or sooner. */
  arrivedBefore(producer: number, counter: number): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { ms, acknowledged } of this.#moments(producer)) {
      if (acknowledged > counter && ms < earliest) earliest = ms
    }
    return earliest
  }

  #moments(producer: number): { ms: number; begun: number; acknowledged: number }[] {
    const base = this.#base(producer)
    const written = this.#load(base, WORD.moments)
    const moments = []
    // The oldest one is left aside: its writer may be at it.
    for (let moment = Math.max(0, written - MOMENTS + 1); moment < written; moment += 1) {
      const at = WORD.ring + (moment % MOMENTS) * WORDS_OF_MOMENT
      moments.push({
        ms: this.#load(base, at),
        begun: this.#load(base, at + 1),
        acknowledged: this.#load(base, at + 2),
      })
    }
    // The slot may have been given away meanwhile: its producer is long forgotten then, and no moment is known of it.
    return this.#load(base, WORD.producer) === producer && this.#load(base, WORD.moments) >= written ? moments : []
  }

  #accountAt(base: number): Account {
    return {
      producer: this.#load(base, WORD.producer),
      stream: this.#load(base, WORD.stream),
      begun: this.#load(base, WORD.begun),
      acknowledged: this.#load(base, WORD.acknowledged),
      keys: this.#load(base, WORD.keys),
    }
  }

  #base(producer: number): number {
    return HEADER_WORDS + (producer % SLOTS) * WORDS
  }

  #load(base: number, word: number): number {
    return Atomics.load(this.#words, base + word)
  }

  #store(base: number, word: number, value: number): void {
    Atomics.store(this.#words, base + word, Math.floor(value))
  }
}

/** The one who writes a slot: its producer. */
export class ProducerAccount {
  readonly producer: number
  readonly keys: number
  readonly #words: Int32Array
  readonly #base: number
  readonly #ledger: Ledger
  #lastMomentMs = Number.NEGATIVE_INFINITY

  constructor(words: Int32Array, base: number, producer: number, keys: number, ledger: Ledger) {
    this.#words = words
    this.#base = base
    this.#ledger = ledger
    this.producer = producer
    this.keys = keys
    this.#note()
  }

  /** Records begun so far: the number of the next one. */
  get begun(): number {
    return Atomics.load(this.#words, this.#base + WORD.begun)
  }

  /** Notes that the next record is about to be written; returns its number. */
  begin(): number {
    if (this.#ledger.now() - this.#lastMomentMs >= this.#ledger.memory.momentMs) this.#note()
    return Atomics.add(this.#words, this.#base + WORD.begun, 1)
  }

  /** Takes the last `begin` back: the record was refused before it was staged. */
  unbegin(): void {
    Atomics.sub(this.#words, this.#base + WORD.begun, 1)
  }

  /** Notes that all records below `count` were acknowledged. */
  acknowledge(count: number): void {
    if (count > Atomics.load(this.#words, this.#base + WORD.acknowledged)) {
      Atomics.store(this.#words, this.#base + WORD.acknowledged, count)
      if (this.#ledger.now() - this.#lastMomentMs >= this.#ledger.memory.momentMs) this.#note()
    }
  }

  /** Notes that the producer may have written anything: for one in another process, whose beginnings nobody counts. */
  assumeAll(): void {
    Atomics.store(this.#words, this.#base + WORD.begun, 0x7fff_ffff)
  }

  /** Notes that the producer writes no more. */
  end(): void {
    this.#note()
  }

  #note(): void {
    // Rounded down, and the counts are read after the time: what was not begun then arrived later.
    this.#lastMomentMs = this.#ledger.now()
    const moments = Atomics.load(this.#words, this.#base + WORD.moments)
    const at = this.#base + WORD.ring + (moments % MOMENTS) * WORDS_OF_MOMENT
    Atomics.store(this.#words, at, Math.floor(this.#lastMomentMs))
    Atomics.store(this.#words, at + 1, Atomics.load(this.#words, this.#base + WORD.begun))
    Atomics.store(this.#words, at + 2, Atomics.load(this.#words, this.#base + WORD.acknowledged))
    Atomics.store(this.#words, this.#base + WORD.moments, moments + 1)
    Atomics.store(this.#words, this.#base + WORD.lastMs, Math.floor(this.#lastMomentMs))
  }
}
