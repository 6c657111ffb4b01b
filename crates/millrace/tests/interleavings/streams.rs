//! Opening, creating, deleting and closing, with calls of all kinds in flight.
//!
//! In every schedule: each call gives what it should or the error that says why not; nothing on the disk changes once
//! the last handle's `close` has returned; a store opens again as it was closed, without a finding; whoever waits for a
//! stream that goes away is woken.

use std::sync::Arc;

use millrace::{Commit, Durability, Engine, Kind, Result, Stream, StreamConfig, StreamStatus, Visibility};
use shuttle::thread;

use crate::explore::explore;
use crate::world::{Follower, append};

#[test]
fn streams_are_created_opened_deleted_and_listed_at_once() {
    explore("streams_are_created_opened_deleted_and_listed_at_once", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        engine.create_stream("clicks", StreamConfig::default()).expect("new");
        let deleter = with(&engine, |engine| {
            expect(engine.delete_stream("clicks"), &[Kind::StreamNotFound, Kind::StreamDeleting]);
        });
        let creator = with(&engine, |engine| {
            let created = engine.create_stream("clicks", StreamConfig::default());
            if let Some(stream) = expect(created, &[Kind::StreamExists, Kind::StreamDeleting]) {
                use_it(&stream);
            }
        });
        let user = with(&engine, |engine| {
            if let Some(stream) = expect(engine.stream("clicks"), &[Kind::StreamNotFound, Kind::StreamDeleting]) {
                use_it(&stream);
            }
            let listed = engine.list_streams().expect("open");
            assert!(listed.iter().filter(|entry| entry.name == "clicks").count() <= 1, "{listed:?}");
        });
        [deleter, creator, user].into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let before = engine.list_streams().expect("open");
        assert!(before.iter().all(|entry| entry.status == StreamStatus::Active), "{before:?}");
        engine.close().expect("closed");

        let engine = world.open().expect("opened again");
        assert_eq!(engine.list_streams().expect("open"), before);
        for entry in before {
            use_it(&engine.stream(&entry.name).expect("a stream"));
        }
        assert_eq!(engine.warnings(), Vec::<String>::new());
        engine.close().expect("closed");
    });
}

/// A description takes locks of the whole store one after the other, of which a creation holds several.
#[test]
fn streams_are_described_while_others_are_created() {
    explore("streams_are_described_while_others_are_created", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        let clicks = engine.create_stream("clicks", StreamConfig::default()).expect("new");
        let creator = with(&engine, |engine| {
            engine.create_stream("orders", StreamConfig::default()).expect("new");
        });
        for _ in 0..8 {
            assert_eq!(clicks.describe().name, "clicks");
        }
        creator.join().expect("no thread panics");
        engine.close().expect("closed");
    });
}

/// Appends to a stream that may be deleted at any moment.
fn use_it(stream: &Stream) {
    let gone = [Kind::StreamDeleting, Kind::StreamNotFound, Kind::Closed];
    if let Some(end) = expect(append(stream, "key", b"data", Commit::Engine), &gone) {
        stream.wait_acknowledged(end).expect("appended before it was deleted, so acknowledged");
    }
}

#[test]
fn whoever_waits_for_a_stream_is_woken_when_it_is_deleted() {
    explore("whoever_waits_for_a_stream_is_woken_when_it_is_deleted", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        let stream = engine.create_stream("clicks", StreamConfig::default()).expect("new");
        let writer = {
            let stream = stream.clone();
            thread::spawn(move || use_it(&stream))
        };
        let readers: Vec<_> = [Visibility::Durable, Visibility::Published]
            .into_iter()
            .map(|visibility| {
                let stream = stream.clone();
                thread::spawn(move || read_until_gone(&stream, visibility, Kind::StreamDeleting))
            })
            .collect();
        engine.delete_stream("clicks").expect("deleted");
        engine.close().expect("closed");
        writer.join().expect("no writer panics");
        readers.into_iter().for_each(|reader| reader.join().expect("no reader panics"));
    });
}

