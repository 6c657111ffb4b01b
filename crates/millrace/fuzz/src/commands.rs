//! Commands of the control plane, with values on both sides of their limits.

use millrace::capacity::{CapacityMode, Rate};
use millrace::fuzzing::{
    CleanTail, Command, CreateStream, DeleteStream, Horizon, HorizonAdvanced, PeakNoted, SetDurability, SetLimits,
    SetMaxRecordBytes, SetMode, SetRetention, SetWarmThroughput, StreamClosed, StreamOpened, StreamRemoved, TagStream,
    UntagStream,
};
use millrace::limits::{LimitPolicy, ShardLimits};
use millrace::{Durability, Retention, StreamConfig};

use crate::Source;

/// Any command, mostly for a stream that there is.
pub fn command(source: &mut Source<'_>, next_id: u64) -> Command {
    let kind = source.byte() % 16;
    let id = if source.one_in(8) { source.u64() } else { u64::from(source.byte()) % next_id.max(1) };
    match kind {
        0 | 1 => {
            let name = String::from_utf8_lossy(source.bytes(3)).into_owned();
            CreateStream { name, created_ms: source.number(1_000), config: config(source) }.into()
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
        9 => SetLimits { id, limits: limits(source) }.into(),
        10 => SetMaxRecordBytes { id, max_record_bytes: source.number_32(1_024) }.into(),
        11 => SetMode { id, mode: mode(source), at_ms: source.number(86_400_000) }.into(),
        12 => {
            let mib_per_second = source.one_in(2).then(|| source.number_32(1));
            SetWarmThroughput { id, mib_per_second }.into()
        }
        13 => {
            let rate = Rate { bytes_per_second: source.number(1 << 20), records_per_second: source.number(1_000) };
            PeakNoted { id, at_ms: source.number(86_400_000), rate }.into()
        }
        14 => {
            let count = source.byte() % 60;
            TagStream { id, tags: (0..count).map(|_| (text(source, 2), text(source, 1))).collect() }.into()
        }
        15 => {
            let count = source.byte() % 4;
            UntagStream { id, keys: (0..count).map(|_| text(source, 2)).collect() }.into()
        }
        _ => {
            let (segment, offset, sequence) = (source.number(1), source.number_32(4_096), source.number(1));
            let horizon = Horizon { segment, offset, sequence };
            HorizonAdvanced { id, horizon, expiry_clock_ms: source.number(1_000) }.into()
        }
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
        tags: (0..source.byte() % 3).map(|_| (text(source, 2), text(source, 1))).collect(),
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
