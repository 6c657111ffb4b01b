#!/usr/bin/env node
/** The command line program `millrace`: the one place that ends the process. */
import { CommanderError } from 'commander'
import { errorLine, exitCodeOf } from './exit.js'
import { program } from './program.js'

let exitCode = 0

try {
  await program((code) => {
    exitCode = code
  }).parseAsync()
} catch (error) {
  exitCode = exitCodeOf(error)
  // Commander has printed its own errors already.
  if (!(error instanceof CommanderError)) process.stderr.write(errorLine(error))
}
process.exit(exitCode)
