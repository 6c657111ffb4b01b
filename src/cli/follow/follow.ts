/**
 * `ingest --follow`: lines of a growing log into a stream.
 *
 * One group is read, put and noted before the next is read: that is the backpressure, and it bounds what may be in the
 * stream beyond the noted place to one group.
 */
import type { Stream } from '../../index.js'
import type { BadRecords } from '../input/bad-records.js'
import { lineRecord, type RecordOptions } from '../input/records.js'
import type { Progress } from '../progress.js'
import type { FilePlace } from './file.js'
import { GroupWriter, type Noted } from './group-writer.js'
import { LogTail } from './log-tail.js'
import { Places, type Place } from './places.js'

/** How a file is followed. */
export interface FollowOptions {
  /** The file that keeps the places. */
  readonly places: string
  /** Where a file without a place is begun. */
  readonly begin: 'start' | 'end'
  readonly recordOptions: RecordOptions
  readonly bad: BadRecords
  readonly signal: AbortSignal
  readonly note: (text: string) => void
  readonly progress: Progress
}

/** What came of it. */
export interface Followed {
  readonly acknowledged: number
  readonly acknowledgedBytes: number
  /** Lines that an earlier run had put. */
  readonly recalled: number
  /** What ended it before the signal did, and in which file. */
  readonly failure: { readonly error: unknown; readonly source: string } | undefined
}

/** Follows `path` until the signal aborts or something fails. */
export async function follow(stream: Stream, path: string, options: FollowOptions): Promise<Followed> {
  const { bad, signal, note, begin, recordOptions, progress } = options
  const bookmark = new Bookmark(await Places.open(options.places), stream, path)
  if (bookmark.isForgotten) note(`stream '${stream.name}' is newer than the place of ${path}, which is forgotten`)
  const { place } = bookmark
  const writer = new GroupWriter(stream, bad, place, signal)
  const tail = new LogTail(path, { place, begin, signal, note })
  let source = path
  let failure: Followed['failure']
  try {
    for await (const group of tail.groups()) {
      ;({ source } = group)
      // The place at which a file is begun is noted before anything of it is put: a kill must not begin it anew.
      if (bookmark.place === undefined) await bookmark.move(group.place, writer.begun)
      await writer.write(group.lines.map((line) => lineRecord(line, recordOptions)))
      if (writer.noted !== undefined) await bookmark.move(group.place, writer.noted)
      progress.update(0, writer.acknowledged)
    }
  } catch (error) {
    failure = { error, source }
  }
  const { acknowledged, acknowledgedBytes, recalled } = writer
  return { acknowledged, acknowledgedBytes, recalled, failure }
}

/** The noted place of one file in one stream. */
class Bookmark {
  readonly #places: Places
  readonly #stream: string
  readonly #path: string
  readonly #streamCreatedAt: number
  /** Whether the place that was noted is that of an older stream of the same name. */
  readonly isForgotten: boolean
  /** What is noted; `undefined` while nothing is. */
  place: Place | undefined

  constructor(places: Places, stream: Stream, path: string) {
    this.#places = places
    this.#stream = stream.name
    this.#path = path
    this.#streamCreatedAt = stream.describe().createdAt.getTime()
    const noted = places.get(stream.name, path)
    this.place = noted?.streamCreatedAt === this.#streamCreatedAt ? noted : undefined
    this.isForgotten = noted !== undefined && this.place === undefined
  }

  /** Notes another place; it is on disk when the promise resolves. */
  async move(to: FilePlace, noted: Noted): Promise<void> {
    if (isSame(this.place, to)) return
    this.place = { ...to, ...noted, streamCreatedAt: this.#streamCreatedAt }
    await this.#places.set(this.#stream, this.#path, this.place)
  }
}

function isSame(one: FilePlace | undefined, other: FilePlace): boolean {
  return one?.inode === other.inode && one.device === other.device && one.offset === other.offset
}
