//! Channels: the records of a stream, copied to a bucket as objects.
//!
//! The log is the buffer. Nothing is gathered while records wait: the courier looks at how old and how many they are, and
//! when an object is due it reads them, writes the object, and only then notes in the control log how far the channel has
//! come. The key of an object follows from the first sequence that it was to hold, so an object that is delivered again
//! after a crash takes the place of the first, and no record stands in two.
//!
//! It knows neither HTTP nor directories: where objects go is a [`Destination`].

pub(crate) mod batch;
pub(crate) mod courier;
pub mod destination;
pub(crate) mod directory;
pub(crate) mod template;

pub use destination::{Destination, Object};
pub use directory::DirectoryDestination;
