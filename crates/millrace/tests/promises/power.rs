//! The machine loses power: of what was not synced, any sectors may have reached the disk and any may not.
//!
//! The disk under test keeps two images of each file, what processes see and what is certain. A crash keeps the
//! certain one and a random choice of sectors of what was written since. Names of files are taken to be certain at
//! once: what a lost rename would do is not shown here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use millrace::clock::ManualClock;
use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap};
use millrace::{Durability, Engine, Environment, OpenOptions, StreamConfig};
use proptest::prelude::*;

use crate::support::{self, HOUR_MS, START_MS, append, directory, read_all};

const SECTOR_BYTES: usize = 512;

/// A file: what is certain, and the sectors written since.
#[derive(Debug, Default)]
struct Image {
    certain: Vec<u8>,
    written: Vec<(usize, Vec<u8>)>,
}

impl Image {
    fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut at = usize::try_from(offset).expect("64 bits");
        let mut rest = bytes;
        while !rest.is_empty() {
            let (sector, after) = rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
            self.written.push((at, sector.to_vec()));
            at += sector.len();
            rest = after;
        }
    }

    /// What is on the disk if those of the written sectors arrived that `arrives` says.
    fn after(&self, mut arrives: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.certain.clone();
        for (at, sector) in self.written.iter().filter(|_| arrives()) {
            let end = at + sector.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(sector);
        }
        bytes
    }
}

#[derive(Debug, Default)]
struct Images {
    by_path: BTreeMap<PathBuf, usize>,
    images: Vec<Image>,
}

impl Images {
    fn add(&mut self, path: &Path, certain: Vec<u8>) -> usize {
        self.images.push(Image { certain, written: Vec::new() });
        self.by_path.insert(path.to_path_buf(), self.images.len() - 1);
        self.images.len() - 1
    }

    fn move_all(&mut self, from: &Path, to: &Path) {
        let moved: Vec<_> = self.by_path.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            let id = self.by_path.remove(&path).expect("listed");
            let below = path.strip_prefix(from).expect("below");
            let target = if below.as_os_str().is_empty() { to.to_path_buf() } else { to.join(below) };
            self.by_path.insert(target, id);
        }
    }
}

/// A disk whose power can fail.
#[derive(Clone, Debug, Default)]
struct PowerDisk(Arc<Mutex<Images>>);

#[derive(Debug)]
struct PowerFile {
    file: Arc<dyn DiskFile>,
    disk: PowerDisk,
    id: usize,
}

impl PowerDisk {
    fn images(&self) -> MutexGuard<'_, Images> {
        self.0.lock().expect("no panic holds it")
    }

    /// Writes what is left of the store at `root` after the power failed to `target`.
    fn fail(&self, root: &Path, target: &Path, mut arrives: impl FnMut() -> bool) {
        let images = self.images();
        for (path, id) in &images.by_path {
            let path = target.join(path.strip_prefix(root).expect("in the store"));
            std::fs::create_dir_all(path.parent().expect("in the store")).expect("a directory");
            std::fs::write(path, images.images[*id].after(&mut arrives)).expect("written");
        }
        std::fs::copy(root.join("MILLRACE"), target.join("MILLRACE")).expect("copied");
    }
}

impl PowerDisk {
    /// The process alone dies: the system goes on with all that was written, though it is not certain yet.
    fn survive(&self, root: &Path, target: &Path) -> PowerDisk {
        self.fail(root, target, || true);
        let next = PowerDisk::default();
        let (old, mut new) = (self.images(), next.images());
        for (path, id) in &old.by_path {
            let Image { certain, written } = &old.images[*id];
            let path = target.join(path.strip_prefix(root).expect("in the store"));
            let id = new.add(&path, certain.clone());
            new.images[id].written.clone_from(written);
        }
        drop(new);
        next
    }
}

