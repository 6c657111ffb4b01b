//! The log of an application's state: what was acknowledged is there, or somebody is told.

use std::path::Path;

use millrace::{Engine, Environment, Kind, OpenOptions, Service, Services, StateLog, StatePart, repair, verify};

use crate::support::{copy_tree, directory};

fn open(path: &Path) -> Engine {
    Engine::open(path, OpenOptions::default()).expect("the store opens")
}

fn steps(number: usize) -> Vec<u8> {
    format!("step {number} {}", "x".repeat(number % 700)).into_bytes()
}

fn held(engine: &Engine) -> millrace::Result<Vec<StatePart>> {
    let mut parts = Vec::new();
    let log = engine.open_state_log(|part| {
        parts.push(part);
        Ok(())
    })?;
    drop(log);
    Ok(parts)
}

/// A state that counts its steps: what an owner makes of a log.
fn replayed(engine: &Engine) -> Vec<Vec<u8>> {
    let mut state = Vec::new();
    for part in held(engine).expect("opened") {
        match part {
            StatePart::Snapshot(parts) => state = parts,
            StatePart::Steps(steps) => state.push(steps),
        }
    }
    state
}

fn acknowledge(log: &StateLog, number: usize) {
    let end = log.append(steps(number)).expect("appended");
    log.sync_to(end).expect("durable");
}

#[test]
fn acknowledged_steps_survive_a_kill_at_any_moment() {
    let directory = directory();
    let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
    let engine = open(&store);
    let log = engine.open_state_log(|_| Ok(())).expect("made");
    for number in 0..300 {
        acknowledge(&log, number);
        if number % 100 == 99 {
            log.compact((0..=number).map(steps).collect()).expect("compacted");
        }
        if number % 37 == 0 {
            copy_tree(&store, &copy);
            let killed = open(&copy);
            assert_eq!(replayed(&killed), (0..=number).map(steps).collect::<Vec<_>>());
            killed.close().expect("closed");
            std::fs::remove_dir_all(&copy).expect("removed");
        }
    }
    drop(log);
    engine.close().expect("closed");
}

#[test]
fn what_a_snapshot_made_void_leaves_the_disk_again() {
    const STATE: [u8; 1_000] = [7; 1_000];
    let directory = directory();
    let environment = Environment { services: Services::Caller, ..Environment::default() };
    let options = || OpenOptions { environment: environment.clone(), ..OpenOptions::default() };
    let engine = Engine::open(directory.path(), options()).expect("opened");
    let log = engine.open_state_log(|_| Ok(())).expect("made");
    let (mut compactions, mut most) = (0, 0);
    while compactions < 5 {
        log.append(vec![1; 64 << 10]).expect("appended");
        if log.wants_snapshot() {
            log.compact(vec![STATE.to_vec()]).expect("compacted");
            compactions += 1;
        }
        while engine.serve(Service::Keeper).expect("open") > 0 {}
        let files = std::fs::read_dir(directory.path().join("tables")).expect("a directory");
        most = most.max(files.map(|file| file.expect("a file").metadata().expect("its length").len()).sum());
    }
    // 8 MiB of steps, four files that are kept, the active one and two that stand ready.
    assert!(most <= 40 << 20, "{most} bytes");
    drop(log);
    assert_eq!(replayed(&engine), [STATE.to_vec()]);
    engine.close().expect("closed");
}

#[test]
fn a_snapshot_may_be_larger_than_any_frame() {
    let directory = directory();
    let engine = open(directory.path());
    let log = engine.open_state_log(|_| Ok(())).expect("made");
    let parts: Vec<Vec<u8>> = (0..5_u8).map(|number| vec![number; 5 << 20]).collect();
    log.append(b"given up".to_vec()).expect("appended");
    log.compact(parts.clone()).expect("compacted");
    assert_eq!(log.append(vec![0; StateLog::BYTES_MAX + 1]).expect_err("too much").kind(), Kind::InvalidArgument);
    log.append(vec![7; StateLog::BYTES_MAX]).expect("as much as can be");
    drop(log);
    assert_eq!(
        held(&engine).expect("opened"),
        [StatePart::Snapshot(parts), StatePart::Steps(vec![7; StateLog::BYTES_MAX]),]
    );
    engine.close().expect("closed");
}

#[test]
fn one_at_a_time_has_the_log_and_it_ends_with_the_store() {
    let directory = directory();
    let engine = open(directory.path());
    assert!(!engine.has_state_log().expect("looked"));
    let log = engine.open_state_log(|_| Ok(())).expect("made");
    assert!(engine.has_state_log().expect("looked"));
    assert_eq!(engine.open_state_log(|_| Ok(())).map(drop).expect_err("held").kind(), Kind::Locked);
    engine.close().expect("closed");
    assert_eq!(log.append(b"late".to_vec()).expect_err("closed").kind(), Kind::Closed);
    assert_eq!(log.sync_to(millrace::Position::default()).expect_err("closed").kind(), Kind::Closed);
}

/// A store of three acknowledged steps behind a snapshot, and where the bytes of its log stand.
fn damaged_in_the_middle(store: &Path) {
    let engine = open(store);
    let log = engine.open_state_log(|_| Ok(())).expect("made");
    log.compact(vec![b"snapshot".to_vec()]).expect("compacted");
    for text in ["first", "second", "third"] {
        log.sync_to(log.append(text.as_bytes().to_vec()).expect("appended")).expect("durable");
    }
    drop(log);
    engine.close().expect("closed");
    let files = std::fs::read_dir(store.join("tables")).expect("a directory");
    let files = files.map(|entry| entry.expect("an entry").path());
    let found = files.filter(|path| path.extension() == Some("seg".as_ref())).find_map(|path| {
        let bytes = std::fs::read(&path).expect("read");
        let at = bytes.windows(6).position(|window| window == b"second")?;
        Some((path, bytes, at))
    });
    let (segment, mut bytes, at) = found.expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
}

#[test]
fn damage_in_the_middle_is_told_and_nothing_is_served_in_spite_of_it() {
    let directory = directory();
    damaged_in_the_middle(directory.path());
    let engine = open(directory.path());
    let refused = held(&engine).expect_err("refused");
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert!(refused.message().contains("millrace repair"), "{refused}");
    // Streams are another matter.
    engine.create_stream("clicks", millrace::StreamConfig::default()).expect("made");
    engine.close().expect("closed");
    let verification = verify(directory.path(), &Environment::default(), |_, _| true).expect("read");
    assert!(verification.damages.iter().any(|damage| damage.place == "tables log"), "{verification:?}");
}

#[test]
fn a_repair_keeps_the_state_from_before_the_damage_and_says_so() {
    let directory = directory();
    let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
    damaged_in_the_middle(&store);
    let repaired = repair(&store, &copy, &Environment::default(), |_, _| true).expect("repaired").expect("not stopped");
    assert!(repaired.damages.iter().any(|damage| damage.place == "tables log"), "{repaired:?}");
    let engine = open(&copy);
    let kept = held(&engine).expect("opened");
    assert_eq!(kept, [StatePart::Snapshot(vec![b"snapshot".to_vec()]), StatePart::Steps(b"first".to_vec())]);
    engine.close().expect("closed");
}
