/** The audit: a whole stream is read, and all that the ledger has must be there, unless it has expired. */
import { pause, tallyFor, type Context } from '../context.js'
import { STANDING, type Standing } from '../plan.js'
import { count } from './follow.js'
import { open } from './produce.js'

/** Audits one stream after the other. */
export async function audit(context: Context): Promise<void> {
  while (!context.signal.aborted) {
    await auditStream(context, context.random.pick(STANDING))
    await pause(context, context.pace.retentionMs / 10)
  }
}

/** Reads a stream from the horizon to the tail, and compares it with what was acknowledged before. */
export async function auditStream(context: Context, { name, id }: Pick<Standing, 'name' | 'id'>): Promise<void> {
  const stream = await open(context.millrace, name)
  const accounts = context.ledger.accountsOf(id)
  // What was acknowledged when it was published may not be visible yet.
  await stream.sync()
  const tally = tallyFor(context, id, true)
  const reader = stream.read({ from: 'TRIM_HORIZON', follow: false, copy: context.random.chance(20) })
  for (;;) {
    const askedMs = context.ledger.now()
    const { done, value } = await reader.next()
    if (done === true) break
    tally.take(value, askedMs)
    if (context.signal.aborted) return reader.close()
  }
  tally.finish(accounts)
  count(context, tally)
  context.counters.add('audits')
}
