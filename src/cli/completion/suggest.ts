/**
 * What may stand next on a command line, read off the definition of the commands, so that it cannot drift from it.
 *
 * An option's placeholder and an argument's name tell what they take: `<file>`, `<dir>` and `<directory>` are paths,
 * `<stream>` is the name of a stream of the store that the line is about.
 */
import type { Argument, Command, Option } from 'commander'

/** One word that may stand next. */
export interface Suggestion {
  readonly value: string
  readonly description: string
}

/** What may stand next: some words, or a path, which the shell completes itself. */
export type Suggestions = readonly Suggestion[] | 'files' | 'directories'

/** Names of streams in a store; `data` is the directory that the line names, if it names one. */
export type StreamNames = (data: string | undefined) => Promise<readonly string[]>

/** Where on the line the next word stands. */
interface Position {
  readonly command: Command
  /** Arguments of the command before the word. */
  readonly argumentsBefore: number
  /** The option that awaits the word as its value. */
  readonly awaits: Option | undefined
  /** Whether `--` came: what follows is no option. */
  readonly optionsEnded: boolean
  readonly data: string | undefined
}

/** Suggests for the last of `words`, which may be empty; the program's own name is not among them. */
export async function suggest(program: Command, words: readonly string[], names: StreamNames): Promise<Suggestions> {
  const position = walk(program, words.slice(0, -1))
  const word = words.at(-1) ?? ''
  const inline = position.optionsEnded ? null : /^(--[^=]+)=(.*)$/s.exec(word)
  if (inline !== null) {
    const [, flag = '', value = ''] = inline
    const found = await valuesOf(optionOf(position.command, flag), position, names)
    return typeof found === 'string'
      ? found
      : startingWith(found, value).map((one) => ({ ...one, value: `${flag}=${one.value}` }))
  }
  if (position.awaits !== undefined) return filtered(await valuesOf(position.awaits, position, names), word)
  if (word.startsWith('-') && !position.optionsEnded) return startingWith(optionsOf(position.command), word)
  return filtered(await positional(position, names), word)
}

/** Goes over the words before the last. */
function walk(program: Command, before: readonly string[]): Position {
  const position: Position = {
    command: program,
    argumentsBefore: 0,
    awaits: undefined,
    optionsEnded: false,
    data: undefined,
  }
  for (const word of before) Object.assign(position, step(position, word))
  return position
}

function step({ command, argumentsBefore, awaits, optionsEnded }: Position, word: string): Partial<Position> {
  if (awaits !== undefined) return { awaits: undefined, ...(isData(awaits) ? { data: word } : {}) }
  if (word === '--') return { optionsEnded: true }
  if (word.startsWith('-') && !optionsEnded) {
    const [flag = '', ...value] = word.split('=')
    const option = optionOf(command, flag)
    if (option === undefined || option.isBoolean()) return {}
    if (value.length === 0) return { awaits: option }
    return isData(option) ? { data: value.join('=') } : {}
  }
  const inner = command.commands.find((one) => one.name() === word || one.aliases().includes(word))
  return inner === undefined ? { argumentsBefore: argumentsBefore + 1 } : { command: inner, argumentsBefore: 0 }
}

function isData(option: Option): boolean {
  return option.long === '--data'
}

function optionOf(command: Command, flag: string): Option | undefined {
  return command.options.find(({ long, short }) => flag === long || flag === short)
}

function optionsOf(command: Command): Suggestion[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ value: long ?? short ?? '', description }))
}

async function positional({ command, argumentsBefore, data }: Position, names: StreamNames): Promise<Suggestions> {
  if (command.commands.length > 0) {
    const inner = command.createHelp().visibleCommands(command)
    return inner.map((one) => ({ value: one.name(), description: one.description() }))
  }
  const all = command.registeredArguments
  const last = all.at(-1)
  const argument = all[argumentsBefore] ?? (last?.variadic === true ? last : undefined)
  return argument === undefined ? [] : await taken(argument.name(), argument, data, names)
}

async function valuesOf(option: Option | undefined, { data }: Position, names: StreamNames): Promise<Suggestions> {
  const placeholder = /[<[]([^\]>.]+)/.exec(option?.flags ?? '')?.[1] ?? ''
  return option === undefined ? [] : await taken(placeholder, option, data, names)
}

/** What an argument or a value takes, by its choices or by its name. */
async function taken(
  name: string,
  { argChoices, description }: Pick<Option | Argument, 'argChoices' | 'description'>,
  data: string | undefined,
  names: StreamNames,
): Promise<Suggestions> {
  if (argChoices !== undefined) return argChoices.map((value) => ({ value, description }))
  if (name === 'file') return 'files'
  if (name === 'dir' || name === 'directory' || name === 'store') return 'directories'
  if (name !== 'stream') return []
  return (await names(data)).map((value) => ({ value, description: 'stream' }))
}

function filtered(found: Suggestions, word: string): Suggestions {
  return typeof found === 'string' ? found : startingWith(found, word)
}

function startingWith(found: readonly Suggestion[], word: string): Suggestion[] {
  return found.filter(({ value }) => value.startsWith(word))
}
