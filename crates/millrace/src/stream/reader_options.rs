//! What a reader is asked for.

/// Where a reader starts. Sequences are those of [`Stream::parse_sequence_number`](super::Stream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// Behind the newest one.
    #[default]
    Latest,
    /// At the record of this sequence, or the next one that there is.
    AtSequence(u64),
    /// Behind the record of this sequence.
    AfterSequence(u64),
    /// At the first record that arrived at or after this time, in milliseconds since 1970.
    AtTimestamp(u64),
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Those on disk (under policy `os`: those published).
    #[default]
    Durable,
    /// Those published: sooner, and they may vanish in a crash; their sequences are never given again.
    Published,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderOptions {
    /// The shard, or all of them.
    pub shard: Option<u32>,
    /// Where to start.
    pub from: StartAt,
    /// Which records to see.
    pub visibility: Visibility,
}
