/** Completion in the shell: read off the commands' definition, and as bash itself does it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { suggest, type Names } from '../src/cli/completion/suggest.js'
import { program } from '../src/cli/program.js'
import { fileWith, MAIN, runProgram, startProgram } from './program.js'
import { CHILD_MS_MAX } from './support.js'

const commands = program(() => {})
const names: Names = async (kind, { data, stream }) => {
  if (kind === 'shard') return [`shard of ${stream}`]
  return data === 'other' ? ['elsewhere'] : ['clicks', 'ticks']
}

async function suggested(...words: string[]): Promise<readonly string[] | string> {
  const found = await suggest(commands, words, names)
  return typeof found === 'string' ? found : found.map(({ value }) => value)
}

describe('what is suggested', () => {
  it('every_command_that_help_shows_and_every_option_of_it', async () => {
    const visible = commands.createHelp().visibleCommands(commands)
    expect(await suggested('')).toEqual(visible.map((command) => command.name()))
    expect(await suggested('')).not.toContain('complete')
    for (const command of visible.filter((one) => one.name() !== 'help')) {
      const options = command.createHelp().visibleOptions(command)
      expect(await suggested(command.name(), '-')).toEqual(options.map(({ long }) => long))
    }
    expect(await suggested('de')).toEqual(['demo', 'describe', 'delete'])
  })

  it('names_of_streams_of_the_store_that_the_line_names', async () => {
    expect(await suggested('tail', '')).toEqual(['clicks', 'ticks'])
    expect(await suggested('tail', '--until-end', '--from', '5m', 'cl')).toEqual(['clicks'])
    expect(await suggested('tail', '--data', 'other', '')).toEqual(['elsewhere'])
    expect(await suggested('tail', '-d', 'other', '')).toEqual(['elsewhere'])
    expect(await suggested('tail', '--data=other', '')).toEqual(['elsewhere'])
    expect(await suggested('tail', 'clicks', '')).toEqual([])
    expect(await suggested('tail', '--', '--')).toEqual([])
    expect(await suggested('tail', 'clicks', '--shard', '')).toEqual(['shard of clicks'])
  })

  it('values_by_an_option_s_choices_and_paths_by_its_placeholder', async () => {
    expect(await suggested('export', 'clicks', '--format', '')).toEqual(['ndjson', 'csv', 'parquet'])
    expect(await suggested('export', 'clicks', '--format=c')).toEqual(['--format=csv'])
    expect(await suggested('export', 'clicks', '--out', '')).toBe('files')
    expect(await suggested('ingest', 'clicks', '')).toBe('files')
    expect(await suggested('list', '--data', '')).toBe('directories')
    expect(await suggested('repair', '')).toBe('directories')
    expect(await suggested('tail', 'clicks', '--limit', '')).toEqual([])
    expect(await suggested('completion', '')).toEqual(['bash', 'zsh', 'fish'])
    expect(await suggested('frobnicate', '--')).toEqual(['--version', '--help'])
  })
})

describe('bash', () => {
  let directory: string

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-completion-'))
    const start = `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`
    writeFileSync(join(directory, 'millrace'), start, { mode: 0o755 })
    for (const name of ['clicks', 'clacks', 'ticks']) runProgram(join(directory, 'store'), ['create', name])
  })

  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  /** Lets bash complete each line, as its own completion does it: by the function that the script registers. */
  function completed(...lines: string[][]): string[] {
    const asks = lines.map((words) => {
      const all = ['millrace', ...words].map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${all}); COMP_CWORD=${words.length}; _millrace; echo "\${COMPREPLY[*]}|$opened"; opened=`
    })
    const script = `set -u
      compopt() { opened="$2"; }
      opened=
      source <(millrace completion bash)
      complete -p millrace
      ${asks.join('\n')}`
    const { stdout, stderr, status } = spawnSync('bash', ['-c', script], {
      encoding: 'utf8',
      cwd: directory,
      env: { ...process.env, MILLRACE_DATA: 'store', PATH: `${directory}:${process.env['PATH']}` },
      timeout: CHILD_MS_MAX,
    })
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const [registered, ...answers] = stdout.split('\n').slice(0, -1)
    expect(registered).toBe('complete -F _millrace millrace')
    return answers
  }

  it('completes_commands_options_values_streams_and_files', () => {
    const answers = completed(
      ['del'],
      ['tail', 'cl'],
      ['tail', 'clicks', '--until'],
      ['export', 'clicks', '--format', '=', 'p'],
      ['tail', '--from', 'at', ':', '5', 'ti'],
      ['ingest', 'clicks', ''],
      ['list', '--data', ''],
      ['tail', '--data', 'nowhere', ''],
      ['tail', 'clicks', '--shard', 'shardId-0'],
    )
    expect(answers).toEqual([
      'delete|',
      'clicks clacks|',
      '--until-end|',
      'parquet|',
      'ticks|',
      '|default',
      '|dirnames',
      '|',
      'shardId-000000000000|',
    ])
  })

  it('completes_streams_of_a_store_that_another_process_has_open', async () => {
    const store = join(directory, 'store')
    const holder = startProgram(store, ['ingest', 'clicks', '--batch', '1'])
    try {
      holder.type('a line of the one who has it\n')
      // Looked for from outside: a completion that came first would hold the store itself.
      await vi.waitUntil(() => fileWith(store, 'a line of the one') !== undefined, { timeout: 15_000 })
      const answers = (): string[] => {
        holder.type('and on\n')
        return completed(['tail', ''], ['tail', 'clicks', '--shard', ''])
      }
      await vi.waitUntil(() => answers()[0] === 'clicks|', { timeout: 15_000 })
      expect(answers()).toEqual(['clicks|', 'shardId-000000000000|'])
    } finally {
      holder.kill('SIGKILL')
      await holder.ended
    }
  })

  it('prints_a_script_for_every_shell_and_refuses_others', () => {
    for (const [shell, registers] of [
      ['zsh', 'compdef _millrace millrace'],
      ['fish', 'complete -c millrace'],
    ] as const) {
      expect(runProgram('nowhere', ['completion', shell]).stdout).toContain(registers)
    }
    expect(runProgram('nowhere', ['completion', 'tcsh'])).toMatchObject({ code: 2, stdout: '' })
  })
})
