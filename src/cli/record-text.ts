/** One record as a line of NDJSON, as `tail` prints and `export` writes it. */
import { isUtf8 } from 'node:buffer'
import type { Batch } from '../index.js'

/** How `tail` and `export` describe their lines, for help texts. */
export const LINE_FORM = `Each line: {"shardId", "sequenceNumber", "partitionKey", "approximateArrivalTimestamp", "data"}. Data is text; what is
no UTF-8 is given in base64, marked by "encoding": "base64".`

/** The record with its data as text. */
export function textLine(batch: Batch, index: number): string {
  const { data, encoding } = textOrBase64(contentOf(batch, index))
  const end = encoding === undefined ? '}' : `,"encoding":"${encoding}"}`
  return `${place(batch, index)},"data":${JSON.stringify(data)}${end}`
}

/** The record with data that is JSON as JSON. */
export function parsedLine(batch: Batch, index: number): string {
  try {
    // Parsed and written again, so that the line stays one line.
    const value = JSON.stringify(JSON.parse(contentOf(batch, index).toString('utf8')))
    return `${place(batch, index)},"data":${value}}`
  } catch {
    return textLine(batch, index)
  }
}

/** Bytes as text, or in base64 when they are none. */
export function textOrBase64(data: Buffer): { data: string; encoding?: 'base64' } {
  return isUtf8(data) ? { data: data.toString('utf8') } : { data: data.toString('base64'), encoding: 'base64' }
}

/** The data as the stream's codec unpacks it. */
export function contentOf(batch: Batch, index: number): Buffer {
  const data = batch.value(index)
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

/** The line up to the data. Put together by hand, in half the time of a stringified object: few of its values can hold a quote. */
function place(batch: Batch, index: number): string {
  const key = JSON.stringify(batch.partitionKey(index))
  const arrival = new Date(batch.arrivalTime(index)).toISOString()
  return (
    `{"shardId":"${batch.shardId(index)}","sequenceNumber":"${batch.sequenceNumber(index)}",` +
    `"partitionKey":${key},"approximateArrivalTimestamp":"${arrival}"`
  )
}
