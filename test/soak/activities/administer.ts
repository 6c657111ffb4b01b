/** What an operator does meanwhile: list, describe, flush, change the retention, verify, sweep. */
import { pause, type Context } from '../context.js'
import { STANDING } from '../plan.js'
import { Breach } from '../tally.js'
import { sweep } from './churn.js'
import { open } from './produce.js'

/** Looks after the store in all ways that there are. */
export async function administer(context: Context): Promise<void> {
  const { random, millrace, counters } = context
  const known = new Map<string, number>()
  while (!context.signal.aborted) {
    const { name } = random.pick(STANDING)
    const stream = await open(millrace, name)
    const { status, segments, bytes } = stream.describe()
    if (status !== 'active' || segments < 1 || bytes < 1) throw new Breach(`${name} is described as ${status}`)
    counters.add('descriptions')
    checkListed(context)
    if (random.chance(30)) await stream.sync()
    if (random.chance(20)) await (await open(millrace, 'elastic')).setRetention(random.pick([24, 48]))
    if (random.chance(5)) await verify(context)
    await sweep(millrace, context, known)
    // That the store was closed for an hour of its clock is told at each opening, and accepted there.
    const warning = millrace.warnings.find((text) => !text.startsWith('expiry is paused'))
    if (warning !== undefined) throw new Breach(`the store warns: ${warning}`)
    await pause(context, random.whole(20, 300))
  }
}

/** Reads every frame of the store while it is written. */
export async function verify(context: Context): Promise<void> {
  const { damages } = await context.verify(context.directory)
  if (damages.length > 0) throw new Breach(`verify found damage: ${JSON.stringify(damages[0])}`)
  context.counters.add('verifications')
}

function checkListed(context: Context): void {
  const listed = new Set(context.millrace.listStreams().map(({ name }) => name))
  const missing = STANDING.filter(({ name }) => !listed.has(name))
  if (missing.length > 0) throw new Breach(`stream ${missing[0]?.name} is not listed any more`)
}
