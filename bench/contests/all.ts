/** Every contest of the bench, in groups: a file of results and a section of the page each. */
import type { Bench } from '../bench.js'
import type { Contest } from '../rows.js'
import { appendContests } from './append.js'
import { boundaryContests } from './boundary.js'
import { diskContests } from './disk.js'
import { latencyContests } from './latency.js'
import { leaseContests } from './leases.js'
import { machineContests } from './machine.js'
import { meteringContests } from './metering.js'
import { putContests } from './put.js'
import { readerContests } from './readers.js'
import { replayContests } from './replay.js'
import { reshardContests } from './reshard.js'
import { shardContests } from './shards.js'
import { sizeContests } from './size.js'
import { storeContests } from './store.js'

/** Contests that belong together. */
export interface Group {
  readonly name: string
  readonly contests: readonly Contest[]
}

/** The contests of one run; nothing is opened yet. */
export function groups(bench: Bench): Group[] {
  return [
    { name: 'limits', contests: [...machineContests(bench), ...boundaryContests(bench)] },
    { name: 'append', contests: [...appendContests(bench), ...meteringContests(bench)] },
    { name: 'disk', contests: diskContests(bench) },
    { name: 'put', contests: [...putContests(bench), ...leaseContests(bench)] },
    { name: 'replay', contests: replayContests(bench) },
    { name: 'latency', contests: latencyContests(bench) },
    { name: 'readers', contests: readerContests(bench) },
    { name: 'shards', contests: [...shardContests(bench), ...reshardContests(bench)] },
    { name: 'size', contests: sizeContests(bench) },
    { name: 'store', contests: storeContests(bench) },
  ]
}
