/** Puts records until all are in: what the stream's limits refuse is put again, with backoff. */
import { MillraceError, retry, type PutResult, type Stream } from '../../index.js'
import type { InputRecord } from './records.js'

/** Limits let through later what they refuse now, so there is always another attempt, soon after the error asks for it. */
const PATIENCE = { attempts: Number.MAX_SAFE_INTEGER, minDelayMs: 10, maxDelayMs: 200 } as const

/** A record that cannot be put, and why. */
export interface Fault {
  readonly record: InputRecord
  readonly error: unknown
}

/**
 * Puts all records at once, and again those that limits refused; `done` hears of each that is in. A record that was
 * refused comes behind those that were not. Resolves with those that failed for another reason.
 */
export async function putAll(
  stream: Stream,
  records: readonly InputRecord[],
  signal: AbortSignal | undefined,
  done: (record: InputRecord, result: PutResult) => void,
): Promise<Fault[]> {
  const faults: Fault[] = []
  let left = records
  const attempt = async (): Promise<void> => {
    const results = await Promise.allSettled(left.map(({ key, data }) => stream.put({ partitionKey: key, data })))
    const failed: Fault[] = []
    for (const [index, result] of results.entries()) {
      const record = left[index] as InputRecord
      if (result.status === 'fulfilled') done(record, result.value)
      else failed.push({ record, error: result.reason })
    }
    const refused = failed.filter(({ error }) => isRefusal(error))
    faults.push(...failed.filter(({ error }) => !isRefusal(error)))
    left = refused.map(({ record }) => record)
    if (refused[0] !== undefined) throw refused[0].error
  }
  await retry(attempt, { ...PATIENCE, retryable: isRefusal, ...(signal === undefined ? {} : { signal }) })
  return faults
}

/** What would never be let through is refused without a time to come again: that is a fault. */
function isRefusal(error: unknown): boolean {
  if (!MillraceError.is(error)) return false
  return error.code === 'ERR_MILLRACE_THROUGHPUT_EXCEEDED' && error.retryAfterMs !== undefined
}
