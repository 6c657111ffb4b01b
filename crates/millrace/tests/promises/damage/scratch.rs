//! A directory that holds a store again and again: what an open of it changed is put back, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap};
use tempfile::TempDir;

use crate::support::directory;

/// A file without the zeros at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub bytes: Vec<u8>,
    pub len: u64,
}

impl Image {
    /// The image of a file's content.
    pub fn of(mut bytes: Vec<u8>) -> Image {
        let len = u64::try_from(bytes.len()).expect("64 bits");
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Image { bytes, len }
    }

    /// The whole content.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(usize::try_from(self.len).expect("a file that fits memory"), 0);
        bytes
    }

    fn write(&self, path: &Path) {
        let file = File::create(path).expect("a file");
        file.write_all_at(&self.bytes, 0).expect("written");
        file.set_len(self.len).expect("sized");
    }
}

/// The files of a store by their path in it.
pub type Files = BTreeMap<String, Image>;

/// The files below a directory. Who holds the store is no part of it.
pub fn files_below(root: &Path) -> Files {
    let mut files = Files::new();
    gather(root, "", &mut files);
    files.remove("LOCK");
    files
}

fn gather(root: &Path, below: &str, files: &mut Files) {
    for entry in std::fs::read_dir(root.join(below)).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            gather(root, &format!("{name}/"), files);
        } else {
            files.insert(name, Image::of(std::fs::read(entry.path()).expect("a file")));
        }
    }
}

/// What was changed since the files were last put back.
#[derive(Debug, Default)]
struct Touched {
    files: BTreeSet<PathBuf>,
    // A directory was moved or removed: all is written anew.
    all: bool,
}

/// The operating system's files, with a list of those that were changed. Blocks are not allocated: in memory they
/// would only be cleared and given back.
#[derive(Debug)]
struct Noting {
    disk: OsDisk,
    touched: Mutex<Touched>,
}

impl Noting {
    fn touch(&self, path: &Path) {
        self.touched.lock().expect("no panic holds it").files.insert(path.to_path_buf());
    }

    fn touch_all(&self) {
        self.touched.lock().expect("no panic holds it").all = true;
    }
}

impl Disk for Noting {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        if access != Access::Read {
            self.touch(path);
        }
        Ok(Arc::new(Sparse(self.disk.open(path, access)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() {
            self.touch_all();
        }
        self.touch(from);
        self.touch(to);
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.touch(path);
        self.disk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            self.touch_all();
        }
        self.disk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.touch_all();
        self.disk.remove_tree(path)
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Sparse(Arc<dyn DiskFile>);

impl DiskFile for Sparse {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes.max(self.0.bytes()?))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn share(&self) -> io::Result<()> {
        self.0.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.0.claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        self.0.map(bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.0.map_private(bytes)
    }
}

/// A directory in memory with the files of one store.
pub struct Scratch<'a> {
    directory: TempDir,
    files: &'a Files,
    disk: Arc<Noting>,
}

impl<'a> Scratch<'a> {
    /// A directory of its own, with the files as they are.
    pub fn new(files: &'a Files) -> Scratch<'a> {
        let touched = Mutex::new(Touched { all: true, ..Touched::default() });
        let scratch = Scratch { directory: directory(), files, disk: Arc::new(Noting { disk: OsDisk, touched }) };
        scratch.restore();
        scratch
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The disk that an engine has to use here, so that what it changes is known.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk) as Arc<dyn Disk>
    }

    /// Changes the content of a file; `None` removes it.
    pub fn damage(&self, file: &str, image: Option<&Image>) {
        let path = self.path().join(file);
        self.disk.touch(&path);
        match image {
            Some(image) => image.write(&path),
            // It may have gone with an earlier damage.
            None => drop(std::fs::remove_file(&path)),
        }
    }

    /// Flips one bit of a file, or cuts it, where it stands.
    pub fn damage_in_place(&self, name: &str, damage: impl FnOnce(&File) -> io::Result<()>) {
        let path = self.path().join(name);
        self.disk.touch(&path);
        let file = File::options().write(true).read(true).open(&path).expect("a file of the store");
        damage(&file).expect("damaged");
    }

    /// Puts one file back as it was.
    pub fn restore_file(&self, name: &str) {
        self.files[name].write(&self.path().join(name));
    }

    /// Puts everything back as it was.
    pub fn restore(&self) {
        let touched = std::mem::take(&mut *self.disk.touched.lock().expect("no panic holds it"));
        if touched.all {
            self.write_all();
            return;
        }
        for path in touched.files {
            let name = path.strip_prefix(self.path()).expect("all paths lie in the store").to_string_lossy();
            match self.files.get(&*name) {
                Some(image) => image.write(&path),
                // Most of them have gone by themselves.
                None => drop(std::fs::remove_file(&path)),
            }
        }
    }

    fn write_all(&self) {
        for entry in std::fs::read_dir(self.path()).expect("a directory") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.expect("removed");
        }
        for (name, image) in self.files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().expect("in the store")).expect("a directory");
            image.write(&path);
        }
    }
}
