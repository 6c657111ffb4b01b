//! A disk that fails, step by step: what the caller is told, what goes on, and what an open brings.

use std::path::Path;
use std::sync::Arc;

use millrace::{
    Bucket, ChannelConfig, ChannelOptions, Compression, DirectoryDestination, Durability, Kind, RecordFormat, Service,
};
use millrace_torture::disk::{EIO, ENOSPC, Failure, Fault, Operation, World};

use crate::support::{Store, append, open, open_by, texts};

/// A store with one durable record.
fn with_one_record() -> (Store, millrace::Stream) {
    let store = open(World::default());
    let stream = store.create(Durability::Synced);
    append(&stream, "before", 0).expect("appended");
    stream.flush().expect("flushed");
    (store, stream)
}

#[test]
fn a_failed_sync_poisons_the_stream_and_reads_go_on() {
    let (store, stream) = with_one_record();
    append(&stream, "in doubt", 0).expect("appended");
    store.next_fail(Operation::Sync, 1, Failure::Errno(EIO));
    assert_eq!(stream.flush().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
    // The disk works again, but what it holds of the failed sync nobody knows.
    assert_eq!(stream.flush().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
    assert_eq!(append(&stream, "after", 0).map_err(|error| error.kind()), Err(Kind::Poisoned));
    assert_eq!(stream.check_poison().map_err(|error| error.kind()), Err(Kind::Poisoned));
    assert!(stream.durable() < stream.published(), "nothing more is acknowledged");
    assert!(!store.disk.has_retried_a_sync());
    assert_eq!(texts(&stream)[0], "before");
    assert_eq!(store.engine.close().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
}

#[test]
fn what_is_served_after_a_failed_sync_and_an_open_survives_the_loss_of_power() {
    for seed in 0..20 {
        let store = open_by(World::default(), seed);
        let stream = store.create(Durability::Synced);
        append(&stream, "before", 0).expect("appended");
        stream.flush().expect("flushed");
        append(&stream, "in doubt", 3_000).expect("appended");
        store.next_fail(Operation::Sync, 1, Failure::Errno(EIO));
        stream.flush().expect_err("the sync fails, and the kernel calls the pages clean");
        drop(stream);
        let store = store.killed();
        let stream = store.engine.stream("one").expect("the stream");
        let served = texts(&stream);
        assert_eq!(served, ["before", "in doubt"], "the pages are in memory still");
        drop(stream);
        let store = store.without_power();
        assert_eq!(texts(&store.engine.stream("one").expect("the stream")), served, "seed {seed}");
    }
}

#[test]
fn a_full_disk_leaves_the_stream_usable_when_there_is_room_again() {
    for operation in [Operation::Write, Operation::Allocate] {
        let (store, stream) = with_one_record();
        store.next_fail(operation, u64::MAX, Failure::Errno(ENOSPC));
        for _ in 0..3 {
            // Large enough for a new segment, which needs an allocation.
            let full = append(&stream, "refused", 70_000).map_err(|error| error.kind());
            assert_eq!(full, Err(Kind::DiskFull), "{operation:?}");
        }
        assert_eq!(texts(&stream), ["before"]);
        store.disk.heal();
        append(&stream, "large", 70_000).expect("there is room");
        append(&stream, "after", 0).expect("there is room");
        stream.flush().expect("flushed");
        drop(stream);
        let store = store.without_power();
        assert_eq!(texts(&store.engine.stream("one").expect("the stream")), ["before", "large", "after"]);
    }
}

#[test]
fn a_failed_write_poisons_the_stream_and_keeps_what_was_durable() {
    let (store, stream) = with_one_record();
    store.next_fail(Operation::Write, 1, Failure::Errno(EIO));
    assert_eq!(append(&stream, "torn", 0).map_err(|error| error.kind()), Err(Kind::Io));
    assert_eq!(append(&stream, "after", 0).map_err(|error| error.kind()), Err(Kind::Poisoned));
    assert_eq!(texts(&stream), ["before"]);
    drop(stream);
    let store = store.killed();
    let stream = store.engine.stream("one").expect("the stream");
    assert_eq!(texts(&stream)[0], "before");
    append(&stream, "after", 0).expect("an open after the failure takes appends");
}

#[test]
fn a_channel_whose_progress_could_not_be_noted_writes_no_more_objects() {
    let (store, stream) = with_one_record();
    let bucket = Bucket { name: "archive".to_owned(), owner: None };
    let config = ChannelConfig {
        freshness_s: 1,
        bucket: bucket.clone(),
        key_template: Some("{stream}/".to_owned()),
        format: RecordFormat::Bytes,
        compression: Compression::None,
        storage_class: None,
        encryption_key: None,
        dead_letters: bucket,
        dead_letter_prefix: None,
    };
    let options = ChannelOptions { config, notes: Default::default(), tags: Default::default() };
    stream.create_channel("to-archive", options).expect("created");
    let buckets = store.engine.directory().join("channels");
    let destination = DirectoryDestination::new(buckets.clone(), Arc::new(store.disk.clone()));
    store.engine.deliver_channels(Arc::new(destination)).expect("told");

    append(&stream, "one", 0).expect("appended");
    stream.flush().expect("flushed");
    store.clock.advance_ms(2_000);
    // The first sync is the object's, the second that of the note.
    store.disk.plan(Fault { operation: Operation::Sync, after: 1, times: 1, failure: Failure::Errno(EIO) });
    assert_eq!(store.engine.serve(Service::Courier).expect("serves"), 0, "the note is in doubt");
    let folder = buckets.join("archive/one");
    let object = contents(&folder);
    assert_eq!(object.len(), 1);

    append(&stream, "two", 0).expect("appended");
    stream.flush().expect("flushed");
    store.clock.advance_ms(120_000);
    assert_eq!(store.engine.serve(Service::Courier).expect("serves"), 0);
    assert_eq!(contents(&folder), object, "the note may be there: what it tells of must not change");
    let report = stream.channels().expect("the channels").remove(0);
    assert!(report.failure.is_some_and(|failure| failure.message.contains("open the store again")), "and it is told");
}

/// What the files of a folder hold.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("the folder");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes")).collect()
}
