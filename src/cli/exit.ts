/**
 * How the program ends: exit codes, and one line for what went wrong.
 *
 * Commands throw; only `main.ts` ends the process. Nothing here writes to standard output.
 */
import { CommanderError } from 'commander'
import { MillraceError, type ErrorCode } from '../index.js'

/** What a program can learn from the exit status. `--help` documents the same table. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  damage: 3,
  locked: 4,
  interrupted: 130,
  terminated: 143,
} as const

/** The table above in words, for the foot of `--help`. */
export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    failed (a fault, a failed check, bad input data)
  2    wrong usage
  3    damage found in the store
  4    the store is in use by another process
  130  interrupted (SIGINT); what was acknowledged is kept
  143  terminated (SIGTERM); likewise`

const EXIT_OF_CODE: Partial<Record<ErrorCode, number>> = {
  ERR_MILLRACE_INVALID_ARGUMENT: EXIT.usage,
  ERR_MILLRACE_CORRUPT: EXIT.damage,
  ERR_MILLRACE_LOCKED: EXIT.locked,
}

/** Arguments that commander accepted and the command cannot use. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_USAGE'
}

/** Input that cannot become records, or a check that did not hold. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly code: string

  /** Makes a failure that is printed as `millrace: <message> (<code>)`. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The exit status that `error` asks for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof UsageError) return EXIT.usage
  if (MillraceError.is(error)) return EXIT_OF_CODE[error.code] ?? EXIT.failure
  return EXIT.failure
}

/** `millrace: <message> (<CODE>)`, on one line whatever the message holds. */
export function errorLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  return `millrace: ${message.replaceAll(/\s*\n\s*/g, ' ').trim()}${code}\n`
}
