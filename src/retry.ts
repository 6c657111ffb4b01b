/**
 * Trying again: exponential backoff with full jitter, for what a limit or a full buffer refused.
 *
 * Nothing here knows of streams. Whoever retries decides what is repeated, so there is no way to repeat a put by
 * accident: an error whose outcome is unknown is not retryable.
 */
import { MillraceError, aborted, invalidArgument } from './errors.js'

/** When and how often {@link retry} tries again. */
export interface RetryOptions {
  /**
   * How often the work is tried in all, the first time included.
   * @default 10
   */
  readonly attempts?: number
  /**
   * The first pause is at most so long, in milliseconds; each later one may be twice as long as the one before.
   * @default 50
   */
  readonly minDelayMs?: number
  /**
   * No pause is longer, in milliseconds, unless the error asks for it by its `retryAfterMs`.
   * @default 5_000
   */
  readonly maxDelayMs?: number
  /**
   * No attempt begins later than so many milliseconds after the call.
   * @default Infinity
   */
  readonly maxElapsedMs?: number
  /** Ends the waiting: the call rejects with `ERR_MILLRACE_ABORTED`. Work that runs is not interrupted by it. */
  readonly signal?: AbortSignal
  /**
   * Which errors are worth another attempt.
   * @default those of this package that say `retryable`
   */
  readonly retryable?: (error: unknown) => boolean
  /** Is told of each failure that is followed by another attempt, and of the pause before it in milliseconds. */
  readonly onRetry?: (error: unknown, attempt: number, delayMs: number) => void
  /**
   * A number from 0 to below 1: how much of the longest pause is taken.
   * @default Math.random
   */
  readonly random?: () => number
  /**
   * Milliseconds that have passed since some fixed moment.
   * @default performance.now
   */
  readonly now?: () => number
  /**
   * Resolves after so many milliseconds, or rejects when the signal says so.
   * @default a timer
   */
  readonly delay?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
}

const ATTEMPTS_DEFAULT = 10
const MIN_DELAY_MS_DEFAULT = 50
const MAX_DELAY_MS_DEFAULT = 5_000

/**
 * Runs `work` until it succeeds, and rejects with its last error when it is not retryable or the limits are reached.
 *
 * A pause is a random part of an exponentially growing time ("full jitter"), so that callers who were refused together
 * do not come back together. An error with `retryAfterMs`, as a refusal by a throughput limit has it, is given at least
 * that long, and the random pause on top.
 *
 * Throws `ERR_MILLRACE_INVALID_ARGUMENT` for limits out of bounds and `ERR_MILLRACE_ABORTED`.
 *
 * @example
 * const result = await retry(() => clicks.put({ partitionKey: 'user-42', data }), { attempts: 5, signal })
 */
export async function retry<R>(work: (attempt: number) => R | PromiseLike<R>, options: RetryOptions = {}): Promise<R> {
  const { signal, retryable = isRetryable, delay = pause, now = () => performance.now() } = options
  const schedule = checked(options)
  const deadline = now() + schedule.maxElapsedMs
  for (let attempt = 1; ; attempt += 1) {
    if (signal?.aborted === true) throw aborted(signal)
    try {
      return await work(attempt)
    } catch (error) {
      if (attempt >= schedule.attempts || !retryable(error)) throw error
      const delayMs = delayAfter(error, attempt, schedule)
      if (now() + delayMs > deadline) throw error
      options.onRetry?.(error, attempt, delayMs)
      await delay(delayMs, signal)
    }
  }
}

interface Schedule {
  readonly attempts: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly maxElapsedMs: number
  readonly random: () => number
}

function checked(options: RetryOptions): Schedule {
  const schedule = {
    attempts: options.attempts ?? ATTEMPTS_DEFAULT,
    minDelayMs: options.minDelayMs ?? MIN_DELAY_MS_DEFAULT,
    maxDelayMs: options.maxDelayMs ?? MAX_DELAY_MS_DEFAULT,
    maxElapsedMs: options.maxElapsedMs ?? Number.POSITIVE_INFINITY,
    random: options.random ?? Math.random,
  }
  for (const name of ['attempts', 'minDelayMs', 'maxDelayMs', 'maxElapsedMs'] as const) {
    const least = name === 'attempts' ? 1 : 0
    const value: unknown = schedule[name]
    if (typeof value !== 'number' || !(value >= least)) {
      throw invalidArgument(`${name}: expected a number of at least ${least}, got ${String(value)}`)
    }
  }
  return schedule
}

/** A random part of the longest pause after so many attempts, behind what the error asks for. */
function delayAfter(error: unknown, attempt: number, { minDelayMs, maxDelayMs, random }: Schedule): number {
  const longest = Math.min(maxDelayMs, minDelayMs * 2 ** (attempt - 1))
  return retryAfter(error) + random() * longest
}

function retryAfter(error: unknown): number {
  if (!(error instanceof Error) || !('retryAfterMs' in error)) return 0
  const { retryAfterMs } = error
  return typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : 0
}

function isRetryable(error: unknown): boolean {
  return MillraceError.is(error) && error.retryable
}

/** Waits; the timer keeps the process alive, because somebody awaits what comes after it. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) throw aborted(signal)
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(aborted(signal as AbortSignal))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
