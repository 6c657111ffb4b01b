//! Repair: the copy holds all that is good of the store, the report names what it lacks, and the store stays as it is.
//!
//! What is good is what a reader of the store itself reads over all damage. So each damage is made twice: one store is
//! opened and read, the other is repaired, and its copy is read.

mod bad_sectors;
mod fixture;
mod histories;

use std::path::Path;
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::{Engine, Environment, Kind, Meaning, Retention, Shards, StreamConfig, repair, verify};

use crate::support::{HOUR_MS, Record, START_MS, append, copy_tree, directory, open, options, read_all};
use fixture::{Change, Damage, Left, STREAM, clock, environment, files_of, fixture, readable, repaired};

#[test]
fn an_undamaged_store_repairs_to_an_equal_one() {
    for left in [Left::Closed, Left::Crashed] {
        let fixture = fixture(left);
        let repaired = repaired(&fixture, |_| {});
        assert_eq!(repaired.messages(), Vec::<String>::new(), "{left:?}");
        let original = directory();
        fixture.write(original.path());
        let (old, new) = (open(original.path(), &clock()), open(&repaired.copy, &clock()));
        assert_eq!(old.list_streams().expect("open"), new.list_streams().expect("open"), "{left:?}");
        assert_eq!(old.store_id().expect("open"), new.store_id().expect("open"));
        for summary in old.list_streams().expect("open") {
            let [old, new] = [&old, &new].map(|engine| engine.stream(&summary.name).expect("a stream"));
            assert_eq!(old.sequence_number(0, 7), new.sequence_number(0, 7));
            let placement = append(&new, &[("key", b"data")]).expect("appended")[0];
            let last = fixture.records[&summary.name].last().expect("records").sequence;
            assert!((last + 1..last + (1 << 20)).contains(&placement.sequence), "{placement:?} behind {last}");
        }
        old.close().expect("closed");
        new.close().expect("closed");
        let again = self::repaired(&fixture, |_| {});
        assert_eq!(again.judge(&fixture), fixture.records, "{left:?}");
    }
}

#[test]
fn a_repair_keeps_exactly_what_a_reader_reads_over_all_damage() {
    for left in [Left::Closed, Left::Crashed] {
        let fixture = fixture(left);
        let files = fixture.files.keys().filter(|file| file.starts_with(STREAM));
        let damages: Vec<_> = files.flat_map(|file| fixture.damages(file)).collect();
        assert!(damages.len() > 60, "{} damages", damages.len());
        for damage in &damages {
            let read = directory();
            fixture.write(read.path());
            damage.apply(read.path());
            let readable = readable(read.path());
            let repaired = repaired(&fixture, |store| damage.apply(store));
            let kept = repaired.judge(&fixture);
            for (name, written) in &fixture.records {
                let (kept, readable) = (&kept[name], readable.get(name).map_or(&[][..], Vec::as_slice));
                assert!(kept.iter().all(|record| written.contains(record)), "{left:?} {damage:?}: nobody wrote it");
                if damage.is_of_a_header() {
                    assert_eq!(kept, written, "{left:?} {damage:?}: a header is rebuilt");
                } else if matches!(damage.change, Change::Cut(_)) {
                    // Before the cut there may be runs of a frame that a reader takes for none.
                    let is_kept = readable.iter().all(|record| kept.contains(record));
                    assert!(is_kept, "{left:?} {damage:?}: {:?}", repaired.messages());
                } else {
                    assert_eq!(kept, readable, "{left:?} {damage:?}: {:?}", repaired.messages());
                }
                let is_told = repaired.repair.damages.iter().any(|damage| damage.place == *name);
                assert!(kept == written || is_told, "{left:?} {damage:?}: {} are missing", written.len() - kept.len());
            }
        }
    }
}

