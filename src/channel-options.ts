/**
 * The settings and descriptions of channels: between what callers write and see, and what the native module takes and
 * tells.
 */
import type { NativeChannel, NativeChannelConfig } from './binding.js'
import { checkName, checkOneOf, checkWhole } from './checks.js'
import { invalidArgument } from './errors.js'

const FRESHNESS_S_DEFAULT = 300
const FRESHNESS_S_MAX = 900
const FORMATS: readonly ChannelFormat[] = ['json', 'text', 'bytes']
const COMPRESSIONS: readonly ChannelCompression[] = ['none', 'gzip']
const STORAGE_CLASSES: readonly ChannelStorageClass[] = ['standard', 'intelligent-tiering', 'glacier-ir']

/**
 * What a stream's records are, and so how they stand in an object: `'json'` and `'text'` one record a line, `'bytes'` one
 * right behind the other. What is no JSON or no UTF-8 is a dead letter.
 */
export type ChannelFormat = 'json' | 'text' | 'bytes'

/** How objects are compressed; the keys of those in gzip end in `.gz`. */
export type ChannelCompression = 'none' | 'gzip'

/** What a bucket stores objects as, where it tells classes apart. */
export type ChannelStorageClass = 'standard' | 'intelligent-tiering' | 'glacier-ir'

/** What of a channel can be changed. */
export interface ChannelAttributes {
  /**
   * How old a record grows before it is delivered, in seconds, 1 to 900; 16 MiB of records are delivered at once.
   * @default 300
   */
  readonly freshnessSeconds?: number
}

/** Options of {@link Stream.createChannel}. All but the attributes and the tags stay as they are. */
export interface CreateChannelOptions extends ChannelAttributes {
  /**
   * The bucket that objects go to: 3 to 63 of the characters `a-z 0-9 . _ -`. Where it is, {@link Millrace.deliverChannels}
   * says.
   */
  readonly bucket: string
  /** What the records are. */
  readonly format: ChannelFormat
  /**
   * How the keys of objects begin: 1 to 1,024 characters with `{stream}`, `{channel}`, `{sequence}` and
   * `{timestamp:yyyy/MM/dd/HH/mm/ss}`, which is when an object's first record arrived, in UTC. A name that no other object
   * has is put behind it.
   * @default '{stream}/{timestamp:yyyy/MM/dd/HH}/'
   */
  readonly keyTemplate?: string
  /**
   * How objects are compressed.
   * @default 'none'
   */
  readonly compression?: ChannelCompression
  /**
   * The bucket that dead letters go to.
   * @default `bucket`
   */
  readonly deadLetterBucket?: string
  /**
   * How the keys of dead letters begin, as a `keyTemplate`.
   * @default 'errors/'
   */
  readonly deadLetterPrefix?: string
  /** The account that the buckets are expected to belong to: twelve digits, for an endpoint; a folder has no owner. */
  readonly bucketOwner?: string
  /** What an endpoint is to store objects as; it means nothing to a folder. By default the endpoint decides. */
  readonly storageClass?: ChannelStorageClass
  /** The key of KMS that an endpoint is to encrypt objects with; a folder does not encrypt. */
  readonly encryptionKey?: string
  /**
   * Notes of an operator: at most 50, keys of 1 to 128 and values of 0 to 256 characters.
   * @default {}
   */
  readonly tags?: Readonly<Record<string, string>>
  /**
   * Opens the channel instead of failing when this stream has it. Its stored settings stay as they are.
   * @default false
   */
  readonly ifNotExists?: boolean
}

/** Why a channel does not deliver at present. It is tried again after 1, 2, 4 … 60 seconds, until it succeeds. */
export interface ChannelFailure {
  /** What went wrong last. */
  readonly reason: string
  /** How often in a row. */
  readonly attempts: number
  /** When it went wrong first. */
  readonly since: Date
}

/** What a channel has delivered since the store was opened. */
export interface ChannelDeliveries {
  /** Objects, those with dead letters too. */
  readonly objects: number
  /** Their bytes, as they were stored. */
  readonly bytes: number
  /** Records in objects. */
  readonly records: number
  /** Records in objects of dead letters. */
  readonly deadLetters: number
}

