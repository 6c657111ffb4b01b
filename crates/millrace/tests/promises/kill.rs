//! A process that writes is killed, again and again: what it said was acknowledged is there.
//!
//! The process is this program once more, told by its environment to run the one test that is ignored otherwise.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use millrace::{
    Commit, Durability, Engine, Entropy, Kind, OpenOptions, StagedRecords, Stream, StreamConfig, SystemEntropy,
};

use crate::support::{directory, read_all};

const DIRECTORY: &str = "MILLRACE_TEST_DIRECTORY";
const FIRST: &str = "MILLRACE_TEST_FIRST";
const ROUNDS: usize = 10;

fn options() -> OpenOptions {
    OpenOptions { segment_bytes_max: 64 << 10, ..OpenOptions::default() }
}

pub fn key_of(number: u64) -> String {
    format!("key-{}", number % 17)
}

pub fn data_of(number: u64) -> Vec<u8> {
    let bytes = usize::try_from(number * 37 % 1_500).expect("small");
    number.to_le_bytes().into_iter().cycle().take(8 + bytes).collect()
}

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // When the parent is gone there is nobody to write for.
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent reads");
}

#[test]
#[ignore = "the process that the other tests of this file start and kill"]
fn writer() {
    let (Ok(directory), Ok(first)) = (std::env::var(DIRECTORY), std::env::var(FIRST)) else { return };
    let mut number: u64 = first.parse().expect("a number");
    // A line of its own: the test harness has begun one.
    say("\nopening");
    let engine = Engine::open(Path::new(&directory), options()).expect("opens");
    let stream = engine.stream("killed").expect("the stream");
    loop {
        let count = 1 + number % 7;
        let mut staged = StagedRecords::default();
        (number..number + count).for_each(|number| staged.push(&key_of(number), None, &data_of(number)));
        let end = stream.append(staged.as_staged(), None, Commit::Engine).expect("appended").end;
        stream.wait_acknowledged(end).expect("acknowledged");
        number += count;
        say(&format!("acknowledged {number}"));
    }
}

fn start(path: &Path, first: u64) -> (Child, BufReader<ChildStdout>) {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--exact", "kill::writer", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    (child, out)
}

/// How many records the lines acknowledge; stops after `lines_max` of them. A line that was cut off says nothing.
fn acknowledged(out: &mut impl BufRead, lines_max: u64) -> u64 {
    let mut highest = 0;
    let mut lines = 0;
    let mut line = String::new();
    while lines < lines_max && out.read_line(&mut line).expect("readable") > 0 {
        let whole = line.strip_suffix('\n');
        if let Some(number) = whole.and_then(|line| line.strip_prefix("acknowledged ")) {
            highest = number.parse().expect("a number");
            lines += 1;
        } else if whole == Some("opening") && lines_max == 1 {
            // Killed while it opens the store, or soon after.
            lines += 1;
        }
        line.clear();
    }
    highest
}

/// Checks that the stream holds the records from 0 on, byte for byte and in order; returns how many.
fn check(stream: &Stream) -> u64 {
    let mut records = read_all(stream);
    assert!(records.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    // A call's records stand shard by shard.
    records.sort_by_key(|record| record.data[..8].try_into().map(u64::from_le_bytes).expect("8 bytes"));
    let count = u64::try_from(records.len()).expect("64 bits");
    for (number, record) in (0..).zip(&records) {
        assert!(record.data == data_of(number) && record.key == key_of(number), "record {number}");
    }
    for key in 0..17 {
        let of_key = records.iter().filter(|record| record.key == key_of(key)).map(|record| record.sequence);
        assert!(of_key.is_sorted(), "the order of each key is kept");
    }
    count
}

fn killed_again_and_again(durability: Durability) {
    let directory = directory();
    let engine = Engine::open(directory.path(), options()).expect("opens");
    let config = StreamConfig { shards: 4, durability, ..StreamConfig::default() };
    engine.create_stream("killed", config).expect("a stream");
    engine.close().expect("closed");
    let mut there = 0;
    for round in 0..ROUNDS {
        let (mut child, mut out) = start(directory.path(), there);
        let seen = acknowledged(&mut out, 1 + SystemEntropy.random() % 120);
        for _ in 0..SystemEntropy.random() % 40 {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        let seen = seen.max(acknowledged(&mut out, u64::MAX));
        let engine = Engine::open(directory.path(), options()).expect("opens");
        let stream = engine.stream("killed").expect("the stream");
        let now_there = check(&stream);
        assert!(now_there >= seen && now_there >= there, "round {round}: {now_there} there, {seen} acknowledged");
        let damaged: Vec<_> = engine.warnings().into_iter().filter(|warning| warning.contains("damaged")).collect();
        assert_eq!(damaged, Vec::<String>::new(), "a kill damages nothing");
        there = now_there;
        engine.close().expect("closed");
    }
    assert!(there > 0, "something was written");
}

#[test]
fn what_was_acknowledged_survives_kills_under_policy_synced() {
    killed_again_and_again(Durability::Synced);
}

#[test]
fn what_was_acknowledged_survives_kills_under_policy_interval() {
    killed_again_and_again(Durability::Interval { ms: 5 });
}

#[test]
fn what_was_acknowledged_survives_kills_under_policy_os() {
    killed_again_and_again(Durability::Os);
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_store() {
    let directory = directory();
    let engine = Engine::open(directory.path(), options()).expect("opens");
    engine.create_stream("killed", StreamConfig::default()).expect("a stream");
    engine.close().expect("closed");
    let (mut child, mut out) = start(directory.path(), 0);
    assert!(acknowledged(&mut out, 2) > 0, "the other process writes");
    let refused = Engine::open(directory.path(), options()).expect_err("the store is held");
    assert_eq!(refused.kind(), Kind::Locked);
    assert!(refused.message().contains(&format!("process {} on ", child.id())), "{refused}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    Engine::open(directory.path(), options()).expect("free again").close().expect("closed");
}