#[test]
fn whatever_happens_to_the_control_log_every_record_is_kept() {
    for left in [Left::Closed, Left::Crashed] {
        let fixture = fixture(left);
        let files = fixture.files.keys().filter(|file| !file.starts_with("streams/"));
        let damages = files.flat_map(|file| fixture.damages(file));
        let (mut recovered, mut found) = (0, 0);
        for damage in damages {
            let store = directory();
            fixture.write(store.path());
            damage.apply(store.path());
            if damage.file == "MILLRACE"
                && verify(store.path(), &environment(), |_, _| true).is_err_and(|e| e.kind() == Kind::FormatNewer)
            {
                // One bit makes it a newer version's store, which is left to that.
                continue;
            }
            let repaired = repaired(&fixture, |store| damage.apply(store));
            let kept = repaired.judge(&fixture);
            let mut all: Vec<_> = kept.values().collect();
            all.sort_by_key(|records| records.len());
            let mut written: Vec<_> = fixture.records.values().collect();
            written.sort_by_key(|records| records.len());
            assert_eq!(all, written, "{left:?} {damage:?}: {:?}", repaired.messages());
            for (name, written) in &fixture.records {
                assert!(kept.get(name).is_none_or(|kept| kept == written), "{left:?} {damage:?}: {name} is another's");
            }
            for stream in &repaired.repair.streams {
                found += usize::from(stream.name == "other" && !kept.contains_key("small"));
                assert_eq!(stream.name.starts_with("recovered-"), stream.is_recovered, "{stream:?}");
                recovered += usize::from(stream.is_recovered);
                let is_told = repaired.repair.damages.iter().any(|damage| damage.place == stream.name);
                assert!(!stream.is_recovered || is_told, "{left:?} {damage:?}");
            }
        }
        assert!(recovered > 0, "{left:?}: some damage costs a name");
        assert!(found > 0, "{left:?}: a name behind the damage is found by the time of the stream's creation");
    }
}

#[test]
fn a_stream_of_a_lost_control_log_comes_back_under_its_number() {
    let fixture = fixture(Left::Crashed);
    let emptied = repaired(&fixture, |store| {
        std::fs::remove_dir_all(store.join("control")).expect("removed");
        std::fs::create_dir(store.join("control")).expect("a directory");
    });
    emptied.judge(&fixture);
    assert!(emptied.messages().iter().any(|told| told.contains("nothing of it is left")), "{:?}", emptied.messages());
    let repaired = repaired(&fixture, |store| std::fs::remove_dir_all(store.join("control")).expect("removed"));
    let kept = repaired.judge(&fixture);
    assert_eq!(kept["recovered-0000000000000001"], fixture.records["small"]);
    assert_eq!(kept["recovered-0000000000000002"], fixture.records["other"]);
    let engine = open(&repaired.copy, &clock());
    let streams = engine.list_streams().expect("open");
    assert_eq!((streams[0].id, streams[0].config.shards), (1, 3));
    assert_eq!(streams[0].config.retention, Retention::Unbounded, "what was saved must not expire");
    // Its first segment was made when the stream was, so its sequence numbers are those of before.
    assert_eq!(streams[0].created_ms / 1_000, START_MS / 1_000);
    let id = engine.create_stream("new", StreamConfig::default()).map(|stream| stream.describe().id).expect("made");
    assert!(id > 1_000, "an id that nobody had: {id}");
    engine.close().expect("closed");
}

#[test]
fn what_has_expired_does_not_come_back() {
    let root = directory();
    let (store, copy) = (root.path().join("store"), root.path().join("copy"));
    let clock = Arc::new(ManualClock::new(START_MS));
    let engine = open(&store, &clock);
    let stream = engine.create_stream("old", StreamConfig::default()).expect("a stream");
    // Several frames a segment, so that the horizon lies within one.
    for turn in 0..91 {
        append(&stream, &[("key", format!("turn {turn}").as_bytes())]).expect("appended");
        stream.flush().expect("flushed");
        clock.advance_ms(HOUR_MS / 3);
        engine.expire().expect("open");
    }
    let kept = read_all(&stream);
    assert!(kept.len() < 91 && kept.len() > 60, "{} records", kept.len());
    engine.close().expect("closed");
    let environment = Environment { clock: clock.clone(), ..Environment::default() };
    let repair = repair(&store, &copy, &environment, |_, _| true).expect("repaired").expect("not stopped");
    assert_eq!(repair.damages, []);
    let engine = open(&copy, &clock);
    let stream = engine.stream("old").expect("a stream");
    assert_eq!(read_all(&stream), kept);
    clock.advance_ms(HOUR_MS);
    engine.expire().expect("open");
    let left = read_all(&stream);
    assert!(left.len() < kept.len() && kept.ends_with(&left), "and expires on");
    engine.close().expect("closed");
}

#[test]
fn orphans_come_back() {
    let fixture = fixture(Left::Closed);
    let orphan = "orphans/0000000000000001-0123456789abcdef";
    let repaired = repaired(&fixture, |store| {
        std::fs::create_dir_all(store.join("orphans")).expect("a directory");
        copy_tree(&store.join(STREAM), &store.join(orphan));
    });
    let kept = repaired.judge(&fixture);
    assert_eq!(kept["small"], fixture.records["small"]);
    assert_eq!(kept["recovered-0000000000000001"], fixture.records["small"]);
    let ids: Vec<_> = repaired.repair.streams.iter().map(|stream| stream.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids[2] > 2, "an id of its own: {ids:?}");
}

