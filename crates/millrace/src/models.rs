//! The small protocols without locks, under every order of their steps that the memory model allows, stale reads
//! included: what the models of whole engines in `tests/interleavings` take for granted. Built and run by
//! `npm run models`, with `--cfg loom`; the code that runs is the engine's own.

use std::sync::Arc;

use loom::thread;

use crate::format::Position;
use crate::log::notify::{Change, Notifier, Trigger, Wake};
use crate::log::reach::Reach;
use crate::log::wish::Wish;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, checked::OnceLock};

/// Runs a model in every order; two threads may take turns against their will three times.
fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("model {name}: {} orders", count.load(std::sync::atomic::Ordering::Relaxed));
}

fn place(offset: u32) -> Position {
    Position::new(0, offset)
}

/// A waker as an event loop has it: at most one call is under way.
#[derive(Default)]
struct Caller {
    trigger: Trigger,
    called: AtomicBool,
}

impl Wake for Caller {
    fn wake(&self) {
        if self.trigger.fires() {
            self.called.store(true, Ordering::Release);
        }
    }
}

#[test]
fn who_registers_sees_the_change_or_is_woken() {
    explore("who_registers_sees_the_change_or_is_woken", || {
        let (published, notifier) = (Arc::new(Reach::new(place(0), 0)), Arc::new(Notifier::default()));
        let caller = Arc::new(Caller::default());
        caller.trigger.arm();
        let appender = {
            let (published, notifier) = (Arc::clone(&published), Arc::clone(&notifier));
            thread::spawn(move || {
                published.advance(place(64), 1);
                notifier.notify(Change::Published);
            })
        };
        let _registration = notifier.register(Change::Published, Arc::clone(&caller) as _);
        let seen = published.place() == place(64);
        appender.join().expect("appended");
        assert!(seen || caller.called.load(Ordering::Acquire), "a publication that nobody heard of");
    });
}

#[test]
fn who_arms_sees_the_change_or_is_called_and_only_once() {
    explore("who_arms_sees_the_change_or_is_called_and_only_once", || {
        let (durable, notifier) = (Arc::new(Reach::new(place(0), 0)), Arc::new(Notifier::default()));
        let caller = Arc::new(Caller::default());
        let _registration = notifier.register(Change::Durable, Arc::clone(&caller) as _);
        let committer = {
            let (durable, notifier) = (Arc::clone(&durable), Arc::clone(&notifier));
            thread::spawn(move || {
                durable.advance(place(64), 1);
                notifier.notify(Change::Durable);
            })
        };
        caller.trigger.arm();
        let seen = durable.place() == place(64);
        committer.join().expect("synced");
        assert!(seen || caller.called.load(Ordering::Acquire), "a promise that is never resolved");
        assert!(!(caller.called.load(Ordering::Acquire) && caller.trigger.fires()), "armed once, fired twice");
    });
}

#[test]
fn who_polls_the_page_misses_no_publication() {
    explore("who_polls_the_page_misses_no_publication", || {
        let (published, notifier) = (Arc::new(Reach::new(place(0), 0)), Arc::new(Notifier::default()));
        let appender = {
            let (published, notifier) = (Arc::clone(&published), Arc::clone(&notifier));
            thread::spawn(move || {
                published.advance(place(64), 1);
                notifier.notify(Change::Published);
            })
        };
        // As `poll` in `src/reader.ts`: the word first, the log second; JavaScript loads sequentially consistent.
        let view = notifier.tail_view().expect("a page");
        let count = view.0[0].load(Ordering::SeqCst);
        let seen = published.place() == place(64);
        appender.join().expect("appended");
        let moved = view.0[0].load(Ordering::SeqCst) != count;
        assert!(seen || moved, "a poller that waits for a word that never moves");
    });
}

#[test]
fn who_blocks_for_the_watermark_goes_on() {
    explore("who_blocks_for_the_watermark_goes_on", || {
        let (durable, notifier) = (Arc::new(Reach::new(place(0), 0)), Arc::new(Notifier::default()));
        let committer = {
            let (durable, notifier) = (Arc::clone(&durable), Arc::clone(&notifier));
            thread::spawn(move || {
                durable.advance(place(64), 1);
                notifier.notify(Change::Durable);
            })
        };
        notifier.block_until(|| durable.place() == place(64));
        committer.join().expect("synced");
    });
}

#[test]
fn a_mark_is_never_ahead_of_the_disk() {
    explore("a_mark_is_never_ahead_of_the_disk", || {
        let (durable, disk) = (Arc::new(Reach::new(place(0), 0)), Arc::new(AtomicU64::new(0)));
        let committer = {
            let (durable, disk) = (Arc::clone(&durable), Arc::clone(&disk));
            thread::spawn(move || {
                for frame in 1..=2 {
                    disk.store(frame, Ordering::Relaxed);
                    durable.advance(place(u32::try_from(frame).expect("few") * 64), frame);
                }
            })
        };
        let (sequence, end) = (durable.sequence(), durable.place());
        let synced = disk.load(Ordering::Relaxed);
        assert!(sequence <= synced && u64::from(end.offset) / 64 <= synced, "{sequence}, {end} with {synced} synced");
        committer.join().expect("synced");
    });
}

/// The part of a log that the wish for a sync is about, as `append.rs`, `commit.rs` and `service.rs` have it.
struct Synced {
    writer: Mutex<u64>,
    published: AtomicU64,
    durable: AtomicU64,
    wish: Wish,
    agenda: Mutex<u32>,
}

impl Synced {
    fn append(&self) {
        let mut writer = self.writer.lock();
        *writer += 1;
        self.published.store(*writer, Ordering::Release);
        drop(writer);
        if self.wish.note() {
            *self.agenda.lock() += 1;
        }
    }

    fn sync(&self) {
        if self.durable.load(Ordering::Acquire) < self.published.load(Ordering::Acquire) {
            let target = *self.writer.lock();
            self.durable.store(target, Ordering::Release);
        }
    }

    fn serve(&self) {
        while std::mem::take(&mut *self.agenda.lock()) > 0 {
            self.wish.take_up();
            self.sync();
        }
    }
}

#[test]
fn a_sync_that_is_asked_for_is_done() {
    explore("a_sync_that_is_asked_for_is_done", || {
        let log = Arc::new(Synced {
            writer: Mutex::new(0),
            published: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            wish: Wish::default(),
            agenda: Mutex::new(0),
        });
        // Somebody else has synced the first append before the committer comes to it.
        log.append();
        log.sync();
        let appender = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.append())
        };
        log.serve();
        appender.join().expect("appended");
        log.serve();
        assert_eq!(log.durable.load(Ordering::Acquire), 2, "an append that is never synced");
    });
}

#[test]
fn a_value_that_is_set_is_seen_with_all_before_it() {
    explore("a_value_that_is_set_is_seen_with_all_before_it", || {
        let (cause, files) = (Arc::new(OnceLock::new()), Arc::new(AtomicU64::new(0)));
        let poisoner = {
            let (cause, files) = (Arc::clone(&cause), Arc::clone(&files));
            thread::spawn(move || {
                files.store(1, Ordering::Relaxed);
                assert_eq!(cause.set("a sync failed"), Ok(()));
            })
        };
        if cause.get().is_some() {
            assert_eq!(files.load(Ordering::Relaxed), 1);
        }
        poisoner.join().expect("poisoned");
    });
}
