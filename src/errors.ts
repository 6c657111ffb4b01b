/**
 * The one error class of the package, built from the one table of codes.
 *
 * The native module throws errors whose message is `CODE`, a NUL character and the text, and behind another NUL, where
 * the error tells that, in how many milliseconds to try again; only `fromNative` knows that. Docs: `docs/errors.md`.
 */

/** Every code that an error of this package can carry, and whether trying the same call again can succeed. */
const RETRYABLE = {
  ERR_MILLRACE_INVALID_ARGUMENT: false,
  ERR_MILLRACE_RECORD_TOO_LARGE: false,
  ERR_MILLRACE_INVALID_KEY: false,
  ERR_MILLRACE_STREAM_NOT_FOUND: false,
  ERR_MILLRACE_STREAM_EXISTS: false,
  ERR_MILLRACE_STREAM_DELETING: false,
  ERR_MILLRACE_SHARD_NOT_FOUND: false,
  ERR_MILLRACE_CONSUMER_NOT_FOUND: false,
  ERR_MILLRACE_CONSUMER_EXISTS: false,
  ERR_MILLRACE_SUBSCRIPTION_IN_USE: false,
  ERR_MILLRACE_QUEUE_NOT_FOUND: false,
  ERR_MILLRACE_QUEUE_EXISTS: false,
  ERR_MILLRACE_CHANNEL_NOT_FOUND: false,
  ERR_MILLRACE_CHANNEL_EXISTS: false,
  ERR_MILLRACE_RECEIPT_INVALID: false,
  ERR_MILLRACE_RECEIPT_EXPIRED: false,
  ERR_MILLRACE_SEQUENCE_INVALID: false,
  ERR_MILLRACE_CLOSED: false,
  ERR_MILLRACE_LOCKED: false,
  ERR_MILLRACE_NOT_A_STORE: false,
  ERR_MILLRACE_FORMAT_NEWER: false,
  ERR_MILLRACE_DISK_FULL: true,
  ERR_MILLRACE_READ_ONLY: false,
  ERR_MILLRACE_IO: false,
  ERR_MILLRACE_CORRUPT: false,
  ERR_MILLRACE_POISONED: false,
  ERR_MILLRACE_OUTCOME_UNKNOWN: false,
  ERR_MILLRACE_UNSUPPORTED: false,
  ERR_MILLRACE_THROUGHPUT_EXCEEDED: true,
  ERR_MILLRACE_LIMIT_EXCEEDED: false,
  ERR_MILLRACE_INTERNAL: false,
  ERR_MILLRACE_BACKPRESSURE: true,
  ERR_MILLRACE_ABORTED: false,
} as const

/** The stable codes of {@link MillraceError}. */
export type ErrorCode = keyof typeof RETRYABLE

/** All codes, in the order of the documentation's table. */
export const ERROR_CODES = Object.keys(RETRYABLE) as readonly ErrorCode[]

/**
 * Everything that this package throws or rejects with.
 *
 * @example
 * try {
 *   await clicks.put({ partitionKey: '', data })
 * } catch (error) {
 *   if (MillraceError.is(error) && error.code === 'ERR_MILLRACE_INVALID_KEY') console.error(error.message)
 *   else throw error
 * }
 */
export class MillraceError extends Error {
  /** `'MillraceError'`. */
  override readonly name = 'MillraceError'
  /** The stable string to compare with. */
  readonly code: ErrorCode
  /** Whether the same call can succeed later without a change. */
  readonly retryable: boolean
  /**
   * In how many milliseconds the same call would be admitted if nobody else came first: only with
   * `ERR_MILLRACE_THROUGHPUT_EXCEEDED`. It is missing there where the call asks for more than is ever there at once.
   */
  readonly retryAfterMs?: number

  /** Makes an error of `code`; `message` says what was expected and what came. */
  constructor(code: ErrorCode, message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, options)
    this.code = code
    this.retryable = RETRYABLE[code]
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
  }

  /**
   * Whether `value` is an error of this package. It looks at the code, not at the class, so that it holds when two
   * copies of the package are loaded.
   */
  static is(value: unknown): value is MillraceError {
    return value instanceof Error && 'code' in value && typeof value.code === 'string' && isErrorCode(value.code)
  }
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(RETRYABLE, text)
}

/** Turns what the native module threw into a {@link MillraceError}. */
export function fromNative(thrown: unknown): MillraceError {
  if (MillraceError.is(thrown)) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const [code = '', text = '', retryAfterMs] = message.split('\u0000')
  if (isErrorCode(code)) {
    const retry = retryAfterMs === undefined ? {} : { retryAfterMs: Number(retryAfterMs) }
    return new MillraceError(code, text, { cause: thrown, ...retry })
  }
  return new MillraceError('ERR_MILLRACE_INTERNAL', message, { cause: thrown })
}

/** Runs a native call and maps what it throws. */
export function mapped<R>(call: () => R): R {
  try {
    return call()
  } catch (error) {
    throw fromNative(error)
  }
}

/** Awaits a native promise and maps what it rejects with. */
export async function mappedAsync<R>(call: () => Promise<R>): Promise<R> {
  try {
    return await call()
  } catch (error) {
    throw fromNative(error)
  }
}

/** The error of a call that its signal ended; the signal's reason is the cause. */
export function aborted(signal: AbortSignal): MillraceError {
  return new MillraceError('ERR_MILLRACE_ABORTED', 'the operation was aborted', { cause: signal.reason })
}

/** The error of a call on something that was closed. */
export function closed(what: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_CLOSED', `expected an open ${what}, but it was closed; open it again`)
}

/** The error of an argument outside of what its method documents. */
export function invalidArgument(message: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', message)
}
