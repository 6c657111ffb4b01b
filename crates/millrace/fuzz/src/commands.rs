//! Commands of the control plane, with values on both sides of their limits.

use millrace::capacity::{CapacityMode, Rate};
use millrace::fuzzing::{
    ChannelDelivered, CleanTail, Command, CreateChannel, CreateQueue, CreateStream, DeleteChannel, DeleteQueue,
    DeleteStream, DeregisterConsumer, EndCommitment, Horizon, HorizonAdvanced, PeakNoted, RegisterConsumer,
    SetDurability, SetEncryptionKey, SetLimits, SetMaxRecordBytes, SetMode, SetPolicy, SetRecordDistribution,
    SetRetention, SetShardMetrics, SetWarmThroughput, StartCommitment, StreamClosed, StreamOpened, StreamRemoved,
    TagChannel, TagConsumer, TagQueue, TagStream, UntagStream, UpdateChannel, UpdateQueue,
};
use millrace::limits::{LimitPolicy, ShardLimits};
use millrace::{
    Bucket, ChannelConfig, Compression, DeadLetters, Durability, PolicyHolder, QueueConfig, QueueStart,
    RecordDistribution, RecordFormat, Retention, ShardMetric, StreamConfig, Tags,
};

use crate::Source;

/// Any command, mostly for a stream that there is.
pub fn command(source: &mut Source<'_>, next_id: u64) -> Command {
    let kind = source.byte() % 34;
    let id = if source.one_in(8) { source.u64() } else { u64::from(source.byte()) % next_id.max(1) };
    match kind {
        0 | 1 => {
            let name = String::from_utf8_lossy(source.bytes(3)).into_owned();
            CreateStream {
                name,
                created_ms: source.number(1_000),
                expiry_clock_ms: source.one_in(4).then(|| source.number(1_000)),
                config: config(source),
            }
            .into()
        }
        2 => DeleteStream { id }.into(),
        3 => StreamRemoved { id }.into(),
        4 => SetRetention { id, retention: retention(source) }.into(),
        5 => SetDurability { id, durability: durability(source) }.into(),
        6 => StreamOpened { id }.into(),
        7 => {
            let tail = CleanTail {
                segment: source.number(1),
                offset: source.number_32(4_096),
                next_sequence: source.number(1),
                last_frame_checksum: source.u32(),
                last_arrival_ms: source.number(1_000),
            };
            StreamClosed { id, tail }.into()
        }
        8 => {
            RegisterConsumer { id, consumer: name(source), created_ms: source.number(1_000), tags: tags(source) }.into()
        }
        9 => DeregisterConsumer { id, consumer: name(source) }.into(),
        10 => TagConsumer { id, consumer: name(source), tags: tags(source) }.into(),
        11 => {
            let queue_id = if source.one_in(8) { source.u64() } else { next_id + u64::from(source.byte() % 3) };
            let start = match source.byte() % 3 {
                0 => QueueStart::Latest,
                1 => QueueStart::TrimHorizon,
                _ => QueueStart::AtTimestamp(source.number(1_000)),
            };
            CreateQueue {
                id,
                queue_id,
                queue: name(source),
                created_ms: source.number(1_000),
                start,
                start_sequence: source.number(1),
                config: queue_config(source),
                tags: tags(source),
            }
            .into()
        }
        12 => UpdateQueue { id, queue: name(source), config: queue_config(source) }.into(),
        13 => TagQueue { id, queue: name(source), tags: tags(source) }.into(),
        14 => DeleteQueue { id, queue: name(source) }.into(),
        15 => SetLimits { id, limits: limits(source) }.into(),
        16 => SetMaxRecordBytes { id, max_record_bytes: source.number_32(1_024) }.into(),
        17 => SetMode { id, mode: mode(source), at_ms: source.number(86_400_000) }.into(),
        18 => {
            let mib_per_second = source.one_in(2).then(|| source.number_32(1));
            SetWarmThroughput { id, mib_per_second }.into()
        }
        19 => {
            let rate = Rate { bytes_per_second: source.number(1 << 20), records_per_second: source.number(1_000) };
            PeakNoted { id, at_ms: source.number(86_400_000), rate }.into()
        }
        20 => {
            let count = source.byte() % 60;
            TagStream { id, tags: (0..count).map(|_| (text(source, 2), name(source))).collect() }.into()
        }
        21 => {
            let count = source.byte() % 4;
            UntagStream { id, keys: (0..count).map(|_| text(source, 2)).collect() }.into()
        }
        22 => {
            let channel_id = if source.one_in(8) { source.u64() } else { next_id + u64::from(source.byte() % 3) };
            CreateChannel {
                id,
                channel_id,
                channel: name(source),
                created_ms: source.number(1_000),
                start_sequence: source.number(1),
                config: channel_config(source),
                notes: tags(source),
                tags: tags(source),
            }
            .into()
        }
        23 => {
            let (channel, freshness_s) = (name(source), source.number_32(300));
            UpdateChannel { id, channel, freshness_s, notes: tags(source) }.into()
        }
        24 => TagChannel { id, channel: name(source), tags: tags(source) }.into(),
        25 => ChannelDelivered { id, channel_id: source.number(1), sequence: source.number(1) }.into(),
        26 => DeleteChannel { id, channel: name(source) }.into(),
        27 => {
            let holder = match source.byte() % 3 {
                0 => PolicyHolder::Stream,
                1 => PolicyHolder::Consumer(name(source)),
                _ => PolicyHolder::Queue(name(source)),
            };
            let policy = match source.byte() % 3 {
                0 => None,
                1 => Some(text(source, 20)),
                _ => Some(r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*"}}"#.to_owned()),
            };
            SetPolicy { id, holder, policy }.into()
        }
        28 => {
            let key = source.one_in(2).then(|| text(source, 3));
            SetEncryptionKey { id, key, at_ms: source.number(86_400_000) }.into()
        }
        29 => {
            let wanted = source.byte();
            let metrics = ShardMetric::ALL.iter().copied().enumerate();
            let metrics = metrics.filter(|(bit, _)| wanted >> bit & 1 == 1).map(|(_, metric)| metric);
            SetShardMetrics { id, metrics: metrics.collect() }.into()
        }
        30 => {
            let spreads = source.one_in(2);
            let distribution = if spreads { RecordDistribution::Auto } else { RecordDistribution::PartitionKey };
            SetRecordDistribution { id, distribution }.into()
        }
        31 => StartCommitment { at_ms: source.number(86_400_000) }.into(),
        32 => EndCommitment { at_ms: source.number(86_400_000) }.into(),
        _ => {
            let (segment, offset, sequence) = (source.number(1), source.number_32(4_096), source.number(1));
            let horizon = Horizon { segment, offset, sequence };
            HorizonAdvanced { id, horizon, expiry_clock_ms: source.number(1_000) }.into()
        }
    }
}

fn name(source: &mut Source<'_>) -> String {
    String::from_utf8_lossy(source.bytes(1)).into_owned()
}

fn tags(source: &mut Source<'_>) -> Tags {
    (0..source.byte() % 4).map(|_| (name(source), name(source))).collect()
}

fn queue_config(source: &mut Source<'_>) -> QueueConfig {
    let max_receive_count = source.number_32(1);
    let dead_letters = if source.one_in(4) { DeadLetters::None } else { DeadLetters::BuiltIn { max_receive_count } };
    QueueConfig { visibility_timeout_s: source.number_32(30), dead_letters }
}

fn channel_config(source: &mut Source<'_>) -> ChannelConfig {
    let bucket = |source: &mut Source<'_>| Bucket { name: format!("b-{}", source.byte()), owner: None };
    ChannelConfig {
        freshness_s: source.number_32(300),
        bucket: bucket(source),
        key_template: source.one_in(2).then(|| text(source, 8)),
        format: RecordFormat::Json,
        compression: if source.one_in(2) { Compression::Gzip } else { Compression::None },
        storage_class: None,
        encryption_key: None,
        dead_letters: bucket(source),
        dead_letter_prefix: source.one_in(2).then(|| text(source, 4)),
    }
}

fn config(source: &mut Source<'_>) -> StreamConfig {
    if !source.one_in(2) {
        return StreamConfig::default();
    }
    StreamConfig {
        shards: source.number_32(128),
        retention: retention(source),
        durability: durability(source),
        max_record_bytes: source.number_32(1_024),
        // A stream may ask for all of the disk; that it then gets it is no finding.
        preallocate_bytes: source.number(0) % (1 << 20),
        codec: source.one_in(2).then(|| text(source, 70)),
        limits: limits(source),
        mode: mode(source),
        tags: tags(source),
        encryption_key: source.one_in(4).then(|| text(source, 3)),
        ..StreamConfig::default()
    }
}

fn text(source: &mut Source<'_>, bytes: usize) -> String {
    String::from_utf8_lossy(source.bytes(bytes)).into_owned()
}

fn limits(source: &mut Source<'_>) -> LimitPolicy {
    let number = |source: &mut Source<'_>| source.one_in(2).then(|| source.number(1));
    match source.byte() % 3 {
        0 => LimitPolicy::Unlimited,
        1 => LimitPolicy::Aws,
        _ => LimitPolicy::Custom(ShardLimits {
            write_bytes_per_second: number(source),
            write_records_per_second: number(source),
            reads_per_second: number(source),
            ..ShardLimits::default()
        }),
    }
}

fn mode(source: &mut Source<'_>) -> CapacityMode {
    if source.one_in(2) { CapacityMode::OnDemand } else { CapacityMode::Provisioned }
}

fn retention(source: &mut Source<'_>) -> Retention {
    if source.one_in(4) { Retention::Unbounded } else { Retention::Hours(source.number_32(24)) }
}

fn durability(source: &mut Source<'_>) -> Durability {
    match source.byte() % 3 {
        0 => Durability::Synced,
        1 => Durability::Os,
        _ => Durability::Interval { ms: source.number_32(1) },
    }
}
