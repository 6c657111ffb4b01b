/** What a program asks of a reader, checked and as the native module takes it. */
import type { NativeReadRequest } from './binding.js'
import { checkWhole } from './checks.js'
import { nativeStart, shardNumber } from './describe.js'
import { invalidArgument } from './errors.js'
import type { ReadOptions } from './options.js'

/** Descriptors of so many records stay in the first-level cache, their bytes mostly in the second. */
const RECORDS_DEFAULT = 1024
const RECORDS_MAX = 65_536
const BYTES_DEFAULT = 4 * 1024 * 1024

/** The request; with `copyOnly` it is for owned copies, whatever the options say. */
export function readRequest(options: ReadOptions, copyOnly: boolean): NativeReadRequest {
  const { limited = false, shard, withChildren = false } = options
  if (limited && (shard === undefined || withChildren)) {
    throw invalidArgument('limited: expected a shard and no withChildren beside it, for limits are those of one shard')
  }
  return {
    ...nativeStart(options.from ?? 'LATEST'),
    ...(shard === undefined ? {} : { shard: shardNumber(shard) }),
    children: withChildren,
    limited,
    published: options.visibility === 'published',
    copy: copyOnly || options.copy === true,
    maxRecords: checkWhole('maxRecords', options.maxRecords ?? RECORDS_DEFAULT, 1, RECORDS_MAX),
    maxBytes: checkWhole('maxBytes', options.maxBytes ?? BYTES_DEFAULT, 1, 0x7fff_ffff),
  }
}
