/**
 * A batch whose refused records are put again, and only they.
 */
import type { MillraceError } from './errors.js'
import type { PutRecord } from './options.js'
import type { PutOutcome } from './put-result.js'
import { retry, type RetryOptions } from './retry.js'

/** What takes batches of which some records may be refused: a stream. */
export interface PartialPuts<T> {
  /** As {@link Stream.putMany}. */
  putMany(records: Iterable<PutRecord<T>>, options: { readonly partial: true }): Promise<PutOutcome[]>
}

/**
 * Puts records and puts those again that a throughput limit refused, after pauses as {@link retry} makes them: at least
 * as long as the record asks for that must wait longest. Resolves with what became of each record, in their order; one
 * that was refused at the last attempt has its error there.
 *
 * A record that is put again comes behind those of its key that were not refused. Whoever needs the order of a key puts
 * its records one after the other, or without `partial`.
 *
 * Rejects as {@link Stream.putMany} does, and with `ERR_MILLRACE_ABORTED`; some records may be written then.
 *
 * @example
 * const outcomes = await retryPutMany(clicks, records, { attempts: 5 })
 * const lost = outcomes.filter(({ ok }) => !ok)
 */
export async function retryPutMany<T>(
  stream: PartialPuts<T>,
  records: readonly PutRecord<T>[],
  options: RetryOptions = {},
): Promise<PutOutcome[]> {
  const outcomes: PutOutcome[] = []
  const retryable = options.retryable ?? ((error: unknown) => (error as MillraceError).retryable)
  let pending = [...records.keys()]
  /** The refusal that asks for the longest pause. */
  let refusal: MillraceError | undefined
  const putPending = async (): Promise<void> => {
    const results = await stream.putMany(
      pending.map((index) => records[index] as PutRecord<T>),
      { partial: true },
    )
    refusal = undefined
    pending = pending.filter((index, place) => {
      const outcome = results[place] as PutOutcome
      outcomes[index] = outcome
      if (outcome.ok || !retryable(outcome.error)) return false
      refusal = longer(refusal, outcome.error)
      return true
    })
    if (refusal !== undefined) throw refusal
  }
  try {
    await retry(putPending, options)
  } catch (error) {
    // The outcomes tell of it, record by record.
    if (error !== refusal) throw error
  }
  return outcomes
}

function longer(former: MillraceError | undefined, latter: MillraceError): MillraceError {
  return former === undefined || (latter.retryAfterMs ?? 0) > (former.retryAfterMs ?? 0) ? latter : former
}
