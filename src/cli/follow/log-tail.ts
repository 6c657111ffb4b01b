/**
 * The lines of a growing log file, over rotations and truncations, each once.
 *
 * - A line counts when its line feed is there, or when its file was rotated away: nobody will end it then.
 * - A file that was renamed is read to its end before its successor is begun, and only once the successor holds
 *   something: until then the writer may still have the old one.
 * - A file that was truncated is gone on with in the copy that a rotation made of it, if there is one.
 */
import { LineCutter, type Line } from '../input/lines.js'
import { FollowedFile, type FilePlace } from './file.js'
import { findPlace, findSuccessor } from './rotation.js'
import { Watch } from './watch.js'

/** Lines, and the place behind them. */
export interface LineGroup {
  readonly lines: readonly Line[]
  readonly place: FilePlace
  /** The file that the lines stand in, and the byte that line 1 begins at, for messages. */
  readonly source: string
}

/** What {@link LogTail} is told. */
export interface LogTailOptions {
  /** The place to go on at; `undefined` for a file that is new. */
  readonly place: FilePlace | undefined
  /** Where a new file is begun. One that appears later is always begun at its start. */
  readonly begin: 'start' | 'end'
  readonly signal: AbortSignal
  /** Hears what a person should know. */
  readonly note: (text: string) => void
}

/** Reads one path. */
export class LogTail {
  readonly #path: string
  readonly #options: LogTailOptions
  readonly #watch: Watch
  #file: FollowedFile | undefined
  #cutter = new LineCutter()
  /** Where {@link LogTail.#cutter} began in the file. */
  #began = 0
  /** The file that comes next, once it was seen to hold something. */
  #successor: FollowedFile | undefined
  #noted: string | undefined

  constructor(path: string, options: LogTailOptions) {
    this.#path = path
    this.#options = options
    this.#watch = new Watch(path)
  }

  /** Bytes of the file that have not been read yet; 0 while there is no file. */
  async behind(): Promise<number> {
    return this.#file === undefined ? 0 : Math.max((await this.#file.size()) - this.#file.position, 0)
  }

  /** Groups of lines as they come, until the signal aborts; one without lines where a file is begun. */
  async *groups(): AsyncGenerator<LineGroup> {
    const { signal } = this.#options
    try {
      await this.#watch.arm()
      await this.#start()
      if (this.#file === undefined) this.#options.note(`${this.#path} is waited for: there is no such file yet`)
      else yield this.#group([])
      while (!signal.aborted) {
        const group = await this.#look()
        if (group !== undefined) {
          yield group
          continue
        }
        this.#tellHowItWaits()
        await this.#watch.wait(signal)
        await this.#watch.arm()
      }
    } finally {
      this.#watch.close()
      await this.#file?.close()
      await this.#successor?.close()
    }
  }

  async #start(): Promise<void> {
    const { place, begin, note } = this.#options
    if (place === undefined) {
      const file = await FollowedFile.open(this.#path)
      if (file !== undefined && begin === 'end') await file.seek(await file.size())
      this.#enter(file)
      return
    }
    const found = await findPlace(this.#path, place)
    if (found === undefined) {
      note(`${this.#path} is another file than before: anything behind byte ${place.offset} of that one was not read`)
    }
    this.#enter(found ?? (await FollowedFile.open(this.#path)))
  }

  /** One step: a group, which may be empty; `undefined` when there is nothing to do but wait. */
  async #look(): Promise<LineGroup | undefined> {
    if (this.#file === undefined) {
      this.#enter(await FollowedFile.open(this.#path))
      return this.#file === undefined ? undefined : this.#group([])
    }
    const step = await this.#file.next()
    if (step.is === 'bytes') return this.#group(this.#cutter.take(step.bytes))
    return step.is === 'truncated' ? await this.#goOnAfterTruncation(this.#file) : await this.#atEnd(this.#file)
  }

  /** At the end: the successor is begun when the end was seen after it held something. */
  async #atEnd(file: FollowedFile): Promise<LineGroup | undefined> {
    if (this.#successor !== undefined) {
      const last = this.#group(this.#cutter.end())
      await file.close()
      this.#enter(this.#successor)
      this.#successor = undefined
      return last
    }
    const successor = await findSuccessor(this.#path, file)
    if (successor === undefined) return undefined
    if ((await successor.size()) === 0) {
      await successor.close()
      return undefined
    }
    this.#successor = successor
    return this.#group([])
  }

  async #goOnAfterTruncation(file: FollowedFile): Promise<LineGroup> {
    const place = file.place(this.#cutter.pendingBytes)
    await file.close()
    const copy = await findPlace(this.#path, place)
    if (copy === undefined) {
      this.#options.note(
        `${this.#path} was truncated, and no copy of it stands beside it: it is read from its start on`,
      )
    }
    this.#enter(copy ?? (await FollowedFile.open(this.#path)))
    return this.#group([])
  }

  #enter(file: FollowedFile | undefined): void {
    this.#file = file
    this.#began = file?.position ?? 0
    this.#cutter = new LineCutter()
  }

  #group(lines: readonly Line[]): LineGroup {
    const file = this.#file as FollowedFile
    const source = this.#began === 0 ? file.path : `${file.path} from byte ${this.#began} on`
    return { lines, place: file.place(this.#cutter.pendingBytes), source }
  }

  #tellHowItWaits(): void {
    const { looksBecause } = this.#watch
    if (looksBecause === this.#noted) return
    this.#noted = looksBecause
    if (looksBecause !== undefined) this.#options.note(`${this.#path} is looked at twice a second: ${looksBecause}`)
  }
}
