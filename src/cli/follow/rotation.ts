/**
 * Where a file went when it was rotated, and which comes after it.
 *
 * Rotated files stand beside the followed one under its name with digits behind it: `app.log.1`, `app.log-20261127`.
 * Other names (`app.log.gz`, `app.log.bak`) are nobody's successors; a renamed file is found whatever its name is.
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FollowedFile, isAbsent, type FilePlace } from './file.js'

const ROTATED_SUFFIX = /^[-._]?\d[-._:T\d]*$/
/** A copy is known by its beginning alone, which must be long enough to be its own. */
const COPY_BEGINNING_BYTES_MIN = 32

interface Sibling {
  readonly path: string
  readonly device: string
  readonly inode: string
  readonly changedNs: bigint
  readonly isRotated: boolean
}

/** The file that `place` speaks of, in the folder of `path`: itself under any name, or else a copy of it. */
export async function findPlace(path: string, place: FilePlace): Promise<FollowedFile | undefined> {
  const siblings = await listSiblings(path)
  const same = siblings.filter(({ device, inode }) => device === place.device && inode === place.inode)
  const copies = place.beginning.bytes < COPY_BEGINNING_BYTES_MIN ? [] : siblings.filter(({ isRotated }) => isRotated)
  for (const { path: candidate } of [...same, ...newestFirst(copies)]) {
    const file = await FollowedFile.open(candidate)
    if (file === undefined) continue
    if (await file.holds(place)) {
      await file.seek(place.offset)
      return file
    }
    await file.close()
  }
  return undefined
}

/**
 * What was written after `file`: the oldest rotated file that changed later, or what stands at `path` now.
 * `undefined` while `file` itself stands there, and while nothing does.
 */
export async function findSuccessor(path: string, file: FollowedFile): Promise<FollowedFile | undefined> {
  const siblings = await listSiblings(path)
  const current = siblings.find((sibling) => sibling.path === path)
  if (current === undefined || isSame(current, file)) return undefined
  const own = siblings.find((sibling) => isSame(sibling, file))
  // A file that is gone cannot be put into an order: what stands at the path is what there is.
  const later = own === undefined ? [] : siblings.filter((one) => one.isRotated && one.changedNs > own.changedNs)
  const oldest = newestFirst(later).at(-1)
  return await FollowedFile.open((oldest ?? current).path)
}

function isSame({ device, inode }: Sibling, file: FollowedFile): boolean {
  return device === file.device && inode === file.inode
}

function newestFirst(siblings: readonly Sibling[]): Sibling[] {
  return siblings.toSorted((a, b) => (a.changedNs < b.changedNs ? 1 : -1))
}

/** The files beside `path`, and the one there. */
async function listSiblings(path: string): Promise<Sibling[]> {
  const folder = dirname(path)
  const name = basename(path)
  const found = await Promise.all((await entries(folder)).map((entry) => sibling(join(folder, entry), entry, name)))
  return found.filter((one) => one !== undefined)
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

async function sibling(path: string, entry: string, name: string): Promise<Sibling | undefined> {
  try {
    const stats = await stat(path, { bigint: true })
    if (!stats.isFile()) return undefined
    return {
      path,
      device: String(stats.dev),
      inode: String(stats.ino),
      changedNs: stats.mtimeNs,
      isRotated: entry.startsWith(name) && ROTATED_SUFFIX.test(entry.slice(name.length)),
    }
  } catch (error) {
    // It went between the listing and the look.
    if (isAbsent(error)) return undefined
    throw error
  }
}
