//! The promises of the data directory: what is created, what is refused and left as it was, and who holds it.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};

use rustix::fs::{IFlags, Mode, chmod, ioctl_getflags, ioctl_setflags};

use super::*;
use crate::clock::ManualClock;

/// Tells the child of a test which directory to hold.
const HELD: &str = "MILLRACE_TEST_HELD";

#[derive(Debug)]
struct FixedEntropy;

impl crate::environment::Entropy for FixedEntropy {
    fn random(&self) -> u64 {
        0xabc_def0_1234
    }
}

fn claim(path: &Path, create: Create) -> Result<Store> {
    let clock = std::sync::Arc::new(ManualClock::new(1_767_225_600_000));
    Store::claim(
        path,
        create,
        &Environment { clock, entropy: std::sync::Arc::new(FixedEntropy), ..Environment::default() },
    )
}

fn refusal(path: &Path, create: Create) -> Error {
    claim(path, create).expect_err("the directory is refused")
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_store_of_an_older_version_says_before_anything_else_is_written_that_a_newer_one_writes_in_it() {
    let scratch = scratch();
    drop(claim(scratch.path(), Create::IfMissing).expect("created"));
    let path = scratch.path().join(IDENTITY);
    let written = fs::read_to_string(&path).expect("the identity");
    fs::write(&path, written.replace("\"version\":1", "\"version\":0")).expect("written");
    let claimed = claim(scratch.path(), Create::Never).expect("an older store");
    assert_eq!(fs::read_to_string(&path).expect("the identity"), written, "the rest of it stays");
    assert_eq!(claimed.id(), "00000abcdef01234");
    assert_eq!(names(scratch.path()), [LOCK, IDENTITY]);
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

#[test]
fn a_missing_directory_becomes_a_store_that_keeps_its_identity() {
    let scratch = scratch();
    let path = scratch.path().join("a/b/data");
    let store = claim(&path, Create::IfMissing).expect("created");
    let golden =
        r#"{"format":"millrace","version":1,"storeId":"00000abcdef01234","created":"2026-01-01T00:00:00.000Z"}"#;
    assert_eq!(fs::read_to_string(path.join(IDENTITY)).expect("the identity"), golden.to_owned() + "\n");
    assert_eq!(names(&path), [LOCK, IDENTITY]);
    assert_eq!(store.path(), path.canonicalize().expect("it exists"));
    drop(store);
    let again = claim(&path, Create::Never).expect("it is a store");
    assert_eq!(
        (again.id(), again.identity.version, again.identity.created.as_str()),
        ("00000abcdef01234", 1, "2026-01-01T00:00:00.000Z")
    );
}

#[test]
fn an_empty_directory_becomes_a_store_only_when_asked() {
    let scratch = scratch();
    assert_eq!(refusal(scratch.path(), Create::Never).kind(), Kind::NotAStore);
    assert_eq!(names(scratch.path()), [""; 0]);
    let missing = scratch.path().join("data");
    assert_eq!(refusal(&missing, Create::Never).kind(), Kind::NotAStore);
    assert!(!missing.exists());
    claim(scratch.path(), Create::IfMissing).expect("created");
}

#[test]
fn a_foreign_directory_is_refused_by_name_and_left_as_it_was() {
    let scratch = scratch();
    for name in ["notes.txt", "photos"] {
        fs::write(scratch.path().join(name), "mine").expect("written");
    }
    for create in [Create::IfMissing, Create::Never] {
        let error = refusal(scratch.path(), create);
        assert_eq!(error.kind(), Kind::NotAStore);
        for part in ["\"notes.txt\", 1 more", "no MILLRACE file", "give the path of"] {
            assert!(error.message().contains(part), "expected {part:?} in {error}");
        }
    }
    assert_eq!(names(scratch.path()), ["notes.txt", "photos"]);
    assert_eq!(refusal(&scratch.path().join("photos"), Create::IfMissing).kind(), Kind::NotAStore);
    assert_eq!(refusal(&scratch.path().join("photos/data"), Create::IfMissing).kind(), Kind::NotAStore);
}

#[test]
fn a_creation_that_was_cut_short_is_finished() {
    let scratch = scratch();
    fs::write(scratch.path().join(LOCK), "").expect("written");
    fs::write(scratch.path().join(IDENTITY_IN_THE_MAKING), "{\"form").expect("written");
    claim(scratch.path(), Create::IfMissing).expect("nothing but our own remains stands there");
    assert_eq!(names(scratch.path()), [LOCK, IDENTITY]);
}

#[test]
fn every_truncation_of_the_identity_is_refused() {
    let scratch = scratch();
    drop(claim(scratch.path(), Create::IfMissing).expect("created"));
    let identity = scratch.path().join(IDENTITY);
    let whole = fs::read(&identity).expect("the identity");
    for length in 0..whole.len() {
        fs::write(&identity, &whole[..length]).expect("written");
        assert_eq!(refusal(scratch.path(), Create::IfMissing).kind(), Kind::NotAStore, "cut to {length} bytes");
    }
    fs::write(&identity, &whole).expect("written");
    claim(scratch.path(), Create::Never).expect("restored");
}

#[test]
fn an_identity_of_another_program_or_version_is_refused() {
    let scratch = scratch();
    let identities = [
        (
            r#"{"format":"granary","version":0,"storeId":"0123456789abcdef","created":""}"#,
            Kind::NotAStore,
            "\"granary\"",
        ),
        (r#"{"format":"millrace","version":1,"storeId":"0123456789abcdeg","created":""}"#, Kind::NotAStore, "storeId"),
        (r#"{"format":"millrace","version":1,"storeId":"0123456789abcdef"}"#, Kind::NotAStore, "created"),
        (r#"{"format":"millrace","version":-1}"#, Kind::NotAStore, "-1"),
        (r#"{"format":"millrace","version":7}"#, Kind::FormatNewer, "version 1 or older, got version 7"),
        (r#"{"format":"millrace","version":4294967296}"#, Kind::FormatNewer, "4294967296"),
    ];
    for (text, kind, part) in identities {
        fs::write(scratch.path().join(IDENTITY), format!("{text}\n")).expect("written");
        let error = refusal(scratch.path(), Create::IfMissing);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(part), "expected {part:?} in {error}");
    }
}

#[test]
fn a_second_claim_in_the_same_process_is_refused_until_the_first_is_dropped() {
    let scratch = scratch();
    let store = claim(scratch.path(), Create::IfMissing).expect("created");
    let error = refusal(scratch.path(), Create::IfMissing);
    assert_eq!(error.kind(), Kind::Locked);
    let pid = format!("process {} on ", std::process::id());
    for part in [&*pid, "since 2026-01-01T00:00:00.000Z", "close it, or open another directory"] {
        assert!(error.message().contains(part), "expected {part:?} in {error}");
    }
    drop(store);
    claim(scratch.path(), Create::Never).expect("given up");
}

#[test]
fn another_process_is_named_as_the_holder_and_its_death_frees_the_directory() {
    let scratch = scratch();
    let mut child = holder_of(scratch.path());
    let error = refusal(scratch.path(), Create::Never);
    let killed = child.kill().and_then(|()| child.wait());
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.message().contains(&format!("process {} on ", child.id())), "{error}");
    killed.expect("the child was killed");
    let store = claim(scratch.path(), Create::Never).expect("a stale lock file is taken over");
    let line = fs::read_to_string(store.path().join(LOCK)).expect("the lock's text");
    assert!(
        line.starts_with(&format!("{{\"pid\":{},\"host\":", std::process::id())) && line.ends_with("\"}\n"),
        "{line}"
    );
}

/// A child process that holds `path`, as soon as this returns.
fn holder_of(path: &Path) -> Child {
    let (_, module) = module_path!().split_once("::").expect("tests stand in a module");
    let mut child = Command::new(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", &format!("{module}::hold_a_store_as_a_child"), "--ignored", "--nocapture"])
        .env(HELD, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = io::BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.map_while(io::Result::ok).any(|line| line.contains("holds it")), "the child claims the store");
    child
}

#[test]
#[ignore = "runs as the child of another test"]
fn hold_a_store_as_a_child() {
    let path = std::env::var_os(HELD).expect("the parent names the directory");
    let _store = claim(Path::new(&path), Create::IfMissing).expect("created");
    println!("holds it");
    // Ends when the parent does, should the parent not kill it.
    io::stdin().read_to_end(&mut Vec::new()).expect("the parent's end of the pipe");
}

#[test]
fn a_holder_that_has_not_written_its_name_is_still_a_holder() {
    let scratch = scratch();
    let store = claim(scratch.path(), Create::IfMissing).expect("created");
    for text in ["", "{\"pid\":1", "nonsense\n"] {
        fs::write(store.path().join(LOCK), text).expect("written");
        let error = refusal(scratch.path(), Create::Never);
        assert_eq!(error.kind(), Kind::Locked);
        assert!(error.message().contains("has not yet written its name"), "{error}");
    }
}

#[test]
fn a_lock_of_a_process_that_died_with_its_machine_is_taken_over_at_once() {
    let scratch = scratch();
    drop(claim(scratch.path(), Create::IfMissing).expect("created"));
    // The number may be another process's by now, this one's even; without the kernel's lock it means nothing.
    for pid in [1, std::process::id(), u32::MAX] {
        let text = format!("{{\"pid\":{pid},\"host\":\"elsewhere\",\"since\":\"2020-01-01T00:00:00.000Z\"}}\n");
        fs::write(scratch.path().join(LOCK), text).expect("written");
        let store = claim(scratch.path(), Create::Never).expect("nobody holds it");
        let line = fs::read_to_string(store.path().join(LOCK)).expect("the lock's text");
        assert!(!line.contains("elsewhere") && line.ends_with("\"}\n"), "{line}");
    }
}

#[test]
fn a_process_that_is_being_started_does_not_keep_the_claim() {
    const STARTED: usize = 100;
    let scratch = scratch();
    std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            for _ in 0..STARTED {
                // Between its fork and its exec the child has all descriptors of this process.
                assert!(Command::new("true").status().expect("it starts").success());
            }
        });
        let mut claims = 0;
        while !starter.is_finished() {
            drop(claim(scratch.path(), Create::IfMissing).expect("given up by the claim before"));
            claims += 1;
        }
        assert!(claims > 0);
    });
}

/// Makes a directory one that cannot be written, even by root, until dropped.
struct Sealed<'a>(&'a Path);

impl<'a> Sealed<'a> {
    /// `None` for root where directories cannot be made immutable (in a container, or on some file systems).
    fn new(path: &'a Path) -> Option<Self> {
        let sealed = match rustix::process::geteuid().is_root() {
            true => set_immutable(path, true),
            false => chmod(path, Mode::from_raw_mode(0o555)),
        };
        sealed.ok().map(|()| Sealed(path))
    }
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        // One of the two undoes what was done; the other one's failure means nothing.
        let _ = set_immutable(self.0, false);
        let _ = chmod(self.0, Mode::from_raw_mode(0o755));
    }
}

