//! What the campaigns have found, each as the shortest history that shows it.

use millrace::{Durability, Kind};
use millrace_torture::disk::{EIO, ENOSPC, Failure, Fault, Operation, World};

use crate::support::{append, open, texts};

#[test]
fn a_stream_that_was_deleted_does_not_come_back_when_the_power_fails() {
    let store = open(World::default());
    let stream = store.create(Durability::Synced);
    append(&stream, "kept", 0).expect("appended");
    stream.flush().expect("flushed");
    drop(stream);
    store.engine.delete_stream("one").expect("deleted");
    let store = store.without_power();
    assert_eq!(store.engine.warnings(), Vec::<String>::new(), "nothing is left that nobody knows");
    assert_eq!(store.engine.list_streams().expect("a list"), []);
}

#[test]
fn a_frame_that_a_full_disk_has_refused_does_not_cut_off_those_behind_it() {
    let store = open(World::default());
    let stream = store.create(Durability::Os);
    append(&stream, "first", 0).expect("appended");
    store.next_fail(Operation::Write, 1, Failure::Arrived(ENOSPC));
    let refused = append(&stream, "refused", 5_000).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::DiskFull));
    // Too large for what is left of the segment, so the log goes on in the next one.
    append(&stream, "large", 62_000).expect("the disk has room again");
    append(&stream, "last", 0).expect("appended");
    let store = store.killed();
    let stream = store.engine.stream("one").expect("the stream");
    assert_eq!(texts(&stream), ["first", "large", "last"]);
    assert_eq!(store.engine.warnings(), Vec::<String>::new());
}

#[test]
fn an_opening_that_a_full_disk_has_refused_does_not_end_the_segment_before_it() {
    let store = open(World::default());
    let stream = store.create(Durability::Os);
    append(&stream, "first", 3_000).expect("appended");
    // Of the next segment the header is written, then its opening.
    store.disk.plan(Fault { operation: Operation::Write, after: 1, times: 1, failure: Failure::Arrived(ENOSPC) });
    let refused = append(&stream, "large", 62_000).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::DiskFull));
    append(&stream, "small", 3_000).expect("there is room in the segment before");
    let store = store.killed();
    assert_eq!(texts(&store.engine.stream("one").expect("the stream")), ["first", "small"]);
}

#[test]
fn an_index_that_cannot_be_read_is_not_called_damaged() {
    let store = open(World::default());
    let stream = store.create(Durability::Synced);
    for _ in 0..3 {
        append(&stream, "large", 40_000).expect("appended");
    }
    store.engine.serve(millrace::Service::Keeper).expect("seals");
    drop(texts(&stream));
    store.next_fail(Operation::Read, 1, Failure::Errno(EIO));
    let verified = stream.verify(|_, _| true).map_err(|error| error.kind());
    assert_eq!(verified.map(|verification| verification.findings), Err(Kind::Io));
    assert!(stream.verify(|_, _| true).expect("readable").findings.is_empty());
}
