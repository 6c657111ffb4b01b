//! Buckets as directories: an object is a file, there whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::destination::{Destination, Object};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};

/// A directory whose folders are buckets.
///
/// An object is written under a temporary name, synced, given its name, and the directories above are synced.
#[derive(Clone, Debug)]
pub struct DirectoryDestination {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl DirectoryDestination {
    /// Buckets in this directory, which is made when the first object comes.
    #[must_use]
    pub fn new(root: PathBuf, disk: Arc<dyn Disk>) -> DirectoryDestination {
        DirectoryDestination { root, disk }
    }

    /// Makes a directory below the root, durably.
    fn make(&self, directory: &Path) -> std::io::Result<()> {
        self.disk.make_directory(directory)?;
        let above = directory.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(&self.root));
        above.chain(self.root.parent()).try_for_each(|directory| self.disk.sync_directory(directory))
    }

    fn write(&self, path: &Path, body: &[u8]) -> std::io::Result<()> {
        let directory = path.parent().expect("an object stands in its bucket");
        self.make(directory)?;
        let mut partial = path.file_name().expect("a key has a last component").to_owned();
        partial.push(".partial");
        let partial = directory.join(partial);
        let file = self.disk.open(&partial, Access::Create)?;
        file.write_at(body, 0)?;
        file.sync()?;
        self.disk.rename(&partial, path)?;
        self.disk.sync_directory(directory)
    }
}

impl Destination for DirectoryDestination {
    fn put(&self, object: &Object<'_>) -> Result<()> {
        let path = object.key.split('/').fold(self.root.join(object.bucket), |path, component| path.join(component));
        self.write(&path, object.body)
            .map_err(|error| Error::io(format_args!("could not write the object {}", path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn an_object_takes_the_place_of_one_with_its_key_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().join("channels");
        let destination = DirectoryDestination::new(root.clone(), Arc::new(OsDisk));
        let object = |body| Object {
            bucket: "archive",
            bucket_owner: None,
            key: "clicks/2026/one.gz",
            body,
            content_type: "application/gzip",
            encryption_key: None,
            storage_class: None,
        };
        destination.put(&object(b"a first, longer body")).expect("written");
        destination.put(&object(b"another")).expect("written");
        let folder = root.join("archive/clicks/2026");
        assert_eq!(std::fs::read(folder.join("one.gz")).expect("the object"), b"another");
        assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), 1);
    }
}