fn read_until_gone(stream: &Stream, visibility: Visibility, gone: Kind) {
    let error = match Follower::new(stream, None, visibility) {
        Ok(mut follower) => loop {
            match follower.next() {
                Ok(_) => {}
                Err(error) => break error,
            }
        },
        Err(error) => error,
    };
    // A store that is closed next says so instead.
    assert!([gone, Kind::Closed].contains(&error.kind()), "{error:?}");
}

#[test]
fn nothing_changes_on_disk_after_the_last_close_and_nobody_waits_for_ever() {
    explore("nothing_changes_on_disk_after_the_last_close_and_nobody_waits_for_ever", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        let known = engine.create_stream("known", StreamConfig::default()).expect("new");
        let durability = Durability::Interval { ms: 5 };
        engine.create_stream("other", StreamConfig { durability, ..StreamConfig::default() }).expect("new");
        let acknowledged = {
            let known = known.clone();
            thread::spawn(move || {
                let end = expect(append(&known, "key", b"data", Commit::Engine), &[Kind::Closed])?;
                known.wait_acknowledged(end).expect("appended before the close, so acknowledged");
                Some(())
            })
        };
        let calls = [
            with(&engine, |engine| {
                let created = engine
                    .create_stream("new", StreamConfig { preallocate_bytes: 128 << 10, ..StreamConfig::default() });
                expect(created, &[Kind::Closed]);
                expect(engine.delete_stream("other"), &[Kind::Closed]);
            }),
            with(&engine, |engine| {
                if let Some(other) =
                    expect(engine.stream("other"), &[Kind::Closed, Kind::StreamNotFound, Kind::StreamDeleting])
                {
                    let gone = [Kind::Closed, Kind::StreamDeleting, Kind::StreamNotFound];
                    expect(append(&other, "key", b"data", Commit::Engine), &gone);
                    expect(other.flush(), &gone);
                }
            }),
            {
                let known = known.clone();
                thread::spawn(move || read_until_gone(&known, Visibility::Published, Kind::Closed))
            },
        ];
        engine.close().expect("closed");
        world.disk.release();
        let acknowledged = acknowledged.join().expect("no appender panics").is_some();
        calls.into_iter().for_each(|call| call.join().expect("no call panics"));
        drop((engine, known));

        let world = world.again();
        let engine = world.open().expect("opened again");
        assert_eq!(engine.warnings(), Vec::<String>::new());
        let known = engine.stream("known").expect("a stream");
        if acknowledged {
            Follower::new(&known, None, Visibility::Durable).and_then(|mut all| all.take(1, |_| ())).expect("a record");
        }
        engine.close().expect("closed");
    });
}

#[test]
fn handles_on_one_store_are_opened_and_closed_at_once() {
    explore("handles_on_one_store_are_opened_and_closed_at_once", |world| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let world = world.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        let engine = world.open().expect("one process may open a store many times");
                        let _exists =
                            expect(engine.create_stream("clicks", StreamConfig::default()), &[Kind::StreamExists]);
                        let stream = engine.stream("clicks").expect("created");
                        append(&stream, "key", b"data", Commit::Caller).expect("appended");
                        stream.flush().expect("synced");
                        // A handle that is dropped is closed as well.
                        if thread > 0 {
                            engine.close().expect("closed");
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        world.disk.release();

        let engine = world.again().open().expect("opened again");
        let stream = engine.stream("clicks").expect("a stream");
        let mut all = Follower::new(&stream, None, Visibility::Durable).expect("a reader");
        all.take(6, |_| ()).expect("all that was flushed");
        assert_eq!(engine.warnings(), Vec::<String>::new());
        engine.close().expect("closed");
    });
}

fn with(engine: &Arc<Engine>, work: impl FnOnce(&Engine) + Send + 'static) -> thread::JoinHandle<()> {
    let engine = Arc::clone(engine);
    thread::spawn(move || work(&engine))
}

/// What came out, or nothing where one of these errors did.
fn expect<T>(outcome: Result<T>, errors: &[Kind]) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(errors.contains(&error.kind()), "expected one of {errors:?}, got {error:?}");
            None
        }
    }
}
