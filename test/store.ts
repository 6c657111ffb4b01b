/** What tests of the API share: a store that goes away with its test, and small ways to write and read. */
import { onTestFinished } from 'vitest'
import { Millrace, MillraceError, type Batch, type Reader, type Stream, type StreamRecord } from '../src/index.js'
import { emptyFolder } from './support.js'

/** An open store in a folder of its own; both end with the test. */
export async function openStore(folder = emptyFolder()): Promise<Millrace> {
  const millrace = await Millrace.open(folder)
  onTestFinished(() => millrace.close().catch(() => {}))
  return millrace
}

/** Bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The text of bytes. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data)
}

/** Appends records with these keys; the data of each is `data of KEY`. */
export async function appendKeys(stream: Stream, keys: Iterable<string>): Promise<void> {
  for (const partitionKey of keys) stream.append({ partitionKey, data: bytes(`data of ${partitionKey}`) })
  await stream.flush()
}

/** `count` keys that all differ. */
export function keys(count: number, prefix = 'key'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
}

/** All records up to the end of a reader that does not follow. */
export async function allRecords<T>(reader: AsyncIterable<Batch<T>>): Promise<StreamRecord<T>[]> {
  const records: StreamRecord<T>[] = []
  for await (const batch of reader) records.push(...batch)
  return records
}

/** The next `count` records of a reader that follows. */
export async function take<T>(reader: Reader<T>, count: number): Promise<StreamRecord<T>[]> {
  const records: StreamRecord<T>[] = []
  while (records.length < count) {
    const { done, value } = await reader.next()
    if (done === true) break
    records.push(...value)
  }
  return records
}

/** The error's code; anything that is no error of the package fails the test. */
export async function codeOf(failing: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof failing === 'function' ? failing() : failing)
  } catch (error) {
    if (MillraceError.is(error)) return error.code
    throw error
  }
  return 'no error'
}