/// The offsets of the payloads that hold `text`.
fn find_text(bytes: &[u8], text: &str) -> Vec<usize> {
    bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text.as_bytes()).map(|(at, _)| at).collect()
}

#[test]
fn a_damaged_run_is_named_with_its_shard_bytes_and_sequences_and_the_others_of_its_frame_are_kept() {
    for left in [Left::Closed, Left::Crashed] {
        let fixture = fixture(left);
        // A record of the second frame, which is in the sealed segment, and one of the fifth, which is not.
        for (number, segment) in [(12, 1), (40, 2)] {
            let hit = fixture.records["small"]
                .iter()
                .find(|record| record.data == format!("the data of record {number}").into_bytes())
                .expect("written");
            let file = format!("{STREAM}{segment:08x}.seg");
            let at = find_text(&fixture.files[&file], &format!("the data of record {number}"))[0];
            let damage = Damage { file, change: Change::Flip(at) };
            let frame = fixture.records["small"].iter().filter(|record| record.arrival_ms == hit.arrival_ms);
            let lost: Vec<_> = frame
                .filter(|record| record.shard == hit.shard)
                .filter(|record| record.sequence.abs_diff(hit.sequence) < 9)
                .collect();
            let is_of_the_run = |record: &&&Record| number / 9 == text_number(record) / 9;
            let lost: Vec<_> = lost.iter().filter(is_of_the_run).map(|record| record.sequence).collect();
            let expected = lost[0]..lost[lost.len() - 1] + 1;

            let store = directory();
            fixture.write(store.path());
            damage.apply(store.path());
            let verified = verify(store.path(), &environment(), |_, _| true).expect("verified");
            let repaired = repaired(&fixture, |store| damage.apply(store));
            assert_eq!(verified.damages, repaired.repair.damages, "both say the same");
            assert_eq!(verified.damages.len(), 1, "{:?}", verified.damages);
            let damage = &verified.damages[0];
            let finding = damage.finding.as_ref().expect("a finding");
            assert_eq!((damage.place.as_str(), finding.segment), ("small", segment));
            assert_eq!((finding.meaning, &finding.shards), (Meaning::Damaged, &Shards::Of(vec![hit.shard])));
            assert_eq!(finding.sequences, expected, "{left:?}");
            assert!((finding.bytes.start as usize..finding.bytes.end as usize).contains(&at), "{finding:?} has {at}");
            assert!(finding.to_string().contains(&format!("shardId-{:012}", hit.shard)), "{finding}");
            let engine = open(&repaired.copy, &clock());
            let stream = engine.stream("small").expect("a stream");
            let numbers = damage.sequence_numbers.as_ref().expect("numbers");
            assert_eq!(numbers.start, stream.sequence_number(hit.shard, expected.start));
            let rest: Vec<_> = fixture.records["small"].iter().filter(|r| !expected.contains(&r.sequence)).collect();
            assert!(read_all(&stream).iter().eq(rest), "all but the run are there");
            // Recovery names it alike.
            engine.close().expect("closed");
            let engine = open(store.path(), &clock());
            let findings = engine.stream("small").expect("opened").describe().findings;
            let is_recovered = left == Left::Crashed && segment == 2;
            assert_eq!(findings, if is_recovered { vec![finding.clone()] } else { vec![] }, "{left:?}");
            engine.close().expect("closed");
        }
    }
}

