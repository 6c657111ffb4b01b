/**
 * Server programs, each from the package registry that carries it, into `.peers` beside this file. What is there is
 * used again; what the machine has on its path is used as it is.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from './servers.js'
import { Unavailable } from './unavailable.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const cache = join(here, '.peers')
const ACQUIRE_MS = 10 * 60_000

/** Version of nats-server that is built where none is installed. */
const NATS_VERSION = 'v2.15.2'

/** The Redis server: the machine's own, or Debian's packages unpacked without being installed. */
export function redisServer(): Command {
  if (runs('redis-server', ['--version'])) return { program: 'redis-server', args: [] }
  const root = acquire('redis', (folder) => {
    must('apt-get', ['download', 'redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1'], folder)
    for (const name of readdirSync(folder).filter((name) => name.endsWith('.deb'))) {
      must('dpkg-deb', ['--extract', name, '.'], folder)
    }
  })
  const libraries = readdirSync(join(root, 'usr/lib')).map((name) => join(root, 'usr/lib', name))
  return {
    program: join(root, 'usr/bin/redis-server'),
    args: [],
    env: { LD_LIBRARY_PATH: libraries.join(':') },
  }
}

/** The NATS server: the machine's own, or built from the Go module. */
export function natsServer(): Command {
  if (runs('nats-server', ['--version'])) return { program: 'nats-server', args: [] }
  const root = acquire(`nats-${NATS_VERSION}`, (folder) => {
    must('go', ['install', `github.com/nats-io/nats-server/v2@${NATS_VERSION}`], folder, { GOBIN: folder })
  })
  return { program: join(root, 'nats-server'), args: [] }
}

/** A Java program over the jars that `java/NAME/pom.xml` names. */
export function javaProgram(name: 'kafka' | 'chronicle'): Command {
  if (!runs('java', ['-version'])) throw new Unavailable('java is not installed')
  const project = join(here, 'java', name)
  const root = acquire(`${name}-${javaVersion(name)}`, (folder) => {
    must('mvn', ['--quiet', '--batch-mode', 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`], project)
  })
  return { program: 'java', args: ['-cp', join(root, '*')] }
}

/** The version that `java/NAME/pom.xml` pins, of its first dependency. */
export function javaVersion(name: 'kafka' | 'chronicle'): string {
  const project = readFileSync(join(here, 'java', name, 'pom.xml'), 'utf8')
  return /<version>([^<]+)<\/version>\s*<\/dependency>/.exec(project)?.[1] ?? 'unknown'
}

/** A server that is an npm package with a program; `path` is that program within it. */
export function npmServer(name: string, path: string): Command {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
    return { program: process.execPath, args: [join(manifest, '..', path)] }
  } catch {
    throw new Unavailable(`npm package ${name} is not installed`)
  }
}

/** A folder of the cache, filled by `fill` unless an earlier run did. */
function acquire(name: string, fill: (folder: string) => void): string {
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  // A folder gets its name when it is complete, so that an interrupted run leaves nothing to be trusted.
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  console.log(`setup: fetching ${name}`)
  fill(partial)
  renameSync(partial, folder)
  return folder
}

function runs(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

function must(program: string, args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): void {
  const options = { cwd, env: { ...process.env, ...env }, encoding: 'utf8', timeout: ACQUIRE_MS } as const
  const { status, error, stderr } = spawnSync(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
  if (error !== undefined) throw new Unavailable(`${program} cannot be run: ${error.message}`)
  if (status === 0) return
  const line = stderr.trimEnd().split('\n').at(-1)?.slice(0, 200)
  throw new Unavailable(`${program} ${args[0]} failed: ${line}`)
}
