/** One record at a time, each acknowledged before the next: what a caller waits who has nothing to batch. */
import { type Contest, type OpenContest, percentile, type Side } from '../../rows.js'
import type { Field } from '../field.js'
import { putUntil, Source } from '../workload.js'
import { withKnownLimits } from './append.js'

const RECORD_BYTES = 100
const PUTS = 2000

/** At both promises. */
export function putContests(field: Field): Contest[] {
  return (['os', 'synced'] as const).map((promised) => {
    const name = `put ${promised}`
    return { name, rounds: field.quick ? 2 : 3, open: () => openPut(field, name, promised) }
  })
}

async function openPut(field: Field, contest: string, promised: 'os' | 'synced'): Promise<OpenContest> {
  const peers = field.peers.filter((peer) => (peer.promised === 'synced') === (promised === 'synced'))
  const entrants = await field.enter(contest, peers)
  const source = new Source(RECORD_BYTES)
  const until = { milliseconds: field.quick ? 200 : 500, records: PUTS }
  const millrace = `${contest}: Millrace, ${promised}, p50`
  const sides = entrants.flatMap(({ peer, log }): Side[] => {
    let took: number[] = []
    const measure = () =>
      field.measure(peer, async () => {
        took = await putUntil(log, source, until)
        log.recycle?.()
        return percentile(took, 0.5)
      })
    const name = `${contest}: ${peer.name}`
    const against = name === millrace.replace(', p50', '') ? {} : { against: millrace }
    return [
      { name: `${name}, p50`, unit: 'µs', measure, ...against },
      { name: `${name}, p99`, unit: 'µs', measure: () => percentile(took, 0.99) },
    ]
  })
  // The slowest answer that any client ever gives is its first.
  for (const { peer, log } of entrants) {
    await field.measure(peer, async () => (await putUntil(log, source, { milliseconds: 200, records: PUTS })).length)
  }
  return { sides: withKnownLimits(sides), close: () => field.leave(entrants) }
}
