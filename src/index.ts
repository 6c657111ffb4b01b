/**
 * Millrace: a durable, sharded, replayable stream inside a Node.js process.
 *
 * @packageDocumentation
 */
export { Millrace } from './millrace.js'
export { Stream } from './stream.js'
export { Server, type ServeChannels, type ServeCredential, type ServeLog, type ServeOptions } from './server.js'
export type { StreamSettings } from './stream-settings.js'
export type { StreamChannels } from './stream-channels.js'
export type { PutOutcome, PutResult } from './put-result.js'
export { Reader } from './reader.js'
export { Consumer } from './consumer.js'
export { Subscription, type SubscribeOptions, type SubscriptionEvent } from './subscription.js'
export { Message, Queue, type Receipt, type Settled, type SettleFailure } from './queue.js'
export type {
  CreateQueueOptions,
  QueueAttributes,
  QueueMetrics,
  QueueSummary,
  ReceiveOptions,
} from './queue-options.js'
export { Channel } from './channel.js'
export type {
  ChannelAttributes,
  ChannelCompression,
  ChannelDeliveries,
  ChannelDescription,
  ChannelFailure,
  ChannelFormat,
  ChannelStorageClass,
  CreateChannelOptions,
} from './channel-options.js'
export { Batch, StreamRecord } from './batch.js'
export { json, lz4, raw, type Codec } from './codec.js'
export { ERROR_CODES, MillraceError, type ErrorCode } from './errors.js'
export type {
  AppendLimits,
  CapacityMode,
  CreateStreamOptions,
  Durability,
  LimitPolicy,
  OpenOptions,
  PutRecord,
  ReadOptions,
  ReshardOptions,
  Retention,
  ShardDescription,
  ShardFilter,
  ShardLimits,
  StartAt,
  StreamDescription,
  StreamOptions,
  StreamSummary,
  WarmThroughput,
} from './options.js'
export { retryPutMany, type PartialPuts } from './retry-puts.js'
export { retry, type RetryOptions } from './retry.js'
export type {
  Advice,
  Flow,
  HotKey,
  HotShard,
  KeyMetrics,
  Latencies,
  MergeAdvice,
  Observation,
  OperationMetrics,
  Passed,
  ReplayedMetrics,
  ShardMetrics,
  SplitAdvice,
  SpreadKeyAdvice,
  StreamMetrics,
  SubscriptionMetrics,
} from './metrics.js'
export type { RepairedStream, RepairOptions, RepairReport } from './repair.js'
export type { Damage, VerifyOptions, VerifyReport } from './verify.js'
