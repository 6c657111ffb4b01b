/** `millrace completion` and what its scripts call: completion of command lines in the shell. */
import { Argument, type Command } from 'commander'
import { Millrace } from '../../index.js'
import { answerOf, scriptOf, SET_UP, SHELLS, wordsOf, type Shell } from '../completion/shells.js'
import { suggest, type Subject } from '../completion/suggest.js'
import { DATA_DEFAULT, openBytes } from '../session.js'

const EXAMPLES = `
Commands, options and their values, files, and the names of streams and shards; of a store that another process has open,
those of its streams in use.

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
  const directory = data ?? process.env['MILLRACE_DATA'] ?? DATA_DEFAULT
  try {
    return await namesOfStore(directory, kind, stream)
  } catch {
    // Another process may have it open: what that tells of its streams in use is as good, and no claim on the store.
    return await namesInUse(directory, kind, stream)
  }
}

async function namesOfStore(directory: string, kind: 'stream' | 'shard', stream?: string): Promise<readonly string[]> {
  await using store = await Millrace.open(directory, { create: false })
  if (kind === 'stream') return store.listStreams().map(({ name }) => name)
  if (stream === undefined) return []
  return (await openBytes(store, stream)).listShards({ filter: 'AT_LATEST' }).map(({ shardId }) => shardId)
}

async function namesInUse(directory: string, kind: 'stream' | 'shard', stream?: string): Promise<readonly string[]> {
  try {
    const { streams } = await Millrace.observe(directory)
    if (kind === 'stream') return streams.map((one) => one.stream)
    const shards = streams.find((one) => one.stream === stream)?.shards ?? []
    return shards.filter(({ open }) => open).map(({ shardId }) => shardId)
  } catch {
    // Where there is no store, there are no names to offer; a message would stand amid the line that is typed.
    return []
  }
}
