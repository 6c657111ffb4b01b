/** Every contest of the comparison, in the order of its table. */
import type { Contest } from '../../rows.js'
import type { Field } from '../field.js'
import { appendContests } from './append.js'
import { footprintContests } from './footprint.js'
import { latencyContests } from './latency.js'
import { putContests } from './put.js'
import { replayContests } from './replay.js'
import { wireContests } from './wire.js'

/** The contests of one run; nothing is opened yet. */
export function contests(field: Field): Contest[] {
  return [
    ...appendContests(field),
    ...replayContests(field),
    ...latencyContests(field),
    ...putContests(field),
    ...footprintContests(field),
    ...wireContests(field),
  ]
}
