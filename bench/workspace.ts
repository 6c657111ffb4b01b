/**
 * The one folder that a run writes to, and the one place that removes it: at the end, on a failure, and when the run
 * is interrupted.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** A temporary folder below one that the caller chose, and the child processes that write to it. */
export class Workspace {
  /** The folder itself. */
  readonly directory: string
  readonly #children = new Set<ChildProcess>()
  readonly #afterwards: (() => void)[] = []

  /** Makes a fresh folder below `parent` and arranges for its removal. */
  constructor(parent: string) {
    mkdirSync(parent, { recursive: true })
    this.directory = mkdtempSync(join(parent, 'millrace-bench-'))
    process.on('exit', () => this.#remove())
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.on(signal, () => process.exit(status))
    }
  }

  /** A path that nothing stands at. */
  path(name: string): string {
    return join(this.directory, name)
  }

  /** Removes one path now, to give the disk space back before the run ends. */
  discard(name: string): void {
    rmSync(this.path(name), { recursive: true, force: true })
  }

  /** A child that has to die with the run. */
  adopt(child: ChildProcess): void {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
  }

  /** What is to be done once the folder is gone, however the run ends; it must not wait. */
  afterRemoval(act: () => void): void {
    this.#afterwards.push(act)
  }

  #remove(): void {
    // A child that still writes would bring files back.
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 })
    for (const act of this.#afterwards) act()
  }
}
