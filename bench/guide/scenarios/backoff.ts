/** A writer that is refused too much: trying again at once, and with exponential backoff. */
import { Millrace, MillraceError, retry, type Stream } from '../../../src/index.js'
import type { Picture } from '../draw.js'
import { paced, Rates } from './load.js'

const SECONDS = 12
/** More than the shard takes, for so many seconds; then less. */
const BURST_S = 4
const BURST_RECORDS_PER_SECOND = 1500
const CALM_RECORDS_PER_SECOND = 500
const DATA = new Uint8Array(100)

/** Tries until the record is in. */
type Try = (put: () => Promise<unknown>) => Promise<unknown>

/** Runs it in a store of its own in `folder`. */
export async function backoff(folder: string): Promise<Record<string, Picture>> {
  await using millrace = await Millrace.open(folder)
  const run = async (name: string, tryAll: Try) => {
    const stream = await millrace.createStream(name, { limits: 'aws' })
    return await write(stream, tryAll)
  }
  const atOnce = await run('at-once', again)
  const backedOff = await run('backed-off', (put) => retry(put, { attempts: 30 }))
  const series = (name: string, rates: Rates, what: string) => ({ name, points: rates.points(what, SECONDS) })
  return {
    backoff: {
      kind: 'timeline',
      title: `A shard that takes 1,000 a second is given ${BURST_RECORDS_PER_SECOND}, then ${CALM_RECORDS_PER_SECOND}`,
      x: 'seconds',
      unit: 'calls/s',
      series: [
        series('tries, again at once', atOnce, 'try'),
        series('tries, with backoff', backedOff, 'try'),
        series('accepted, with backoff', backedOff, 'accepted'),
      ],
      events: [{ x: BURST_S, text: 'the burst ends' }],
    },
  }
}

async function write(stream: Stream, tryAll: Try): Promise<Rates> {
  const rates = new Rates()
  const puts: Promise<unknown>[] = []
  await paced(
    SECONDS,
    (at) => (at < BURST_S ? BURST_RECORDS_PER_SECOND : CALM_RECORDS_PER_SECOND),
    (index) => {
      const put = async (): Promise<void> => {
        rates.count('try')
        await stream.put({ partitionKey: `sensor-${index % 100}`, data: DATA })
        rates.count('accepted')
      }
      puts.push(tryAll(put))
    },
  )
  await Promise.all(puts)
  return rates
}

async function again(put: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      return await put()
    } catch (error) {
      if (!MillraceError.is(error) || !error.retryable) throw error
      // The network of a service would take about so long.
      await new Promise((resolve) => {
        setTimeout(resolve, 10)
      })
    }
  }
}
