/**
 * The circumstances of a run, on which every figure depends: the machine, the revision, the command.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

/** What a figure says nothing without. */
export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryGib: number
  readonly kernel: string
  /** The type of the file system that holds the data. */
  readonly fileSystem: string
  readonly node: string
}

/** One call of the bench. */
export interface Run {
  readonly machine: Machine
  /** The revision, short; with `+` behind it where the work tree had changes. */
  readonly commit: string
  /** Without the folder that the data lay in, which is of no use on another machine. */
  readonly command: string
  /** The day and minute, UTC. */
  readonly date: string
  readonly quick: boolean
}

/** The folder that holds the project. */
export const projectRoot = fileURLToPath(new URL('..', import.meta.url))

/** Looks the machine up; data lies in `directory`. */
export function describeMachine(directory: string): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown processor',
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `Linux ${release()}`,
    fileSystem: fileSystemOf(directory),
    node: process.version,
  }
}

/** The circumstances of this run. */
export function describeRun(directory: string, options: { readonly quick: boolean; readonly filter: string }): Run {
  const filter = options.filter === '' ? [] : ['--filter', `'${options.filter}'`]
  const args = [...(options.quick ? ['--quick'] : []), ...filter]
  return {
    machine: describeMachine(directory),
    commit: describeCommit(),
    command: ['npm run bench', ...(args.length === 0 ? [] : ['--', ...args])].join(' '),
    date: `${new Date().toISOString().slice(0, 16)}Z`,
    quick: options.quick,
  }
}

/** The machine in one line. */
export function machineText({ cores, processor, memoryGib, kernel, fileSystem, node }: Machine): string {
  return `${cores} cores (${processor}), ${memoryGib} GiB, ${kernel}, ${fileSystem}, Node ${node}`
}

function describeCommit(): string {
  const commit = git('rev-parse', '--short=10', 'HEAD')
  if (commit === undefined) return 'unknown'
  // Results and what is rendered from them change by running; they do not change what is measured.
  const changed = git('status', '--porcelain', '--', '.', ':!bench/results', ':!docs')
  return changed === '' ? commit : `${commit}+`
}

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: projectRoot, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** The type of the file system that holds `directory`, from the longest mount point that leads to it. */
function fileSystemOf(directory: string): string {
  const path = realpathSync(directory)
  let best = { mount: '', type: 'unknown file system' }
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const mount = before.split(' ')[4] ?? ''
    const holds = path === mount || path.startsWith(mount === '/' ? '/' : `${mount}/`)
    if (mount === '' || !holds || mount.length < best.mount.length) continue
    best = { mount, type: after.split(' ')[0] ?? best.type }
  }
  return best.type
}
