/**
 * Waits for a file to change: the kernel tells (inotify, through `fs.watch` on the folder), and where it cannot, the
 * file is looked at twice a second.
 *
 * It cannot on network file systems, where others write unseen, for what a symbolic link points to, for a folder that
 * is not there, and when all watches of the user are taken.
 */
import { watch, type FSWatcher } from 'node:fs'
import { lstat, stat, statfs } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { isAbsent } from './file.js'

const LOOK_MS = 500

/** File systems on which changes by others reach nobody here: NFS, SMB, CIFS, SMB2, FUSE, 9p, AFS, Ceph. */
const SILENT_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x5346414f, 0x00c36400,
])

/** Tells when something may have changed at a path. */
export class Watch {
  readonly #path: string
  #watcher: FSWatcher | undefined
  /** The folder's inode when the watch on it began: another folder of its name is another watch. */
  #folder: bigint | undefined
  #changed = false
  #wake = (): void => {}
  /** Why the file is looked at by the clock; `undefined` while the kernel tells. */
  looksBecause: string | undefined

  /** Watches `path`, which need not exist. */
  constructor(path: string) {
    this.#path = path
  }

  /** Begins to watch, or begins again where the folder was replaced. Call it before each look at the file. */
  async arm(): Promise<void> {
    const folder = await folderInode(dirname(this.#path))
    if (this.#watcher === undefined || folder !== this.#folder) this.#begin(folder)
    if (this.#watcher !== undefined) this.looksBecause = await silence(this.#path)
  }

  /** Resolves when something changed since the last wait, when it is time for a look, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#changed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = this.looksBecause === undefined ? undefined : setTimeout(done, LOOK_MS)
        function done(): void {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          resolve()
        }
        signal.addEventListener('abort', done)
        this.#wake = done
      })
    }
    this.#changed = false
  }

  /** Ends the watch. */
  close(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  #begin(folder: bigint | undefined): void {
    this.close()
    this.#folder = folder
    if (folder === undefined) {
      this.looksBecause = 'its folder does not exist'
      return
    }
    try {
      this.#watcher = watch(dirname(this.#path), (_event, name) => this.#onEvent(name))
      this.#watcher.on('error', (error) => this.#fail(error))
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  /** A rotated file has the name with something behind it; the folder itself has its own. */
  #onEvent(name: string | null): void {
    const folder = basename(dirname(this.#path))
    if (name === null || name === folder || name.startsWith(basename(this.#path))) this.#tell()
  }

  #fail(error: Error): void {
    this.close()
    this.looksBecause = error.message
    this.#tell()
  }

  #tell(): void {
    this.#changed = true
    this.#wake()
  }
}

async function folderInode(folder: string): Promise<bigint | undefined> {
  try {
    return (await stat(folder, { bigint: true })).ino
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** Why the kernel would not tell of a change at `path`. */
async function silence(path: string): Promise<string | undefined> {
  try {
    if (SILENT_FILE_SYSTEMS.has((await statfs(dirname(path))).type)) return 'its file system tells nobody of changes'
    return (await lstat(path)).isSymbolicLink() ? 'it is a symbolic link' : undefined
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}
