/** Appends at equal durability: acknowledged from the page cache, and acknowledged by the disk. */
import { type Contest, type OpenContest, ratioAtLeast, type Side, type Target } from '../../rows.js'
import type { Field } from '../field.js'
import { appendUntil, Source } from '../workload.js'

const WARM_UP_MS = 200

/** What Millrace is to reach beside a peer with records of 100 B. */
const TARGETS: Readonly<Record<'os' | 'synced', Readonly<Record<string, Target>>>> = {
  os: { 'lmdb, no sync': ratioAtLeast(4), 'fs.writeSync': ratioAtLeast(0.5) },
  synced: {
    'fs + fdatasync, pre-written': ratioAtLeast(1.5),
    'SQLite WAL, FULL': ratioAtLeast(7),
    'the best server that syncs': ratioAtLeast(30),
  },
}

/** Two sizes at two promises. */
export function appendContests(field: Field): Contest[] {
  const sizes = [
    { size: '100 B', bytes: 100 },
    { size: '1 KiB', bytes: 1024 },
  ]
  return (['os', 'synced'] as const).flatMap((promised) =>
    sizes.map(({ size, bytes }): Contest => {
      const name = `append ${size} ${promised}`
      return { name, rounds: field.quick ? 2 : 5, open: () => openAppend(field, name, promised, bytes) }
    }),
  )
}

async function openAppend(
  field: Field,
  contest: string,
  promised: 'os' | 'synced',
  bytes: number,
): Promise<OpenContest> {
  const peers = field.peers.filter((peer) => (peer.promised === 'synced') === (promised === 'synced'))
  const entrants = await field.enter(contest, peers)
  const source = new Source(bytes)
  const milliseconds = field.quick ? 300 : 700
  const rates = new Map<string, number>()
  const row = (name: string) => `${contest}: ${name}`
  const millrace = `Millrace, ${promised}`
  const sides = entrants.map(({ peer, log }): Side => {
    const append = async () => {
      const { rate } = await appendUntil(peer, log, source, { milliseconds })
      log.recycle?.()
      return rate
    }
    const measure = async () => {
      const rate = await field.measure(peer, append)
      rates.set(peer.name, rate)
      return rate
    }
    const against = peer.name === millrace ? undefined : row(millrace)
    return { name: row(peer.name), unit: 'records/s', measure, against }
  })
  for (const { peer, log } of entrants) {
    await field.measure(peer, async () => (await appendUntil(peer, log, source, { milliseconds: WARM_UP_MS })).rate)
    log.recycle?.()
  }
  const servers = entrants.filter(({ peer }) => peer.promised === 'synced' && peer.runs === 'as a server')
  if (servers.length > 0)
    sides.push(
      best(
        row('the best server that syncs'),
        servers.map(({ peer }) => peer.name),
        rates,
      ),
    )
  const judged = judgedSides(sides, row, millrace, bytes === 100 ? TARGETS[promised] : {}, rates)
  return { sides: withKnownLimits([...sides, ...judged]), close: () => field.leave(entrants) }
}

/** The fastest of the peers that were measured before it in the round. */
function best(name: string, among: readonly string[], rates: ReadonlyMap<string, number>): Side {
  const measured = () => among.map((peer) => rates.get(peer) ?? Number.NaN).filter((rate) => !Number.isNaN(rate))
  return { name, unit: 'records/s', measure: () => (measured().length > 0 ? Math.max(...measured()) : Number.NaN) }
}

/** What is promised beside a peer: a row each, with the figure that Millrace has reached in the round. */
export function judgedSides(
  sides: readonly Side[],
  row: (name: string) => string,
  millrace: string,
  targets: Readonly<Record<string, Target>>,
  figures: ReadonlyMap<string, number>,
): Side[] {
  return Object.entries(targets)
    .filter(([peer]) => sides.some((side) => side.name === row(peer)))
    .map(([peer, target]) => ({
      name: row(`Millrace beside ${peer}`),
      unit: 'records/s',
      measure: () => figures.get(millrace) ?? Number.NaN,
      against: row(peer),
      target,
    }))
}

/** Rows whose limit did not take part stand alone. */
export function withKnownLimits(sides: readonly Side[]): Side[] {
  const names = new Set(sides.map(({ name }) => name))
  return sides.map(({ against, ...side }) =>
    against !== undefined && names.has(against) ? { ...side, against } : side,
  )
}
