/** Memory, bytes written for each byte stored, and the time until a peer is ready again. */
import type { Contest, OpenContest, Side } from '../../rows.js'
import { type Field, logName } from '../field.js'
import { type Footprint, footprintOf } from '../footprint.js'
import type { Peer } from '../peer.js'
import { withKnownLimits } from './append.js'

const CONTEST = 'footprint'

/** What is shown of a footprint, and how it is called. */
const FIGURES: readonly {
  readonly name: string
  readonly unit: string
  readonly of: keyof Footprint
  readonly alone?: true
}[] = [
  { name: 'disk bytes written per byte stored', unit: '×', of: 'writtenPerByte' },
  { name: 'resident memory', unit: 'MiB', of: 'residentMib', alone: true },
  { name: 'anonymous memory', unit: 'MiB', of: 'anonymousMib', alone: true },
  { name: 'data stored by then', unit: 'MiB', of: 'storedMib', alone: true },
  { name: 'open or restart until ready', unit: 'ms', of: 'openMs' },
]

/** The contest of footprints. */
export function footprintContests(field: Field): Contest[] {
  return [{ name: CONTEST, rounds: field.quick ? 1 : 3, open: () => openFootprint(field) }]
}

async function openFootprint(field: Field): Promise<OpenContest> {
  const peers = field.peers.filter(takesPart).filter(({ name }) => field.reason(name) === undefined)
  const until = field.quick ? { milliseconds: 2000, records: 20_000 } : { milliseconds: 8000, records: 100_000 }
  const latest = new Map<Peer, Footprint>()
  const sides = FIGURES.flatMap(({ name, unit, of, alone }, which) => {
    // What a library adds to a process that has a garbage collector is less than what that one gives and takes.
    const shown = alone === true && of !== 'storedMib' ? peers.filter(({ runs }) => runs === 'as a server') : peers
    return shown.map((peer): Side => {
      const measure = async () => {
        if (which === 0) await measureOnce(peer)
        return latest.get(peer)?.[of] ?? Number.NaN
      }
      const row = (peer: string) => `${name}: ${peer}`
      const against = alone === true || peer.name === 'Millrace, os' ? {} : { against: row('Millrace, os') }
      return { name: row(peer.name), unit, measure, ...against }
    })
  })
  const measureOnce = (peer: Peer) => {
    latest.delete(peer)
    // Its server is one of its own, started for this.
    return field.measure({ name: peer.name }, async () => {
      const { workspace } = field.bench
      const folder = workspace.path(logName(CONTEST, peer))
      const footprint = await footprintOf(peer, folder, until, (child) => workspace.adopt(child))
      latest.set(peer, footprint)
      return footprint.openMs
    })
  }
  return { sides: withKnownLimits(sides), close: async () => {} }
}

/** A plain file takes what is written to it; the broker of Kafka is one, whichever client speaks to it. */
function takesPart({ product }: Peer): boolean {
  return product !== 'fs' && product !== 'kafka-librdkafka'
}
