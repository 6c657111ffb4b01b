/**
 * Kinesis over HTTP on an open store, for whoever speaks to Kinesis already.
 *
 * All of it runs on the native module's threads; no request crosses into JavaScript.
 */
import { NativeServer, type NativeBuckets, type NativeEngine, type NativeServerOptions } from './binding.js'
import { checkName, checkWhole } from './checks.js'
import { nativeDurability } from './describe.js'
import { invalidArgument, mappedAsync } from './errors.js'
import { keepAlive } from './events.js'
import type { Durability, LimitPolicy } from './options.js'
import { nativeLimits } from './settings.js'

const PORT_DEFAULT = 4567
const PORT_MAX = 65_535
const THREADS_MAX = 1_024
/** The longest that a stream is told to be on its way, in milliseconds: an hour. */
const PHASE_MS_MAX = 3_600_000
const QUOTA_MAX = 0xffff_ffff

/** What a server logs: lines of JSON on standard error. */
export type ServeLog = 'off' | 'error' | 'warn' | 'info' | 'debug'

/** An access key that may call. */
export interface ServeCredential {
  /** What a signature names the key by. */
  readonly accessKeyId: string
  /** What signatures are made with. */
  readonly secretAccessKey: string
  /** What has to come along with each request of this key. */
  readonly sessionToken?: string
}

/** Where the buckets are that channels deliver to. */
export type ServeChannels =
  | {
      /** A directory in which each bucket is a folder. */
      readonly directory: string
    }
  | {
      /** The URL of an endpoint that speaks S3: `http://HOST:PORT` or `https://HOST`. A bucket is the first part of the path. */
      readonly endpoint: string
      /**
       * The region that requests to it are signed for.
       * @default 'us-east-1'
       */
      readonly region?: string
      /** The key that requests to it are signed with; without one they are not signed. */
      readonly credential?: ServeCredential
    }

/** Options of {@link Millrace.serve}. */
export interface ServeOptions {
  /**
   * The port; 0 lets the system choose.
   * @default 4567
   */
  readonly port?: number
  /**
   * The address to listen on. Any other than a loopback address needs `credentials`.
   * @default '127.0.0.1'
   */
  readonly host?: string
  /**
   * `true` encrypts with a certificate of an authority that is made for this store (see
   * {@link Server.certificateAuthority}); files in PEM are used as they are.
   * @default false
   */
  readonly tls?:
    | boolean
    | {
        /** The path of the certificate, with its chain. */
        readonly certificate: string
        /** The path of its private key. */
        readonly key: string
      }
  /** Who may call: signatures are verified. By default anybody may, and signatures are only looked at. */
  readonly credentials?: readonly ServeCredential[]
  /**
   * The account that ARNs name: twelve digits.
   * @default '000000000000'
   */
  readonly account?: string
  /**
   * The region that ARNs name.
   * @default 'us-east-1'
   */
  readonly region?: string
  /**
   * What the acknowledgement of a stream that is created over the wire promises.
   * @default 'synced'
   */
  readonly durability?: Durability
  /**
   * What the shards of such streams take and give a second. With `'aws'` calls are counted as well, as AWS counts them.
   * @default 'aws'
   */
  readonly limits?: LimitPolicy
  /**
   * For how long a stream or consumer that was created over the wire is told as `CREATING`, in milliseconds. It is there at
   * once; meanwhile what the service refuses is refused.
   * @default 0
   */
  readonly createStreamMs?: number
  /**
   * For how long a stream that was changed over the wire is told as `UPDATING`, in milliseconds.
   * @default 0
   */
  readonly updateStreamMs?: number
  /**
   * For how long a stream or consumer that was deleted over the wire is told as `DELETING`, in milliseconds.
   * @default 0
   */
  readonly deleteStreamMs?: number
  /**
   * How many shards all provisioned streams may have together. AWS's quota holds where `limits` are `'aws'`, a number given
   * here always.
   * @default 20000 in us-east-1, us-west-2 and eu-west-1, 1000 elsewhere
   */
  readonly shardLimit?: number
  /**
   * How many streams may be on demand. AWS's quota holds where `limits` are `'aws'`, a number given here always.
   * @default 50
   */
  readonly onDemandStreamLimit?: number
  /**
   * Where the buckets are that channels deliver to, from now on. They go on to deliver after the server was stopped, as
   * long as the store is open.
   * @default where they deliver since {@link Millrace.deliverChannels} or an earlier server; else the folder `channels` of
   * the store
   */
  readonly channels?: ServeChannels
  /**
   * What is logged.
   * @default 'warn'
   */
  readonly log?: ServeLog
  /**
   * How many threads serve.
   * @default as many as there are processors
   */
  readonly threads?: number
}

