//! The stores that are damaged, and what was in them: made by the engine itself, the same bytes each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::disk::Disk;
use millrace::format::frame::FrameHead;
use millrace::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use millrace::{Engine, Environment, OpenOptions, Position, Service, Services, Stream, StreamConfig};
use tempfile::TempDir;

use super::scratch::{Files, files_below};
use crate::dice::Dice;
use crate::support::{HOUR_MS, Record, START_MS, append, copy_tree, directory, read_all};

/// The length of a control log's segment here, in bytes.
const CONTROL_BYTES: u32 = 32 << 10;

/// A frame of a stream, as it stood before any damage.
#[derive(Clone, Debug)]
pub struct Frame {
    pub place: Position,
    pub end: u32,
    /// Where header and run table end.
    pub head_end: u32,
    /// Its sequences; empty for a mark and an opening.
    pub sequences: std::ops::Range<u64>,
    /// What its header says to have been durable.
    pub mark: Position,
}

/// What a stream holds.
#[derive(Clone, Debug)]
pub struct Expected {
    pub name: String,
    pub id: u64,
    pub shards: u32,
    pub records: Vec<Record>,
    pub frames: Vec<Frame>,
    /// What is known to have been durable from elsewhere than the frames: the newest index, the clean close.
    pub floor: Position,
    /// The segments whose index stands beside them.
    pub sealed: Vec<u32>,
}

/// How a store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    Crashed,
}

/// The files of a store and what is in them.
pub struct Fixture {
    pub name: &'static str,
    pub files: Files,
    pub streams: Vec<Expected>,
    pub now_ms: u64,
}

/// A store in the making: nothing in it happens but by the hand that builds it.
pub struct Builder {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    entropy: Arc<Dice>,
    next: usize,
}

/// Options of an engine without threads.
pub fn options(clock: &Arc<ManualClock>, entropy: &Arc<Dice>) -> OpenOptions {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    let entropy: Arc<Dice> = Arc::clone(entropy);
    let environment = Environment { clock, entropy, services: Services::Caller, ..Environment::default() };
    OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() }
}

/// Options of an engine without threads, a second after a time in milliseconds since 1970.
pub fn options_at(now_ms: u64, disk: Arc<dyn Disk>) -> OpenOptions {
    let clock = Arc::new(ManualClock::new(now_ms + 1_000));
    let mut options = options(&clock, &Arc::new(Dice::new(7)));
    options.environment.disk = disk;
    options
}

impl Builder {
    pub fn new(seed: u64) -> Builder {
        let directory = directory();
        let clock = Arc::new(ManualClock::new(START_MS));
        let entropy = Arc::new(Dice::new(seed));
        let engine = Engine::open(directory.path(), options(&clock, &entropy)).expect("a new store");
        Builder { directory, clock, engine, entropy, next: 0 }
    }

    pub fn stream(&self, name: &str, config: StreamConfig) -> Stream {
        self.engine.create_stream(name, config).expect("a stream")
    }

    /// Appends a frame of `count` small records.
    pub fn put(&mut self, stream: &Stream, count: usize) {
        let texts: Vec<_> =
            (self.next..self.next + count).map(|n| (format!("key-{n}"), format!("the data of record {n}"))).collect();
        let records: Vec<_> = texts.iter().map(|(key, data)| (key.as_str(), data.as_bytes())).collect();
        append(stream, &records).expect("appended");
        self.next += count;
    }

    pub fn put_durably(&mut self, stream: &Stream, count: usize) {
        self.put(stream, count);
        stream.flush().expect("flushed");
    }

    /// Lets the background do all that is due.
    pub fn serve(&self) {
        while self.engine.serve(Service::Keeper).expect("open") + self.engine.serve(Service::Committer).expect("open")
            > 0
        {}
    }

    pub fn pass_ms(&self, ms: u64) {
        self.clock.advance_ms(ms);
        self.serve();
    }

    /// Lets hours pass, one at a time, as the engine's own thread sees them.
    pub fn pass_hours(&self, hours: u64) {
        for _ in 0..hours {
            self.pass_ms(HOUR_MS);
        }
    }

