//! A process that does everything at once is killed, again and again: it writes under all three policies, records
//! expire and segments are used again, streams are created and deleted. An outside witness, who is told of each step
//! through a pipe, holds what is found against it.
//!
//! The process is this program once more, as in `kill.rs`. Time is told too: the process moves a clock of its own, and
//! whoever opens the store next goes on from there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::{
    Commit, Durability, Engine, Entropy, Kind, Retention, StagedRecords, Stream, StreamConfig, SystemEntropy,
};

use crate::kill::{data_of, key_of, say};
use crate::support::{self, HOUR_MS, START_MS, directory, read_all};

const DIRECTORY: &str = "MILLRACE_TEST_WITNESSED";
const NOW_MS: &str = "MILLRACE_TEST_NOW_MS";
const NEXT: &str = "MILLRACE_TEST_NEXT";
const KEPT: [(&str, Durability); 3] =
    [("synced", Durability::Synced), ("interval", Durability::Interval { ms: 1 }), ("os", Durability::Os)];
const ROUNDS: usize = 12;
/// Between two appends to all streams: a day passes in about seventy of them, and five segments.
const STEP_MS: u64 = HOUR_MS / 3;
const DAY_MS: u64 = 24 * HOUR_MS;

fn open(path: &Path, now_ms: u64) -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(now_ms));
    (Engine::open(path, support::options(&clock)).expect("opens"), clock)
}

fn make(engine: &Engine, name: &str, durability: Durability) -> Stream {
    let config = StreamConfig { shards: 3, durability, retention: Retention::Hours(24), ..StreamConfig::default() };
    match engine.create_stream(name, config) {
        Err(error) if error.kind() == Kind::StreamExists => engine.stream(name).expect("it exists"),
        made => made.expect("made"),
    }
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
#[ignore = "the process that the other test of this file starts and kills"]
fn busy() {
    let (Ok(directory), Some(mut now_ms), Some(first)) = (std::env::var(DIRECTORY), number_in(NOW_MS), number_in(NEXT))
    else {
        return;
    };
    say("\nopening");
    let (engine, clock) = open(Path::new(&directory), now_ms);
    let streams = KEPT.map(|(name, durability)| (name, make(&engine, name, durability)));
    for number in (first..).step_by(5) {
        for (name, stream) in &streams {
            let mut staged = StagedRecords::default();
            (number..number + 5).for_each(|number| staged.push(&key_of(number), None, &data_of(number)));
            let end = stream.append(staged.as_staged(), None, Commit::Engine).expect("appended").end;
            stream.wait_acknowledged(end).expect("acknowledged");
            say(&format!("acknowledged {name} {}", number + 5));
        }
        now_ms += STEP_MS;
        // Told before it is so: what expires by this time may be gone.
        say(&format!("time {now_ms}"));
        clock.advance_ms(STEP_MS);
        engine.expire().expect("open");
        let brief = format!("brief-{number}");
        say(&format!("creating {brief}"));
        make(&engine, &brief, Durability::Synced);
        say(&format!("created {brief}"));
        say(&format!("deleting {brief}"));
        if number % 10 == 0 {
            engine.delete_stream(&brief).expect("deleted");
            say(&format!("deleted {brief}"));
        }
    }
}

fn start(path: &Path, witness: &Witness) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "witness::busy", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, path)
        .env(NOW_MS, witness.now_ms.to_string())
        .env(NEXT, witness.next.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// What the processes have told so far.
struct Witness {
    now_ms: u64,
    /// The number that the next process begins at.
    next: u64,
    /// For each stream how many records were acknowledged by when; the last one counts them all.
    acknowledged: BTreeMap<String, Vec<(u64, u64)>>,
    /// What was last told of each passing stream.
    fates: BTreeMap<String, String>,
}

impl Witness {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["time", now_ms] => self.now_ms = now_ms.parse().expect("a number"),
            ["acknowledged", stream, count] => {
                let count = count.parse().expect("a number");
                self.acknowledged.entry(stream.to_owned()).or_default().push((count, self.now_ms));
            }
            [fate @ ("creating" | "created" | "deleting" | "deleted"), stream] => {
                self.fates.insert(stream.to_owned(), fate.to_owned());
            }
            _ => {}
        }
    }

    /// Checks a stream: from the first record that is there on all are, up to the last that was acknowledged and
    /// perhaps a few more; those before have expired. Returns the number behind the last one.
    fn check(&self, name: &str, stream: &Stream) -> u64 {
        let mut records = read_all(stream);
        assert!(records.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "{name}: a sequence twice");
        records.sort_by_key(|record| record.data[..8].try_into().map(u64::from_le_bytes).expect("8 bytes"));
        let told = self.acknowledged.get(name).map_or(&[][..], Vec::as_slice);
        let count = told.last().map_or(0, |(count, _)| *count);
        let Some(first) = records.first() else {
            assert!(count == 0 || self.is_expired(told, count - 1), "{name}: nothing is there of {count}");
            return count;
        };
        let first = first.data[..8].try_into().map(u64::from_le_bytes).expect("8 bytes");
        for (number, record) in (first..).zip(&records) {
            assert!(record.data == data_of(number) && record.key == key_of(number), "{name}: record {number}");
            assert!(record.arrival_ms + DAY_MS + HOUR_MS >= self.now_ms, "{name}: record {number} is over its time");
        }
        assert!(first == 0 || self.is_expired(told, first - 1), "{name}: the records before {first} are missing");
        let next = first + u64::try_from(records.len()).expect("64 bits");
        assert!(next >= count, "{name}: {next} are there, {count} were acknowledged");
        next
    }

    fn is_expired(&self, told: &[(u64, u64)], number: u64) -> bool {
        // A record that nobody was told of came in the process that was killed before the next told one.
        let by = told.iter().find(|(count, _)| *count > number).map(|(_, by_ms)| *by_ms);
        by.is_some_and(|by_ms| by_ms + DAY_MS <= self.now_ms)
    }
}

