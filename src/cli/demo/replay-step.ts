/** Step 3: the past again, from an instant and from the beginning. */
import type { Stream } from '../../index.js'
import { bytes, count, duration, rate } from '../format.js'
import type { Written } from './ingest-step.js'
import { Ledger } from './ledger.js'
import type { Report } from './report.js'

/** Replays from the instant that the writer chose, and then everything. */
export async function replayStep(report: Report, stream: Stream, written: Written, signal: AbortSignal): Promise<void> {
  const { instant, ledger, sinceInstant } = written
  await report.step(`Replay from ${new Date(instant).toISOString()}, the middle of the ingestion`)
  const started = performance.now()
  const replayed = new Ledger()
  for await (const batch of stream.read({ from: { timestamp: instant }, follow: false, signal })) {
    for (let i = 0; i < batch.length; i += 1) replayed.add(batch.partitionKey(i), batch.data(i))
  }
  const took = performance.now() - started
  await report.fact({
    what: 'replayed from the instant, keys and checksums',
    amount: `${count(replayed.records)} (${bytes(replayed.bytes)})`,
    took: duration(took),
    rate: rate(replayed.records, took),
  })
  await report.check('records since the instant', sinceInstant.records, replayed.records)
  await report.check('airports that differ since the instant', 0, sinceInstant.differences(replayed).length)
  await walkEverything(report, stream, ledger, signal)
}

/** How fast it goes when nothing is done with the records but to add up their lengths. */
async function walkEverything(report: Report, stream: Stream, written: Ledger, signal: AbortSignal): Promise<void> {
  const started = performance.now()
  let records = 0
  let dataBytes = 0
  for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false, signal })) {
    records += batch.length
    for (let i = 0; i < batch.length; i += 1) dataBytes += batch.dataLength(i)
  }
  const took = performance.now() - started
  await report.fact({
    what: 'walked over from the beginning',
    amount: `${count(records)} (${bytes(dataBytes)})`,
    took: duration(took),
    rate: rate(records, took),
  })
  await report.check('bytes of data in all', written.bytes, dataBytes)
}