fn text_number(record: &Record) -> usize {
    let text = String::from_utf8(record.data.clone()).expect("text");
    text.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn the_header_of_a_segment_is_rebuilt_from_its_first_frame_unless_that_is_of_an_older_one() {
    let fixture = fixture(Left::Crashed);
    let lost = |file: &str| Damage { file: format!("{STREAM}{file}"), change: Change::Zero(0..4096) };
    let repaired = repaired(&fixture, |store| lost("00000002.seg").apply(store));
    assert_eq!(repaired.judge(&fixture), fixture.records);
    assert!(repaired.messages()[0].contains("no record is lost"), "{:?}", repaired.messages());

    // A segment that was prepared in the file of an older one, and whose header is lost: its frames are not its own.
    let repaired = self::repaired(&fixture, |store| {
        std::fs::copy(store.join(format!("{STREAM}00000001.seg")), store.join(format!("{STREAM}00000003.seg")))
            .expect("copied");
        lost("00000003.seg").apply(store);
    });
    assert_eq!(repaired.judge(&fixture), fixture.records, "each record once");
    assert!(!repaired.repair.damages.is_empty());
}

#[test]
fn a_segment_that_is_missing_is_told_wherever_it_stood() {
    let fixture = fixture(Left::Closed);
    for file in ["00000001.seg", "00000002.seg"] {
        let repaired = repaired(&fixture, |store| {
            Damage { file: format!("{STREAM}{file}"), change: Change::Remove }.apply(store);
        });
        let kept = repaired.judge(&fixture);
        assert!(!kept["small"].is_empty() && kept["small"].len() < fixture.records["small"].len(), "{file}");
        let told = repaired.repair.damages.iter().filter(|damage| damage.place == "small").count();
        assert!(told > 0, "{file}: {:?}", repaired.messages());
        let engine = open(&repaired.copy, &clock());
        let placement = append(&engine.stream("small").expect("a stream"), &[("key", b"data")]).expect("appended")[0];
        let last = fixture.records["small"].last().expect("records").sequence;
        assert!(placement.sequence > last, "{file}: {} is given again", placement.sequence);
        engine.close().expect("closed");
    }
}

#[test]
fn the_last_segment_of_a_closed_store_is_missed_and_its_sequences_are_not_given_again() {
    let fixture = fixture(Left::Closed);
    let store = directory();
    fixture.write(store.path());
    Damage { file: format!("{STREAM}00000002.seg"), change: Change::Remove }.apply(store.path());
    let engine = open(store.path(), &clock());
    let stream = engine.stream("small").expect("a stream");
    assert!(stream.describe().findings.iter().any(|finding| finding.segment == 2), "the close told of it");
    let placement = append(&stream, &[("key", b"data")]).expect("appended")[0];
    assert!(placement.sequence > fixture.records["small"].last().expect("records").sequence, "{placement:?}");
    engine.close().expect("closed");
}

#[test]
fn an_interrupted_repair_leaves_nothing_under_the_name_and_the_next_one_begins_anew() {
    let fixture = fixture(Left::Closed);
    let root = directory();
    let (store, copy) = (root.path().join("store"), root.path().join("copy"));
    fixture.write(&store);
    assert_eq!(repair(&store, &copy, &environment(), |_, _| false).expect("stopped"), None);
    assert_eq!(files_of(root.path()).into_keys().filter(|name| name.starts_with("copy")).count(), 0);

    // What a process that was killed leaves.
    let unfinished = root.path().join("copy.unfinished");
    std::fs::create_dir_all(unfinished.join("streams/0000000000000001")).expect("a directory");
    std::fs::write(unfinished.join("streams/0000000000000001/00000001.seg"), "half").expect("written");
    std::fs::write(unfinished.join("LOCK"), "").expect("written");
    assert!(Engine::open(&unfinished, millrace::OpenOptions { create: false, ..options(&clock()) }).is_err());
    repair(&store, &copy, &environment(), |_, _| true).expect("repaired").expect("not stopped");
    assert!(copy.is_dir() && !unfinished.exists());

    std::fs::create_dir_all(&unfinished).expect("a directory");
    std::fs::write(unfinished.join("letter.txt"), "dear reader").expect("written");
    std::fs::remove_dir_all(&copy).expect("removed");
    let error = repair(&store, &copy, &environment(), |_, _| true).expect_err("it is somebody's");
    assert_eq!(error.kind(), Kind::NotAStore);
    assert!(unfinished.join("letter.txt").exists() && !copy.exists());
}

#[test]
fn a_repair_refuses_a_target_that_is_used_and_a_store_that_is_open() {
    let fixture = fixture(Left::Closed);
    let root = directory();
    let store = root.path().join("store");
    fixture.write(&store);
    let refused = |to: &Path| repair(&store, to, &environment(), |_, _| true).expect_err("refused").kind();
    assert_eq!(refused(&store), Kind::InvalidArgument, "itself");
    assert_eq!(refused(&store.join("copy")), Kind::InvalidArgument, "below itself");
    let full = root.path().join("full");
    std::fs::create_dir_all(full.join("something")).expect("a directory");
    assert_eq!(refused(&full), Kind::InvalidArgument);
    std::fs::write(root.path().join("file"), "").expect("written");
    assert_eq!(refused(&root.path().join("file")), Kind::InvalidArgument);
    let empty = root.path().join("empty");
    std::fs::create_dir_all(&empty).expect("a directory");
    repair(&store, &empty, &environment(), |_, _| true).expect("an empty one is taken").expect("not stopped");

    let engine = open(&store, &clock());
    assert_eq!(refused(&root.path().join("copy")), Kind::Locked);
    assert!(verify(&store, &environment(), |_, _| true).is_ok(), "what this process has open can be verified");
    engine.close().expect("closed");
    let nothing = repair(&root.path().join("full"), &root.path().join("copy"), &environment(), |_, _| true);
    assert_eq!(nothing.expect_err("no store").kind(), Kind::NotAStore);
    assert!(!root.path().join("copy").exists());
}
