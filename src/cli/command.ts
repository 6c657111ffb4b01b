/** How a command hangs on the program. */
import type { Command } from 'commander'
import { runSession, type CommandResult, type CommonOptions, type Session } from './session.js'

/** What a command does, given its options and then its arguments in order. */
export type Action<O extends CommonOptions> = (session: Session, options: O, ...args: string[]) => CommandResult

/** Connects a command with what it does. */
export type Register = <O extends CommonOptions>(command: Command, action: Action<O>) => void

/** A {@link Register} that hands each command's exit status to `done`. */
export function registrar(done: (exitCode: number) => void): Register {
  return (command, action) => {
    command.action(async (...passed: unknown[]) => {
      // Commander passes the arguments, then the options, then the command itself.
      // Of the arguments the last may be a list.
      const args = passed.slice(0, -2).flat() as string[]
      const options = command.opts()
      done(await runSession(options as CommonOptions, (session) => action(session, options as never, ...args)))
    })
  }
}
