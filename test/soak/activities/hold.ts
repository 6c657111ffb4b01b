/** Views of the log, and copies, that are held over the retention of their records: not one byte of them may change. */
import { crc32 } from 'node:zlib'
import type { Batch } from 'millrace'
import { pause, type Context } from '../context.js'
import { STANDING } from '../plan.js'
import { Breach } from '../tally.js'
import { open } from './produce.js'

/** So many batches are held at once: each view keeps the whole of its segment on disk and mapped. */
const HELD_MAX = 24

/** A batch with the sum over its bytes when it came. */
export class Held {
  readonly #batch: Batch
  readonly #sum: number
  readonly #stream: string

  constructor(stream: string, batch: Batch) {
    this.#stream = stream
    this.#batch = batch
    this.#sum = sumOf(batch)
  }

  /** Throws if a byte has changed since. */
  check(): void {
    if (sumOf(this.#batch) !== this.#sum) throw new Breach(`bytes of ${this.#stream} changed in a view that was held`)
  }

  /** Breaks the view, to show that the check can tell. */
  spoil(): void {
    const bytes = this.#batch.data(this.#batch.length - 1)
    bytes[0] = (bytes[0] as number) ^ 1
  }
}

/** Takes batches from all over the log, holds each for up to two retentions, and looks at its bytes on the way. */
export async function hold(context: Context): Promise<void> {
  const { random, ledger, counters, pace } = context
  let held: { readonly bytes: Held; readonly untilMs: number }[] = []
  while (!context.signal.aborted) {
    const { name } = random.pick(STANDING)
    const stream = await open(context.millrace, name)
    const reader = stream.read({
      from: 'TRIM_HORIZON',
      follow: false,
      maxRecords: 256,
      maxBytes: 64 << 10,
      copy: random.chance(20),
    })
    let batch: Batch | undefined
    // Some segments in, so that not all are taken from the oldest one.
    for (let skipped = random.whole(0, 30); skipped >= 0; skipped -= 1) batch = reader.nextSync() ?? batch
    reader.close()
    if (batch !== undefined && held.length < HELD_MAX) {
      const bytes = new Held(name, batch)
      if (context.plant === 'view') bytes.spoil()
      held.push({ bytes, untilMs: ledger.now() + random.fraction() * 2 * pace.retentionMs })
      counters.add('viewsHeld')
    }
    for (const { bytes } of held) bytes.check()
    counters.add('viewsChecked', held.length)
    held = held.filter(({ untilMs }) => untilMs > ledger.now())
    await pause(context, pace.retentionMs / 40)
  }
}

function sumOf(batch: Batch): number {
  let sum = 0
  for (let index = 0; index < batch.length; index += 1) sum = crc32(batch.data(index), sum)
  return sum
}