/** A server that runs until it is stopped, made by {@link Millrace.serve}. */
export class Server implements AsyncDisposable {
  readonly #native: NativeServer
  readonly #onStop: (server: Server) => void
  readonly #scheme: 'http' | 'https'
  #stopping: Promise<void> | undefined

  private constructor(native: NativeServer, scheme: 'http' | 'https', onStop: (server: Server) => void) {
    this.#native = native
    this.#scheme = scheme
    this.#onStop = onStop
    keepAlive.hold()
  }

  /** Starts a server on a store; `onStop` is called as it begins to stop. @internal */
  static async start(engine: NativeEngine, options: ServeOptions, onStop: (server: Server) => void): Promise<Server> {
    const native = await mappedAsync(() => NativeServer.start(engine, nativeOptions(options)))
    return new Server(native, (options.tls ?? false) === false ? 'http' : 'https', onStop)
  }

  /** The address that it listens on. */
  get host(): string {
    return this.#native.host
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#native.port
  }

  /** What clients take for their endpoint. */
  get url(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host
    return `${this.#scheme}://${host}:${this.port}`
  }

  /** With `tls: true`, the file of the certificate that clients have to trust, in PEM. */
  get certificateAuthority(): string | undefined {
    return this.#native.authority ?? undefined
  }

  /**
   * Takes no more connections, lets requests that are under way finish for up to ten seconds, then ends. Stopping again
   * waits for the same.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Stops the server at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    this.#onStop(this)
    try {
      await mappedAsync(() => this.#native.stop())
    } finally {
      keepAlive.release()
    }
  }
}

function nativeOptions(options: ServeOptions): NativeServerOptions {
  const { tls = false, credentials, account, region, channels, threads, shardLimit, onDemandStreamLimit } = options
  const phase = (name: 'createStreamMs' | 'updateStreamMs' | 'deleteStreamMs') =>
    checkWhole(name, options[name] ?? 0, 0, PHASE_MS_MAX)
  return {
    host: options.host ?? '127.0.0.1',
    port: checkWhole('port', options.port ?? PORT_DEFAULT, 0, PORT_MAX),
    developmentTls: tls === true,
    ...(typeof tls === 'object' && { certificate: tls.certificate, key: tls.key }),
    ...(credentials !== undefined && { credentials: credentials.map(checkCredential) }),
    ...(account !== undefined && { account }),
    ...(region !== undefined && { region }),
    ...(channels !== undefined && { channels: nativeBuckets(channels) }),
    ...(threads !== undefined && { threads: checkWhole('threads', threads, 1, THREADS_MAX) }),
    creatingMs: phase('createStreamMs'),
    updatingMs: phase('updateStreamMs'),
    deletingMs: phase('deleteStreamMs'),
    ...(shardLimit !== undefined && { shardLimit: checkWhole('shardLimit', shardLimit, 0, QUOTA_MAX) }),
    ...(onDemandStreamLimit !== undefined && {
      onDemandStreamLimit: checkWhole('onDemandStreamLimit', onDemandStreamLimit, 0, QUOTA_MAX),
    }),
    ...nativeDurability(options.durability ?? 'synced'),
    limits: nativeLimits(options.limits ?? 'aws'),
    log: options.log ?? 'warn',
  }
}

/** Buckets as the native module takes them. @internal */
export function nativeBuckets(channels: ServeChannels): NativeBuckets {
  if (typeof channels !== 'object' || channels === null) {
    throw invalidArgument(`channels: expected { directory } or { endpoint }, got ${String(channels)}`)
  }
  const { directory, endpoint, region, credential }: NativeBuckets = channels
  if (directory !== undefined && endpoint === undefined) {
    checkName('directory', directory)
    return { directory }
  }
  if (directory !== undefined || endpoint === undefined) {
    throw invalidArgument(
      `channels: expected one of directory and endpoint, got ${Object.keys(channels).join(' and ')}`,
    )
  }
  checkName('endpoint', endpoint)
  if (region !== undefined) checkName('region', region)
  return {
    endpoint,
    ...(region !== undefined && { region }),
    ...(credential !== undefined && { credential: checkCredential(credential) }),
  }
}

function checkCredential(credential: ServeCredential): ServeCredential {
  const { accessKeyId, secretAccessKey, sessionToken = '' }: Partial<ServeCredential> = credential ?? {}
  const all = [accessKeyId, secretAccessKey, sessionToken]
  if (accessKeyId !== '' && all.every((text) => typeof text === 'string')) return credential
  const got = Object.keys(credential ?? {})
  throw invalidArgument(
    `credentials: expected texts as accessKeyId, secretAccessKey and, if any, sessionToken, got ${got}`,
  )
}
