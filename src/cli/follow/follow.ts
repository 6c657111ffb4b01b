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
import { GroupWriter } from './group-writer.js'
import { LogTail } from './log-tail.js'
import { Places } from './places.js'

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
  const places = await Places.open(options.places)
  const streamCreatedAt = stream.describe().createdAt.getTime()
  const noted = places.get(stream.name, path)
  const place = noted?.streamCreatedAt === streamCreatedAt ? noted : undefined
  if (noted !== undefined && place === undefined)
    note(`stream '${stream.name}' is newer than the place of ${path}, which is forgotten`)
  const writer = new GroupWriter(stream, bad, place, signal)
  const tail = new LogTail(path, { place, begin, signal, note })
  let last: FilePlace | undefined = place
  let source = path
  let failure: Followed['failure']
  try {
    for await (const group of tail.groups()) {
      ;({ source } = group)
      // The place at which a file is begun is noted before anything of it is put: a kill must not begin it anew.
      if (last === undefined) await places.set(stream.name, path, { ...group.place, ...writer.begun, streamCreatedAt })
      await writer.write(group.lines.map((line) => lineRecord(line, recordOptions)))
      const { noted: reached } = writer
      if (reached !== undefined && !isSame(last, group.place)) {
        await places.set(stream.name, path, { ...group.place, ...reached, streamCreatedAt })
      }
      last = group.place
      progress.update(0, writer.acknowledged)
    }
  } catch (error) {
    failure = { error, source }
  }
  const { acknowledged, acknowledgedBytes, recalled } = writer
  return { acknowledged, acknowledgedBytes, recalled, failure }
}

function isSame(one: FilePlace | undefined, other: FilePlace): boolean {
  return one?.inode === other.inode && one.device === other.device && one.offset === other.offset
}
