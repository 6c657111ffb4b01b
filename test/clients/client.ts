/** A client of the tests: how it is had, and how its story is run against a `millrace serve` of its own. */
import { expect } from 'vitest'
import { root, run } from '../support.js'
import type { Missing } from './install.js'
import type { Answered, Run, Told } from './report.js'
import { serve } from './server.js'

/** The longest that a story takes, in milliseconds: the command line starts a program for each of some forty calls. */
export const STORY_MS_MAX = 240_000

/** A program that does the story, and what it needs besides the variables of `millrace env`. */
export interface Story {
  readonly program: string
  readonly args: readonly string[]
  /** Whether it finds the server as programs in Java do. */
  readonly isJava?: true
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
  const server = await serve({ tls, msMax: STORY_MS_MAX })
  const env = story.isJava === true ? server.javaEnv() : server.env
  const { status, output } = await run(story.program, story.args, root, env, STORY_MS_MAX)
  expect(status, output).toBe(0)
  const told = output.split('\n').findLast((line) => line.startsWith('{"')) ?? ''
  await server.end('SIGTERM')
  return { told: JSON.parse(told) as Told, answered: answersIn(server.log()), tls }
}

/** What a server's log says of its answers. */
function answersIn(log: string): Answered[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'))
  const events = lines.map((line) => JSON.parse(line) as Answered & { readonly message?: string })
  return events.filter(({ message }) => message === 'answered')
}
