//! A disk of which not all can be read.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap};
use millrace::{Environment, repair};

use super::fixture::{Change, Damage, Left, STREAM, clock, environment, fixture, repaired};
use crate::support::{directory, open, read_all};

/// A disk on which some bytes of one file cannot be read.
#[derive(Clone, Debug)]
struct BadSectors {
    file: String,
    bad: Range<u64>,
}

#[derive(Debug)]
struct BadFile {
    file: Arc<dyn DiskFile>,
    bad: Range<u64>,
}

impl Disk for BadSectors {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = OsDisk.open(path, access)?;
        if !path.ends_with(&self.file) || access == Access::Create {
            return Ok(file);
        }
        Ok(Arc::new(BadFile { file, bad: self.bad.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(directory)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_tree(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_directory(path)
    }
}

impl DiskFile for BadFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset < self.bad.end && self.bad.start < offset + buffer.len() as u64 {
            // EIO, as the kernel says it.
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn share(&self) -> io::Result<()> {
        self.file.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn map(&self, _bytes: usize) -> io::Result<SharedMap> {
        // The process would end when it touches the bad sector.
        Err(io::Error::other("mapped a file with a bad sector"))
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.file.map_private(bytes)
    }
}

#[test]
fn bad_sectors_cost_what_stands_on_them_and_are_told() {
    let fixture = fixture(Left::Closed);
    let root = directory();
    let store = root.path().join("store");
    fixture.write(&store);
    for (file, bad) in [
        ("00000001.seg", 0..4096),
        ("00000001.seg", 5000..5001),
        ("00000002.seg", 0..4096),
        ("00000002.seg", 4096..4097),
        ("00000001.idx", 0..10),
    ] {
        let file = format!("{STREAM}{file}");
        let zeroed = bad.start / 4096 * 4096..(bad.start / 4096 + 1) * 4096;
        let environment =
            Environment { disk: Arc::new(BadSectors { file: file.clone(), bad: bad.clone() }), ..environment() };
        let copy = root.path().join("copy");
        let repair = repair(&store, &copy, &environment, |_, _| true).expect("repaired").expect("not stopped");
        let zeroed = usize::try_from(zeroed.start).expect("small")..usize::try_from(zeroed.end).expect("small");
        let length = fixture.files[&file].len();
        let as_zeros = repaired(&fixture, |store| {
            let change = Change::Zero(zeroed.start..zeroed.end.min(length));
            Damage { file: file.clone(), change }.apply(store);
        });
        let engine = open(&copy, &clock());
        let kept = read_all(&engine.stream("small").expect("a stream"));
        engine.close().expect("closed");
        assert_eq!(kept, as_zeros.judge(&fixture)["small"], "{file} {bad:?}");
        let told: Vec<_> = repair.damages.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("could not be read")), "{file} {bad:?}: {told:?}");
        std::fs::remove_dir_all(copy).expect("removed");
    }
}
