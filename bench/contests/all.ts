/** Every contest of the bench, in the order of its table. */
import type { Bench } from '../bench.js'
import type { Contest } from '../rows.js'
import { appendContests } from './append.js'
import { boundaryContests } from './boundary.js'
import { diskContests } from './disk.js'
import { latencyContests } from './latency.js'
import { replayContests } from './replay.js'
import { storeContests } from './store.js'

/** The contests of one run; nothing is opened yet. */
export function contests(bench: Bench): Contest[] {
  return [
    ...boundaryContests(bench),
    ...appendContests(bench),
    ...diskContests(bench),
    ...replayContests(bench),
    ...latencyContests(bench),
    ...storeContests(bench),
  ]
}
