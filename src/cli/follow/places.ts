/**
 * The places up to which followed files are in their streams, in a file beside the store.
 *
 * Invariant: what a place calls done is on disk in the stream. The stream may hold more: the group of lines that was
 * under way when the process was killed.
 */
import { open, readFile, rename } from 'node:fs/promises'
import { CommandFailure } from '../exit.js'
import { isAbsent, type FilePlace } from './file.js'
import type { Noted } from './group-writer.js'

const ABOUT =
  'How far millrace ingest --follow has got. All bytes before an offset are on disk in the stream; the stream may hold lines behind it, which are found there and not repeated.'

/** How far one file is in one stream. */
export interface Place extends FilePlace, Noted {
  /** When the stream was created, in milliseconds since the epoch: one of the same name may come after it. */
  readonly streamCreatedAt: number
}

interface PlacesFile {
  readonly about: string
  readonly version: 1
  readonly places: Record<string, Place>
}

/** The places of one store. */
export class Places {
  readonly #path: string
  readonly #places: Record<string, Place>

  private constructor(path: string, places: Record<string, Place>) {
    this.#path = path
    this.#places = places
  }

  /** Reads the file at `path`; without one there are no places yet. */
  static async open(path: string): Promise<Places> {
    let text
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if (isAbsent(error)) return new Places(path, {})
      throw error
    }
    const file = parsed(text)
    if (!isPlacesFile(file)) {
      const message = `expected a file of places at ${path}, got something else; move it away, or name another with --places`
      throw new CommandFailure('ERR_PLACES', message)
    }
    return new Places(path, file.places)
  }

  /** The place of `file` in `stream`. */
  get(stream: string, file: string): Place | undefined {
    const key = keyOf(stream, file)
    return Object.hasOwn(this.#places, key) ? this.#places[key] : undefined
  }

  /** Stores a place; it is on disk when the promise resolves. A crash leaves the file as it was, or as it is now. */
  async set(stream: string, file: string, place: Place): Promise<void> {
    this.#places[keyOf(stream, file)] = place
    const content: PlacesFile = { about: ABOUT, version: 1, places: this.#places }
    const unfinished = `${this.#path}.unfinished`
    const handle = await open(unfinished, 'w')
    try {
      await handle.writeFile(`${JSON.stringify(content, null, 2)}\n`)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    // Should the machine lose the new name, the old place holds as well: more lines are then found in the stream.
    await rename(unfinished, this.#path)
  }
}

function keyOf(stream: string, file: string): string {
  return `${stream} ${file}`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isPlacesFile(value: unknown): value is PlacesFile {
  if (!isObject(value) || value['version'] !== 1 || !isObject(value['places'])) return false
  return Object.values(value['places']).every(isPlace)
}

function isPlace(value: unknown): value is Place {
  if (!isObject(value) || !isObject(value['beginning'])) return false
  const { device, inode, offset, streamCreatedAt, after, since, beginning } = value
  const numbers = [offset, streamCreatedAt, since, beginning['bytes']]
  const texts = [device, inode, beginning['sha256'], after ?? '']
  return numbers.every((number) => Number.isSafeInteger(number) && Number(number) >= 0) && texts.every(isText)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
