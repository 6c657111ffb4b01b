/**
 * What every command shares: the common options, an open store, signals, and a clean end.
 *
 * The store is closed before the process ends, whatever happened: what was appended is flushed by that.
 */
import { Option, type Command } from 'commander'
import { Millrace, MillraceError, type Stream } from '../index.js'
import { bytesCodec } from './bytes-codec.js'
import { EXIT } from './exit.js'
import { Output } from './output.js'

/** Where streams are kept unless `--data` or `MILLRACE_DATA` says otherwise. */
export const DATA_DEFAULT = './millrace-data'

/** The options that each command has. */
export interface CommonOptions {
  readonly data?: string
  readonly json?: true
  readonly quiet?: true
}

/** Adds `--data`, `--json` and `--quiet`. */
export function commonOptions(command: Command): Command {
  return command
    .addOption(new Option('-d, --data <dir>', 'directory of the store').env('MILLRACE_DATA').default(DATA_DEFAULT))
    .option('--json', 'machine-readable result on standard output, and nothing else there')
    .option('-q, --quiet', 'no progress bar and no notes on standard error')
}

/** One run of a command. */
export class Session {
  readonly out = new Output(process.stdout)
  readonly options: CommonOptions
  readonly #interrupt = new AbortController()
  #signalled: 'SIGINT' | 'SIGTERM' | undefined

  /** Starts to listen for signals. */
  constructor(options: CommonOptions) {
    this.options = options
    process.on('SIGINT', this.#onSignal)
    process.on('SIGTERM', this.#onSignal)
  }

  /** Aborts at SIGINT and SIGTERM, and when the reader of standard output left. */
  get signal(): AbortSignal {
    return AbortSignal.any([this.#interrupt.signal, this.out.closed])
  }

  /** Whether the result goes out as JSON. */
  get json(): boolean {
    return this.options.json === true
  }

  /** Whether notes and progress bars are unwanted. */
  get quiet(): boolean {
    return this.options.quiet === true
  }

  /** The directory of the store. */
  get directory(): string {
    return this.options.data ?? DATA_DEFAULT
  }

  /** A remark for the person at the terminal, on standard error. */
  note(text: string): void {
    if (!this.quiet) process.stderr.write(`${text}\n`)
  }

  /** The exit status of a signal, or `otherwise`. */
  exitCode(otherwise: number): number {
    if (this.#signalled === undefined) return otherwise
    return this.#signalled === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
  }

  /** Opens the store, runs `work` and closes the store again. */
  async withStore<R>(create: 'create' | 'existing', work: (store: Millrace) => Promise<R>): Promise<R> {
    const store = await Millrace.open(this.directory, { create: create === 'create' })
    try {
      for (const warning of store.warnings) this.note(`millrace: warning: ${warning}`)
      return await work(store)
    } finally {
      await store.close()
    }
  }

  readonly #onSignal = (name: 'SIGINT' | 'SIGTERM'): void => {
    // Whoever asks twice does not want to wait for the flush.
    if (this.#signalled !== undefined) process.exit(this.exitCode(EXIT.interrupted))
    this.#signalled = name
    this.#interrupt.abort(name)
  }
}

/** Opens a stream as bytes, whatever its codec. */
export async function openBytes(store: Millrace, name: string): Promise<Stream<Uint8Array>> {
  const codec = store.listStreams().find((summary) => summary.name === name)?.codec
  return codec === undefined ? store.stream(name) : store.stream(name, { codec: bytesCodec(codec) })
}

/** Throws when `signal` says to stop; a session takes that for a normal end. */
export function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new MillraceError('ERR_MILLRACE_ABORTED', 'the command was interrupted')
}

/** Whether `error` only says that `signal` ended the work. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && MillraceError.is(error) && error.code === 'ERR_MILLRACE_ABORTED'
}

/** What a command gives: an exit status other than 0, or nothing. */
export type CommandResult = Promise<number | void>

/** Runs `command` in a session; returns the exit status. */
export async function runSession(
  options: CommonOptions,
  command: (session: Session) => CommandResult,
): Promise<number> {
  const session = new Session(options)
  let code: number = EXIT.ok
  try {
    code = (await command(session)) ?? EXIT.ok
  } catch (error) {
    if (!isAbort(error, session.signal)) throw error
  } finally {
    await session.out.end()
  }
  if (session.out.failure !== undefined) throw session.out.failure
  return session.exitCode(code)
}
