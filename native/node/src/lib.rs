//! The Node binding: converts, calls the engine, converts. Batches cross it, never single records.
//!
//! Invariants:
//! - no panic leaves it: each synchronous export carries `catch_unwind`, each task runs through [`task::Blocking`];
//! - each error that it throws is `CODE`, a NUL character and the text, which `src/errors.ts` takes apart;
//! - no method of a class takes `&mut self`: the binding remembers borrows by address, for all threads at once, and those
//!   of a thread that ended with a promise under way for ever, so that a later object at that address could not be
//!   borrowed exclusively;
//! - memory that JavaScript sees is either its own, or a map that lives until its finalizer ran.
//!
//! It knows nothing of promises in flight, codecs, or async iteration: that is TypeScript's part.

mod buffers;
mod channels;
mod consumers;
mod describe;
mod engine;
mod error;
mod handles;
mod metrics;
mod notifier;
mod queue;
mod read_ahead;
mod reader;
mod repair;
mod server;
mod settings;
mod shards;
mod stream;
mod task;
mod verify;
mod window;
