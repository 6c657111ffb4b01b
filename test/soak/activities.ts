/** All activities by name. Each runs until its signal is aborted, and throws when a promise was not kept. */
import { administer } from './activities/administer.js'
import { audit } from './activities/audit.js'
import { churn, trespass } from './activities/churn.js'
import { follow, lag } from './activities/follow.js'
import { hold } from './activities/hold.js'
import { produce } from './activities/produce.js'
import { reshard } from './activities/reshard.js'
import { poll, revisit } from './activities/revisit.js'
import type { Context } from './context.js'

/** See the head of this file. */
export const ACTIVITIES: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  administer,
  audit,
  churn,
  follow,
  hold,
  lag,
  poll,
  produce,
  reshard,
  revisit,
  trespass,
}