#[test]
fn whatever_a_killed_process_was_at_what_it_was_told_holds() {
    let directory = directory();
    let mut witness = Witness { now_ms: START_MS, next: 0, acknowledged: BTreeMap::new(), fates: BTreeMap::new() };
    let mut facts = 0;
    for round in 0..ROUNDS {
        let mut child = start(directory.path(), &witness);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let wanted = usize::try_from(SystemEntropy.random() % 900).expect("small");
        lines.by_ref().take(wanted).for_each(|line| witness.hear(&line));
        child.kill().expect("killed");
        child.wait().expect("ended");
        // A last line may have been cut off; `lines` gives it all the same, but so short a line is written whole.
        lines.for_each(|line| witness.hear(&line));
        facts += wanted;
        let (engine, _clock) = open(directory.path(), witness.now_ms);
        let damaged: Vec<_> = engine.warnings().into_iter().filter(|warning| warning.contains("damaged")).collect();
        assert_eq!(damaged, Vec::<String>::new(), "round {round}: a kill damages nothing");
        engine.expire().expect("open");
        let listed: Vec<_> = engine.list_streams().expect("open").into_iter().map(|stream| stream.name).collect();
        for (name, fate) in std::mem::take(&mut witness.fates) {
            let is_there = listed.contains(&name);
            assert!(is_there || fate != "created", "round {round}: {name} is gone");
            assert!(!is_there || fate != "deleted", "round {round}: {name} is back");
            if is_there {
                engine.delete_stream(&name).expect("deleted");
            }
        }
        let mut next = witness.next;
        for (name, _) in KEPT {
            if listed.iter().any(|listed| listed == name) {
                next = next.max(witness.check(name, &engine.stream(name).expect("the stream")));
            } else {
                assert!(!witness.acknowledged.contains_key(name), "round {round}: {name} is gone");
            }
        }
        // All streams go on at one number: what is missing of those that were behind is written for them.
        for (name, durability) in KEPT {
            let stream = make(&engine, name, durability);
            let there = witness.check(name, &stream);
            for number in there..next {
                support::append(&stream, &[(&key_of(number), &data_of(number))]).expect("appended");
            }
            stream.flush().expect("flushed");
            witness.acknowledged.entry(name.to_owned()).or_default().push((next, witness.now_ms));
        }
        witness.next = next;
        engine.close().expect("closed");
    }
    let days = (witness.now_ms - START_MS) / DAY_MS;
    println!("{ROUNDS} kills, {facts} facts, {} records a stream, {days} days", witness.next);
    assert!(days >= 2, "retention passed, and segments were used again");
}
