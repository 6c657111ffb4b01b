//! Where objects go: the one thing that a new kind of destination has to be.

use std::fmt::Debug;

use crate::control::StorageClass;
use crate::error::Result;

/// An object on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// The account that the bucket is expected to belong to.
    pub bucket_owner: Option<&'a str>,
    /// The key: components with a `/` between them, none of them empty, `.` or `..`.
    pub key: &'a str,
    /// What it holds.
    pub body: &'a [u8],
    /// What that is, as a media type.
    pub content_type: &'static str,
    /// The key that the bucket is to encrypt it with.
    pub encryption_key: Option<&'a str>,
    /// What it is to be stored as.
    pub storage_class: Option<StorageClass>,
}

/// A place with buckets that keep objects by key. It is called from one thread, which has nothing else to do meanwhile;
/// a call has to end within a minute.
pub trait Destination: Send + Sync + Debug {
    /// Stores an object, over one of the same key, and returns once it is safe there.
    ///
    /// # Errors
    /// Any: the courier tries again later, and tells the message to whoever describes the channel.
    fn put(&self, object: &Object<'_>) -> Result<()>;
}
