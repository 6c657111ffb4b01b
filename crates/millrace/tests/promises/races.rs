//! Processes that race for one directory, and a process that is killed while it makes a store: at every moment one
//! holds the directory at most, and each sees what the others were told.
//!
//! The processes are this program once more, as in `kill.rs`.

use std::fs::{self, OpenOptions as FileOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use millrace::{Engine, Entropy, Kind, OpenOptions, Stream, StreamConfig, SystemEntropy};

use crate::kill::say;
use crate::support::{append, directory, read_all};

const RACED_FOR: &str = "MILLRACE_TEST_RACED_FOR";
const MADE: &str = "MILLRACE_TEST_MADE";
/// Each process holds the directory so often, however long that takes it.
const WINS: usize = 6;
const CREATIONS: u64 = 25;

/// The other files of a race stand beside the store.
fn beside(store: &Path, name: &str) -> PathBuf {
    store.with_file_name(name)
}

fn told(path: &Path) -> usize {
    fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn the_stream(engine: &Engine) -> Stream {
    match engine.create_stream("raced", StreamConfig::default()) {
        Err(error) if error.kind() == Kind::StreamExists => engine.stream("raced").expect("it exists"),
        made => made.expect("made"),
    }
}

#[test]
#[ignore = "one of the processes that the tests of this file start"]
fn racer() {
    let Ok(store) = std::env::var(RACED_FOR) else { return };
    let store = PathBuf::from(store);
    let (held, acknowledged) = (beside(&store, "held"), beside(&store, "acknowledged"));
    let mut wins = 0;
    while wins < WINS {
        let engine = match Engine::open(&store, OpenOptions::default()) {
            Ok(engine) => engine,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Locked, "{error}");
                let holder =
                    error.message().split("is held by process ").nth(1).and_then(|rest| rest.split(' ').next());
                say(&format!("\nlocked by {}", holder.unwrap_or("nobody yet")));
                std::thread::yield_now();
                continue;
            }
        };
        // Fails where another process has done the same and not yet undone it.
        let exclusive = FileOptions::new().write(true).create_new(true).open(&held);
        assert!(exclusive.is_ok(), "two processes hold the store at once");
        let stream = the_stream(&engine);
        let there = read_all(&stream).len();
        assert!(there >= told(&acknowledged), "{there} records are there, {} were acknowledged", told(&acknowledged));
        append(&stream, &[("key", b"one"), ("key", b"two")]).expect("appended");
        stream.flush().expect("acknowledged");
        fs::write(&acknowledged, (there + 2).to_string()).expect("written");
        fs::remove_file(&held).expect("removed");
        engine.close().expect("closed");
        wins += 1;
        say("\nwon");
    }
}

fn start(test: &str, variable: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(variable, store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Lets so many processes race for a directory that does not exist yet.
fn race(processes: usize) {
    let scratch = directory();
    let store = scratch.path().join("store");
    let children: Vec<_> = (0..processes).map(|_| start("races::racer", RACED_FOR, &store)).collect();
    let pids: Vec<_> = children.iter().map(|child| child.id().to_string()).collect();
    let mut refusals = 0;
    for child in children {
        let output = child.wait_with_output().expect("ended");
        let lines = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{lines}");
        assert_eq!(lines.lines().filter(|line| *line == "won").count(), WINS);
        for holder in lines.lines().filter_map(|line| line.strip_prefix("locked by ")) {
            refusals += 1;
            assert!(holder == "nobody yet" || pids.iter().any(|pid| pid == holder), "{holder} is none of the racers");
        }
    }
    assert!(refusals > 0, "nobody was ever refused, so there was no race");
    let engine = Engine::open(&store, OpenOptions::default()).expect("free again");
    assert_eq!(read_all(&the_stream(&engine)).len(), processes * WINS * 2, "each acknowledged record, once");
    engine.close().expect("closed");
}

#[test]
fn of_two_processes_one_holds_the_store_and_sees_what_the_other_was_told() {
    race(2);
}

#[test]
fn of_eight_processes_one_holds_the_store_and_sees_what_the_others_were_told() {
    race(8);
}

#[test]
#[ignore = "the process that another test of this file kills"]
fn maker() {
    let Ok(store) = std::env::var(MADE) else { return };
    say("\nopening");
    let engine = Engine::open(Path::new(&store), OpenOptions::default()).expect("made");
    say("opened");
    the_stream(&engine);
    say("created");
    // Its parent's death ends it as well.
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_store_whose_maker_is_killed_at_any_moment_can_be_opened_and_holds_what_was_told() {
    let mut opened = 0;
    for round in 0..CREATIONS {
        let scratch = directory();
        let store = scratch.path().join("a/store");
        let mut child = start("races::maker", MADE, &store);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "opening"), "the process starts");
        // Anything from no time to all that a creation takes.
        for _ in 0..SystemEntropy.random() % (1 + 60 * round) {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        let facts: Vec<_> = lines.collect();
        opened += u64::from(facts.iter().any(|fact| fact == "opened"));
        let engine = Engine::open(&store, OpenOptions::default()).expect("a store that can be opened");
        assert_eq!(engine.warnings(), Vec::<String>::new(), "round {round}");
        if facts.iter().any(|fact| fact == "created") {
            engine.stream("raced").expect("what was created is there");
        }
        append(&the_stream(&engine), &[("key", b"after")]).expect("usable");
        engine.close().expect("closed");
    }
    assert!(opened < CREATIONS, "none was killed before its store was made");
}