fn set_immutable(path: &Path, immutable: bool) -> rustix::io::Result<()> {
    let directory = File::open(path).expect("the directory opens");
    let mut flags = ioctl_getflags(&directory)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    ioctl_setflags(&directory, flags)
}

#[test]
fn a_directory_that_cannot_be_written_is_read_only_and_not_half_created() {
    let scratch = scratch();
    let (empty, store) = (scratch.path().join("empty"), scratch.path().join("store"));
    fs::create_dir(&empty).expect("created");
    drop(claim(&store, Create::IfMissing).expect("created"));
    let (Some(sealed_empty), Some(sealed_store)) = (Sealed::new(&empty), Sealed::new(&store)) else {
        // Root writes everywhere here; the next test still shows the refusal, on a file system of the kernel's.
        return;
    };
    for path in [&empty, &store, &empty.join("below")] {
        let error = refusal(path, Create::IfMissing);
        assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
        assert!(error.message().contains(path.to_str().expect("UTF-8")), "{error}");
    }
    assert_eq!(names(&empty), [""; 0]);
    drop((sealed_empty, sealed_store));
    claim(&store, Create::Never).expect("it can be written again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_takes_no_directories_is_read_only() {
    let error = refusal(Path::new("/sys/kernel/millrace"), Create::IfMissing);
    assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
}