/** What {@link Channel.describe} and {@link Stream.channels} tell. */
export interface ChannelDescription {
  /** The channel's name. */
  readonly name: string
  /** When it was created. */
  readonly createdAt: Date
  /**
   * `'active'`: what is due is delivered. `'retrying'`: that failed, and is tried again; `failure` says why. `'paused'`:
   * this process was not told where the buckets are ({@link Millrace.deliverChannels}); nothing is lost meanwhile.
   */
  readonly status: 'active' | 'retrying' | 'paused'
  /** Why it is `'retrying'`; missing otherwise. */
  readonly failure?: ChannelFailure
  /** What it has delivered since the store was opened. */
  readonly delivered: ChannelDeliveries
  /** How old a record grows before it is delivered, in seconds. */
  readonly freshnessSeconds: number
  /** The bucket that objects go to. */
  readonly bucket: string
  /** What the records are. */
  readonly format: ChannelFormat
  /** How the keys of objects begin. */
  readonly keyTemplate: string
  /** How objects are compressed. */
  readonly compression: ChannelCompression
  /** The bucket that dead letters go to. */
  readonly deadLetterBucket: string
  /** How the keys of dead letters begin. */
  readonly deadLetterPrefix: string
  /** The account that the bucket is expected to belong to, if any. */
  readonly bucketOwner?: string
  /** What an endpoint is to store objects as, where it was said. */
  readonly storageClass?: ChannelStorageClass
  /** The key of KMS that an endpoint is to encrypt objects with, if any. */
  readonly encryptionKey?: string
  /** Notes of an operator. */
  readonly tags: Readonly<Record<string, string>>
}

/** What a channel is created with, as the native module takes it. */
export function nativeChannelConfig(options: CreateChannelOptions): NativeChannelConfig {
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument(`options: expected { bucket, format }, got ${String(options)}`)
  }
  const { bucket, bucketOwner, storageClass } = options
  checkName('bucket', bucket)
  if (bucketOwner !== undefined && (typeof bucketOwner !== 'string' || !/^\d{12}$/.test(bucketOwner))) {
    throw invalidArgument(`bucketOwner: expected an account of 12 digits, got ${JSON.stringify(bucketOwner)}`)
  }
  return {
    freshnessSeconds: checkFreshness(options.freshnessSeconds ?? FRESHNESS_S_DEFAULT),
    bucket,
    format: checkOneOf('format', options.format, FORMATS),
    compression: checkOneOf('compression', options.compression ?? 'none', COMPRESSIONS),
    ...(bucketOwner !== undefined && { bucketOwner }),
    ...(storageClass !== undefined && { storageClass: checkOneOf('storageClass', storageClass, STORAGE_CLASSES) }),
    ...named('keyTemplate', options.keyTemplate),
    ...named('deadLetterBucket', options.deadLetterBucket),
    ...named('deadLetterPrefix', options.deadLetterPrefix),
    ...named('encryptionKey', options.encryptionKey),
  }
}

/** A freshness, if it is one. */
export function checkFreshness(seconds: number): number {
  return checkWhole('freshnessSeconds', seconds, 1, FRESHNESS_S_MAX)
}

/** A channel as callers see it. */
export function describeChannel(native: NativeChannel): ChannelDescription {
  const { createdAtMs, delivers: _, failure, ...settings } = native
  return {
    ...settings,
    createdAt: new Date(createdAtMs),
    status: statusOf(native),
    ...(failure !== undefined && {
      failure: { reason: failure.reason, attempts: failure.attempts, since: new Date(failure.sinceMs) },
    }),
  }
}

function statusOf({ delivers, failure }: NativeChannel): ChannelDescription['status'] {
  if (!delivers) return 'paused'
  return failure === undefined ? 'active' : 'retrying'
}

/** A text that was given, under its name. */
function named<K extends string>(name: K, text: string | undefined): { readonly [P in K]?: string } {
  if (text === undefined) return {}
  checkName(name, text)
  return { [name]: text } as { readonly [P in K]: string }
}