    pub fn reopen(&mut self) {
        self.engine.close().expect("closed");
        self.engine = Engine::open(self.directory.path(), options(&self.clock, &self.entropy)).expect("opened again");
    }

    /// The store as a process leaves it that ends in order.
    pub fn closed(self, name: &'static str, streams: &[&str]) -> Fixture {
        let expected = self.expected(streams);
        self.engine.close().expect("closed");
        let files = files_below(self.directory.path());
        fixture(name, files, expected, Left::Closed, &self.clock)
    }

    /// The store as a process leaves it that dies now.
    pub fn crashed(self, name: &'static str, streams: &[&str]) -> Fixture {
        let expected = self.expected(streams);
        let copy = directory();
        copy_tree(self.directory.path(), copy.path());
        self.engine.close().expect("closed");
        fixture(name, files_below(copy.path()), expected, Left::Crashed, &self.clock)
    }

    fn expected(&self, streams: &[&str]) -> Vec<(String, u64, u32, Vec<Record>)> {
        let of = |name: &&str| {
            let stream = self.engine.stream(name).expect("the stream");
            let description = stream.describe();
            let shards = u32::try_from(description.shards.len()).expect("few");
            ((*name).to_owned(), description.id, shards, read_all(&stream))
        };
        streams.iter().map(of).collect()
    }
}

fn fixture(
    name: &'static str,
    files: Files,
    expected: Vec<(String, u64, u32, Vec<Record>)>,
    left: Left,
    clock: &ManualClock,
) -> Fixture {
    use millrace::clock::Clock;
    let files = shortened(files);
    let streams = expected.into_iter().map(|(name, id, shards, records)| {
        let prefix = format!("streams/{id:016x}/");
        let of_stream = |(path, image): (&String, &super::scratch::Image)| {
            let number = path.strip_prefix(&prefix)?.strip_suffix(".seg")?;
            Some((u32::from_str_radix(number, 16).ok()?, image.whole()))
        };
        let segments: BTreeMap<u32, Vec<u8>> = files.iter().filter_map(of_stream).collect();
        let is_sealed = |segment: &&u32| files.contains_key(&format!("{prefix}{segment:08x}.idx"));
        let sealed: Vec<u32> = segments.keys().filter(is_sealed).copied().collect();
        let mut frames = Vec::new();
        for (&segment, bytes) in &segments {
            walk(segment, bytes, &mut frames);
        }
        let sealed_end = sealed.last().and_then(|last| {
            frames.iter().rev().find(|frame| frame.place.segment == *last).map(|frame| Position::new(*last, frame.end))
        });
        let tail =
            frames.last().map(|last| Position::new(last.place.segment, last.end)).filter(|_| left == Left::Closed);
        let floor = sealed_end.max(tail).unwrap_or_default();
        Expected { name, id, shards, records, frames, floor, sealed }
    });
    let streams = streams.collect();
    Fixture { name, files, streams, now_ms: clock.wall_ms() }
}

/// The store with a control log whose segments are shorter: the 1 MiB that the engine gives them is nearly all zeros,
/// and looking through these would take most of the time.
fn shortened(mut files: Files) -> Files {
    for (name, image) in files.iter_mut().filter(|(name, _)| name.starts_with("control/") && name.ends_with(".seg")) {
        let header = SegmentHeader::decode(&image.whole()[..SEGMENT_HEADER_BYTES as usize]).expect("a header");
        if image.len == u64::from(header.capacity) {
            assert!(image.bytes.len() < CONTROL_BYTES as usize, "{name} fits");
            let shorter = SegmentHeader { capacity: CONTROL_BYTES, ..header }.encode();
            image.bytes[..shorter.len()].copy_from_slice(&shorter);
            image.len = u64::from(CONTROL_BYTES);
        }
    }
    files
}

