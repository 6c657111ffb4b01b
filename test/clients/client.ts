/**
 * A client of the tests: how it is had, and how its story is run against a `millrace serve` of its own, with the variables
 * that `millrace env` prints and signatures that are verified.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { runProgram, startProgram } from '../program.js'
import { emptyFolder, root, run } from '../support.js'
import type { Missing } from './install.js'
import type { Answered, Run, Told } from './report.js'

/** The longest that a story takes, in milliseconds: the command line starts a program for each of some forty calls. */
export const STORY_MS_MAX = 240_000

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDCLIENT', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

/** A program that does the story, and what it needs besides the variables of `millrace env`. */
export interface Story {
  readonly program: string
  readonly args: readonly string[]
  /** Variables by which the client trusts an authority, where `millrace env` has none for it. */
  readonly trust?: (authority: string, folder: string) => NodeJS.ProcessEnv
}

/** One client. */
export interface Client {
  readonly name: string
  /** The name of its report. */
  readonly id: string
  /** Whether it does the story over TLS too. */
  readonly withTls: boolean
  /** Installs what is not there yet. */
  prepare(): Story | Missing
}

/** Runs a story against a server, and returns what it told and what the server saw. */
export async function tell(story: Story, tls: boolean): Promise<Run> {
  const folder = emptyFolder()
  const store = join(folder, 'store')
  const credentials = join(folder, 'credentials')
  writeFileSync(
    credentials,
    `[default]\naws_access_key_id = ${KEYS.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${KEYS.AWS_SECRET_ACCESS_KEY}\n`,
  )
  const encrypted = tls ? ['--tls'] : []
  const options = ['serve', '--port', '0', '--log', 'debug', '--credentials', credentials]
  const server = startProgram(store, [...options, ...encrypted], STORY_MS_MAX)
  onTestFinished(() => server.kill('SIGKILL'))
  await server.heard('\n')
  const port = /:(\d+)\s*$/.exec(server.output())?.[1] ?? ''
  const { stdout } = runProgram(store, ['env', '--json', '--port', port, ...encrypted])
  const variables = { ...(JSON.parse(stdout) as NodeJS.ProcessEnv), ...KEYS, AWS_EC2_METADATA_DISABLED: 'true' }
  const trust = tls ? story.trust?.(join(store, 'server', 'authority.pem'), folder) : {}
  const { status, output } = await run(story.program, story.args, root, { ...variables, ...trust }, STORY_MS_MAX)
  expect(status, output).toBe(0)
  const told = output.split('\n').findLast((line) => line.startsWith('{"')) ?? ''
  server.kill('SIGTERM')
  await server.ended
  return { told: JSON.parse(told) as Told, answered: answersIn(server.errors()), tls }
}

/** What a server's log says of its answers. */
function answersIn(log: string): Answered[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'))
  const events = lines.map((line) => JSON.parse(line) as Answered & { readonly message?: string })
  return events.filter(({ message }) => message === 'answered')
}
