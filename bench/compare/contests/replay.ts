/**
 * Everything that was stored, read into JavaScript; the length of each record's data and its key as a string are
 * touched. A log is opened anew for each round, as after a restart; files are in the page cache.
 */
import { type Contest, type OpenContest, ratioAtLeast, type Side } from '../../rows.js'
import type { Entrant, Field } from '../field.js'
import type { Peer } from '../peer.js'
import { appendUntil, Source } from '../workload.js'
import { judgedSides, withKnownLimits } from './append.js'

const RECORD_BYTES = 100
const CONTEST = 'replay 100 B'
const MILLRACE = 'Millrace, os'

/** Storing must not take longer than this for a slow peer; its rate is one of what it has stored by then. */
const FILL_MS = 2000

/** The contest of replays; each product once, since what was synced when makes no difference to a read. */
export function replayContests(field: Field): Contest[] {
  return [{ name: CONTEST, rounds: field.quick ? 2 : 3, open: () => openReplay(field) }]
}

async function openReplay(field: Field): Promise<OpenContest> {
  const peers = field.peers.filter(({ promised }) => promised !== 'synced')
  const source = new Source(RECORD_BYTES)
  const stored = new Map<Peer, number>()
  const entrants = await field.enter(CONTEST, peers)
  for (const entrant of entrants) stored.set(entrant.peer, await fill(field, entrant, source))
  // Plain files know the size of their records only while they are open, and have nothing to open anew.
  const kept = entrants.filter(({ peer }) => peer.product === 'fs')
  await field.leave(entrants.filter((entrant) => !kept.includes(entrant)))
  const rates = new Map<string, number>()
  const row = (name: string) => `${CONTEST}: ${name}`
  const sides = entrants.map(({ peer, log }): Side => {
    const open = kept.some((entrant) => entrant.peer === peer) ? log : undefined
    const measure = async () => {
      const rate = await field.measure(peer, async () => {
        const again = open ?? (await field.reopen(CONTEST, peer))
        const { records, bytes, milliseconds } = await again.replay(stored.get(peer) ?? 0)
        if (open === undefined) await again.close()
        if (bytes < records * RECORD_BYTES)
          throw new Error(`expected ${RECORD_BYTES} B a record, got ${bytes / records}`)
        return (records / milliseconds) * 1000
      })
      rates.set(peer.name, rate)
      return rate
    }
    return {
      name: row(peer.name),
      unit: 'records/s',
      measure,
      ...(peer.name !== MILLRACE && { against: row(MILLRACE) }),
    }
  })
  for (const side of sides) await side.measure(0)
  const judged = judgedSides(sides, row, MILLRACE, { 'lmdb, no sync': ratioAtLeast(10) }, rates)
  return { sides: withKnownLimits([...sides, ...judged]), close: () => field.leave(kept) }
}

async function fill(field: Field, { peer, log }: Entrant, source: Source): Promise<number> {
  const most = field.quick ? 500_000 : peer.runs === 'in process' ? 1_000_000 : 200_000
  return field.measure(peer, async () => {
    const until = { milliseconds: field.quick ? 1000 : FILL_MS, records: most }
    return (await appendUntil(peer, log, source, until)).records
  })
}
