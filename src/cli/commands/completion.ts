/** `millrace completion` and what its scripts call: completion of command lines in the shell. */
import { Argument, type Command } from 'commander'
import { Millrace, type Stream } from '../../index.js'
import { answerOf, scriptOf, SET_UP, SHELLS, wordsOf, type Shell } from '../completion/shells.js'
import { suggest, type Subject } from '../completion/suggest.js'
import { DATA_DEFAULT, openBytes } from '../session.js'

const EXAMPLES = `
Commands, options and their values, files, and the names of streams and shards, where no other process has the store open.

Examples:
  $ ${SET_UP.bash}     # in ~/.bashrc
  $ ${SET_UP.zsh}      # in ~/.zshrc, after compinit
  $ ${SET_UP.fish}      # in ~/.config/fish/config.fish`

/** Adds the commands to the program. */
export function registerCompletion(program: Command): void {
  const shell = (): Argument => new Argument('<shell>', 'the shell').choices(SHELLS)
  program
    .command('completion')
    .description('print a script that lets a shell complete command lines')
    .addArgument(shell())
    .addHelpText('after', EXAMPLES)
    .action((name: Shell) => {
      process.stdout.write(`${scriptOf(name)}\n`)
    })
  program
    .command('complete', { hidden: true })
    .addArgument(shell())
    .argument('[words...]', 'the words up to the cursor')
    .action(async (name: Shell, words: readonly string[]) => {
      const whole = wordsOf(name, words)
      const answer = answerOf(name, await suggest(program, whole, namesIn), whole.at(-1) ?? '')
      process.stdout.write(answer.map((line) => `${line}\n`).join(''))
    })
}

async function namesIn(kind: 'stream' | 'shard', { data, stream }: Subject): Promise<readonly string[]> {
  try {
    await using store = await Millrace.open(data ?? process.env['MILLRACE_DATA'] ?? DATA_DEFAULT, { create: false })
    if (kind === 'stream') return store.listStreams().map(({ name }) => name)
    return stream === undefined ? [] : openShards(await openBytes(store, stream))
  } catch {
    // A store that is not there, or in use, has no names to offer; a message would stand amid the line that is typed.
    return []
  }
}

function openShards(stream: Stream): string[] {
  return stream.listShards({ filter: 'AT_LATEST' }).map(({ shardId }) => shardId)
}
