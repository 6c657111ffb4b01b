/**
 * What may stand next on a command line, read off the definition of the commands, so that it cannot drift from it.
 *
 * An option's placeholder and an argument's name tell what they take: `<file>`, `<dir>` and `<directory>` are paths,
 * `<stream>` is the name of a stream of the store that the line is about, `<shard>` one of that stream's open shards.
 */
import type { Argument, Command, Option } from 'commander'

/** One word that may stand next. */
export interface Suggestion {
  readonly value: string
  readonly description: string
}

/** What may stand next: some words, or a path, which the shell completes itself. */
export type Suggestions = readonly Suggestion[] | 'files' | 'directories'

/** What the names are looked up in. */
export interface Subject {
  /** The directory that the line names, if it names one. */
  readonly data: string | undefined
  /** The stream that the line names, if it names one. */
  readonly stream: string | undefined
}

/** Names of streams of a store, or of a stream's open shards. */
export type Names = (kind: 'stream' | 'shard', subject: Subject) => Promise<readonly string[]>

/** Where on the line the next word stands. */
interface Position extends Subject {
  readonly command: Command
  /** Arguments of the command before the word. */
  readonly argumentsBefore: number
  /** The option that awaits the word as its value. */
  readonly awaits: Option | undefined
  /** Whether `--` came: what follows is no option. */
  readonly optionsEnded: boolean
}

/** Suggests for the last of `words`, which may be empty; the program's own name is not among them. */
export async function suggest(program: Command, words: readonly string[], names: Names): Promise<Suggestions> {
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
    stream: undefined,
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
  if (inner !== undefined) return { command: inner, argumentsBefore: 0 }
  const isStream = command.registeredArguments[argumentsBefore]?.name() === 'stream'
  return { argumentsBefore: argumentsBefore + 1, ...(isStream ? { stream: word } : {}) }
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

async function positional(position: Position, names: Names): Promise<Suggestions> {
  const { command, argumentsBefore } = position
  if (command.commands.length > 0) {
    const inner = command.createHelp().visibleCommands(command)
    return inner.map((one) => ({ value: one.name(), description: one.description() }))
  }
  const all = command.registeredArguments
  const last = all.at(-1)
  const argument = all[argumentsBefore] ?? (last?.variadic === true ? last : undefined)
  return argument === undefined ? [] : await taken(argument.name(), argument, position, names)
}

async function valuesOf(option: Option | undefined, position: Position, names: Names): Promise<Suggestions> {
  const placeholder = /[<[]([^\]>.]+)/.exec(option?.flags ?? '')?.[1] ?? ''
  return option === undefined ? [] : await taken(placeholder, option, position, names)
}

/** What an argument or a value takes, by its choices or by its name. */
async function taken(
  name: string,
  { argChoices, description }: Pick<Option | Argument, 'argChoices' | 'description'>,
  subject: Subject,
  names: Names,
): Promise<Suggestions> {
  if (argChoices !== undefined) return argChoices.map((value) => ({ value, description }))
  if (name === 'file') return 'files'
  if (name === 'dir' || name === 'directory' || name === 'store') return 'directories'
  if (name !== 'stream' && name !== 'shard') return []
  return (await names(name, subject)).map((value) => ({ value, description: name }))
}

function filtered(found: Suggestions, word: string): Suggestions {
  return typeof found === 'string' ? found : startingWith(found, word)
}

function startingWith(found: readonly Suggestion[], word: string): Suggestion[] {
  return found.filter(({ value }) => value.startsWith(word))
}
