/**
 * The servers of a run: started as children on free loopback ports, shared by the peers that talk to the same one, and
 * ended by their process ids, also when the run fails or is interrupted.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Unavailable } from './unavailable.js'

/** How long a server may take until it answers. */
const START_MS = 60_000

/** How long a server may take to end by itself. */
const STOP_MS = 5000

/** The same at an exit that cannot wait: whoever interrupted the run may kill it before its files are removed. */
const STOP_AT_EXIT_MS = 1500

/** What has to be run for a server. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** What a server is made of. */
export interface ServerKind {
  /** Servers of one name are one server. */
  readonly name: string
  /** The command that serves at `ports[0]` from `directory`; anything it needs beforehand is done here. */
  readonly command: (directory: string, ports: readonly number[]) => Promise<Command>
  readonly ports?: number
}

/** A server that answers. */
export interface Server {
  readonly port: number
  readonly pid: number
  /** Ends it and starts it again over the same data; resolves to the milliseconds until it answered. */
  restart(): Promise<number>
  stop(): Promise<void>
}

/** All servers of one run. */
export class Servers {
  readonly #directory: () => string
  readonly #started = new Map<string, Promise<Server>>()
  readonly #children = new Set<ChildProcess>()

  /** Servers keep their data below this folder, which is asked for when the first of them starts. */
  constructor(directory: () => string) {
    this.#directory = directory
    process.on('exit', () => this.#endAtExit())
  }

  /** The server of this kind, started now or earlier. */
  use(kind: ServerKind): Promise<Server> {
    const known = this.#started.get(kind.name)
    if (known !== undefined) return known
    const starting = this.#start(kind)
    this.#started.set(kind.name, starting)
    return starting
  }

  /**
   * Lets only this server run; without one, all of them are held. What a server still does when it was measured (a
   * sync, a compaction, a collection) must not be on the clock of the next peer.
   */
  letRun(server: Pick<Server, 'pid'> | undefined): void {
    for (const child of this.#children) child.kill(child.pid === server?.pid ? 'SIGCONT' : 'SIGSTOP')
  }

  /** Lets all servers run again. */
  letAllRun(): void {
    for (const child of this.#children) child.kill('SIGCONT')
  }

  /** Ends all servers. */
  async stop(): Promise<void> {
    const servers = await Promise.allSettled(this.#started.values())
    this.#started.clear()
    await Promise.all(servers.map((server) => (server.status === 'fulfilled' ? server.value.stop() : undefined)))
  }

  async #start(kind: ServerKind): Promise<Server> {
    const directory = join(this.#directory(), kind.name.replaceAll(/\W+/g, '-'))
    mkdirSync(directory, { recursive: true })
    const ports = await freePorts(kind.ports ?? 1)
    const command = await kind.command(directory, ports)
    const log = join(directory, 'output.log')
    let child = await this.#spawn(kind.name, command, directory, log, ports[0]!)
    const stop = () => end(child)
    const restart = async () => {
      await stop()
      const started = performance.now()
      child = await this.#spawn(kind.name, command, directory, log, ports[0]!)
      return performance.now() - started
    }
    return {
      port: ports[0]!,
      get pid() {
        return child.pid ?? 0
      },
      restart,
      stop,
    }
  }

  async #spawn(name: string, { program, args, env }: Command, cwd: string, log: string, port: number) {
    const output = openSync(log, 'a')
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', output, output] })
    closeSync(output)
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (error) => reject(new Unavailable(`${name} cannot be started: ${error.message}`)))
      child.once('exit', (status, signal) => {
        reject(new Unavailable(`${name} ended with ${signal ?? status} before it answered: ${lastWords(log)}`))
      })
    })
    failed.catch(() => {})
    try {
      await Promise.race([failed, untilAnswers(name, port)])
    } catch (error) {
      await end(child)
      throw error
    }
    return child
  }

  /** In an exit handler nothing can be awaited: it asks, looks at the process table for a while, and kills. */
  #endAtExit(): void {
    for (const child of this.#children) child.kill('SIGTERM')
    this.letAllRun()
    const deadline = performance.now() + STOP_AT_EXIT_MS
    while (performance.now() < deadline && [...this.#children].some(isAlive)) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
    for (const child of this.#children) child.kill('SIGKILL')
  }
}

/** Ends one child: asks first. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(timer)
}

async function untilAnswers(name: string, port: number): Promise<void> {
  const deadline = performance.now() + START_MS
  while (performance.now() < deadline) {
    if (await answers(port)) return
    await delay(10)
  }
  throw new Unavailable(`${name} did not answer within ${START_MS / 1000} s`)
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Ports that nobody listens at, all held until the last is found, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const holders = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(holders.map((holder) => once(holder, 'listening')))
  const ports = holders.map((holder) => (holder.address() as { port: number }).port)
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))))
  return ports
}

/** A child that has ended and was not yet waited for is not alive. */
function isAlive({ pid }: ChildProcess): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function lastWords(log: string): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').at(-1)?.slice(0, 200) ?? ''
}
