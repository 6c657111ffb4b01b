//! The key with which a store's tokens are made. It stands in a file of its own beside the streams, readable by its owner
//! alone, so that iterators outlive a restart and those of another store are of no use here.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use millrace_kinesis::TokenKey;

use crate::error::StartError;

/// The folder of a store that is the server's.
pub(crate) const FOLDER: &str = "server";
const FILE: &str = "token.key";
const KEY_BYTES: usize = 32;

/// The key of the store in a directory; made where there is none.
pub(crate) fn token_key(store: &Path) -> Result<TokenKey, StartError> {
    let folder = store.join(FOLDER);
    let path = folder.join(FILE);
    let failed = |error| StartError::Io(format!("cannot keep the key of tokens in {}", path.display()), error);
    match fs::read(&path) {
        Ok(bytes) => {
            let length = bytes.len();
            let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| {
                let path = path.display();
                StartError::Options(format!(
                    "expected a key of {KEY_BYTES} bytes in {path}, got {length}; remove the file, and iterators that were \
                     given out become invalid"
                ))
            })?;
            Ok(TokenKey::new(key))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut key = [0; KEY_BYTES];
            getrandom::fill(&mut key).map_err(|error| failed(std::io::Error::other(error.to_string())))?;
            fs::create_dir_all(&folder).map_err(failed)?;
            write_private(&path, &key).map_err(failed)?;
            Ok(TokenKey::new(key))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that its owner alone can read: whole and on disk, or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let in_the_making = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&in_the_making)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&in_the_making, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use millrace_kinesis::{IteratorPosition, ShardIterator};

    use super::*;

    fn iterator() -> ShardIterator {
        let position = IteratorPosition::TrimHorizon;
        ShardIterator { stream: "a".to_owned(), stream_id: 1, shard: 0, position, issued_ms: 0 }
    }

    #[test]
    fn an_iterator_outlives_a_restart_and_is_of_one_store_alone() {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let text = iterator().seal(&token_key(one.path()).expect("a key"));
        let again = token_key(one.path()).expect("the same key");
        assert_eq!(ShardIterator::open(&again, &text, 0), Ok(iterator()));
        assert!(ShardIterator::open(&token_key(other.path()).expect("another key"), &text, 0).is_err());
    }

    #[test]
    fn the_key_is_for_its_owner_alone_and_a_damaged_one_is_named() {
        let store = tempfile::tempdir().expect("a folder");
        token_key(store.path()).expect("a key");
        let path = store.path().join(FOLDER).join(FILE);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::write(&path, b"short").expect("written");
        let error = token_key(store.path()).expect_err("a damaged key").to_string();
        assert!(error.contains("expected a key of 32 bytes") && error.contains("got 5"), "{error}");
    }
}