/// The frames of an undamaged segment, by the format alone.
fn walk(segment: u32, bytes: &[u8], frames: &mut Vec<Frame>) {
    let header = SegmentHeader::decode(&bytes[..SEGMENT_HEADER_BYTES as usize]).expect("an undamaged header");
    let mut offset = SEGMENT_HEADER_BYTES;
    while let Some(head) =
        bytes.get(offset as usize..).and_then(|rest| FrameHead::decode(rest, header.incarnation, offset))
    {
        let end = offset + head.header.padded_bytes();
        let sequences = head.header.first_sequence..head.header.first_sequence + u64::from(head.header.records);
        let head_end = offset + u32::try_from(head.header.head_bytes()).expect("within the segment");
        frames.push(Frame { place: Position::new(segment, offset), end, head_end, sequences, mark: head.header.mark });
        offset = end;
    }
}

impl Fixture {
    /// The stream that a file belongs to.
    pub fn stream_of(&self, file: &str) -> Option<&Expected> {
        self.streams.iter().find(|stream| file.starts_with(&format!("streams/{:016x}/", stream.id)))
    }

    /// An engine's options for an opening at this store's time.
    pub fn options(&self, disk: Arc<dyn Disk>) -> OpenOptions {
        options_at(self.now_ms, disk)
    }
}

fn two_shards() -> StreamConfig {
    StreamConfig { shards: 2, ..StreamConfig::default() }
}

/// Two shards; one sealed segment and one that is written to; frames of two to six records, marks between some.
fn fill(builder: &mut Builder, stream: &Stream) {
    for _ in 0..3 {
        builder.put_durably(stream, 6);
        builder.pass_ms(1_000);
    }
    // The first segment is too old now for what comes next.
    builder.pass_hours(2);
    for _ in 0..3 {
        builder.put_durably(stream, 2);
    }
    builder.serve();
}

/// A store that was closed in order.
pub fn closed() -> Fixture {
    let mut builder = Builder::new(1);
    let stream = builder.stream("small", two_shards());
    fill(&mut builder, &stream);
    builder.closed("closed", &["small"])
}

/// A store whose process died with an append that nobody had synced.
pub fn crashed() -> Fixture {
    let mut builder = Builder::new(2);
    let stream = builder.stream("small", two_shards());
    fill(&mut builder, &stream);
    builder.pass_ms(1_000);
    builder.put(&stream, 2);
    builder.put(&stream, 3);
    builder.crashed("crashed", &["small"])
}

/// A store whose retention has passed, with files that are used again and old frames behind the new ones.
pub fn recycled() -> Fixture {
    let mut builder = Builder::new(3);
    let stream = builder.stream("kept", StreamConfig::default());
    for _ in 0..3 {
        builder.put_durably(&stream, 4);
        builder.put_durably(&stream, 2);
        builder.pass_hours(2);
    }
    builder.pass_hours(24);
    for _ in 0..2 {
        builder.put_durably(&stream, 3);
        builder.pass_hours(2);
    }
    builder.put_durably(&stream, 2);
    builder.put(&stream, 1);
    let fixture = builder.crashed("recycled", &["kept"]);
    let stale = fixture.files.iter().filter(|(name, _)| name.ends_with(".seg") && name.starts_with("streams"));
    let magic = |bytes: &[u8]| bytes.chunks(64).filter(|head| head.get(4..8) == Some(b"MRF0")).count();
    let heads: usize = stale.map(|(_, image)| magic(&image.bytes)).sum();
    assert!(heads > fixture.streams[0].frames.len(), "old frames stand behind the new ones");
    fixture
}

/// Two streams and one that was deleted, in a process that died.
pub fn several() -> Fixture {
    let mut builder = Builder::new(4);
    let first = builder.stream("first", two_shards());
    let gone = builder.stream("gone", StreamConfig::default());
    let last = builder.stream("last", StreamConfig { shards: 3, ..StreamConfig::default() });
    builder.put_durably(&first, 4);
    builder.put_durably(&gone, 2);
    builder.put_durably(&last, 3);
    builder.reopen();
    let (first, last) = ["first", "last"].map(|name| builder.engine.stream(name).expect("the stream")).into();
    builder.engine.delete_stream("gone").expect("deleted");
    builder.put_durably(&first, 3);
    builder.put_durably(&last, 5);
    builder.pass_ms(1_000);
    builder.put(&last, 1);
    builder.crashed("several", &["first", "last"])
}

/// Every small store.
pub fn all() -> [Fixture; 4] {
    [closed(), crashed(), recycled(), several()]
}