impl Disk for PowerDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut images = self.images();
        let file = OsDisk.open(path, access)?;
        let known = images.by_path.get(path).copied().filter(|_| access != Access::Create);
        let id = match known {
            Some(id) => id,
            None => images.add(path, std::fs::read(path)?),
        };
        Ok(Arc::new(PowerFile { file, disk: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut images = self.images();
        OsDisk.rename(from, to)?;
        images.move_all(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut images = self.images();
        OsDisk.remove(path)?;
        images.by_path.remove(path);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(directory)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut images = self.images();
        OsDisk.remove_tree(path)?;
        images.by_path.retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_directory(path)
    }
}

impl PowerFile {
    fn image<T>(&self, change: impl FnOnce(&mut Image) -> T) -> T {
        change(&mut self.disk.images().images[self.id])
    }
}

impl DiskFile for PowerFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.image(|image| {
            image.write(bytes, offset);
            self.file.write_at(bytes, offset)
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.image(|image| image.certain.resize(usize::try_from(bytes).expect("64 bits"), 0));
        self.file.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.image(|image| image.certain.resize(usize::try_from(bytes).expect("64 bits"), 0));
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.image(|image| {
            image.certain = image.after(|| true);
            image.written.clear();
        });
        self.file.sync()
    }

    fn share(&self) -> io::Result<()> {
        self.file.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        self.file.map(bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.file.map_private(bytes)
    }
}

#[derive(Clone, Debug)]
enum Move {
    Append(Vec<usize>),
    Flush,
    /// Long enough for the segment to be too old.
    Wait,
    CloseAndReopen,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let bytes = prop_oneof![0..100_usize, 0..9_000_usize];
    let step = prop_oneof![
        8 => proptest::collection::vec(bytes, 1..8).prop_map(Move::Append),
        4 => Just(Move::Flush),
        1 => Just(Move::Wait),
        1 => Just(Move::CloseAndReopen),
    ];
    proptest::collection::vec(step, 1..20)
}

fn open(path: &Path, clock: &Arc<ManualClock>, disk: &PowerDisk) -> Engine {
    let base = support::options(clock);
    let environment = Environment { disk: Arc::new(disk.clone()), ..base.environment };
    Engine::open(path, OpenOptions { environment, ..base }).expect("opens")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_flushed_survives_the_loss_of_power(
        lives in proptest::collection::vec((moves(), any::<u64>(), 0..7_u64), 1..5),
    ) {
        let clock = Arc::new(ManualClock::new(START_MS));
        let mut root = directory();
        let mut disk = PowerDisk::default();
        let mut durable: Vec<Vec<u8>> = Vec::new();
        let mut written: Vec<Vec<u8>> = Vec::new();
        let mut given = 0;
        let mut number = 0_u64;
        for (life, (moves, seed, odds)) in lives.into_iter().enumerate() {
            let path = root.path().canonicalize().expect("a directory");
            let mut engine = open(&path, &clock, &disk);
            let config = StreamConfig { shards: 3, durability: Durability::Os, ..StreamConfig::default() };
            let made = if life == 0 { engine.create_stream("power", config) } else { engine.stream("power") };
            let mut stream = made.expect("the stream");
            // What the last life left is there: all that was durable, and perhaps more, in order.
            let alarms: Vec<_> = engine.warnings().into_iter().filter(|warning| warning.contains("damaged")).collect();
            prop_assert_eq!(alarms, Vec::<String>::new(), "a loss of power damages nothing that was acknowledged");
            let there: Vec<_> = read_all(&stream).into_iter().map(|record| record.data).collect();
            let mut rest = there.iter();
            for data in &durable {
                prop_assert!(rest.any(|record| record == data), "a record that was flushed is gone");
            }
            let mut before = written.iter();
            prop_assert!(there.iter().all(|data| before.any(|written| written == data)), "a record nobody wrote");
            // What recovery serves it has made durable.
            durable.clone_from(&there);
            written = there;
            for step in moves {
                match &step {
                    Move::Append(sizes) => {
                        let data: Vec<Vec<u8>> = sizes
                            .iter()
                            .map(|bytes| {
                                number += 1;
                                number.to_le_bytes().into_iter().cycle().take(8 + bytes).collect()
                            })
                            .collect();
                        let records: Vec<_> = data.iter().map(|data| ("key", data.as_slice())).collect();
                        let placements = append(&stream, &records).expect("appended");
                        prop_assert!(placements[0].sequence > given, "{} after {}", placements[0].sequence, given);
                        given = placements.last().expect("at least one").sequence;
                        written.extend(data);
                    }
                    Move::Flush => stream.flush().expect("flushed"),
                    Move::Wait => clock.advance_ms(HOUR_MS + 1),
                    Move::CloseAndReopen => {
                        engine.close().expect("closed");
                        engine = open(&path, &clock, &disk);
                        stream = engine.stream("power").expect("the stream");
                    }
                }
                if matches!(step, Move::Flush | Move::CloseAndReopen) {
                    durable.clone_from(&written);
                }
            }
            let left = directory();
            let target = left.path().canonicalize().expect("a directory");
            let dead = std::mem::take(&mut disk);
            let mut state = seed | 1;
            if odds > 4 {
                disk = dead.survive(&path, &target);
            } else {
                dead.fail(&path, &target, || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state % 4 < odds
                });
            }
            engine.close().expect("closed");
            root = left;
        }
    }
}
