//! Breaks the disk, the power and the clock under a real engine, by seed, and holds it to what it has promised.
//!
//! * [`disk`] is a disk in memory that knows what would survive a loss of power: what was synced for certain, and of
//!   all later writes any choice. It can also fail where it is told to.
//! * [`ledger`] is the naive model: what the engine has said to the outside, and what follows from that; `shards` is its
//!   part about splits and merges, `queues` that about queues, `channels` that about channels and their objects, `state`
//!   that about the log of an application's state.
//! * [`history`] plays a random history against both, of things that `player` does; everything in it is decided by one
//!   seed, since one thread plays all parts ([`millrace::Services::Caller`]), so a failure is replayed by its seed alone.
//! * [`crash`] stops histories at random operations, builds what the disk may hold then, and opens it with the real
//!   code; [`faults`] lets each operation of a history fail in turn.
//!
//! Architecture Invariant: this crate sees the engine through its public interface alone.

mod channels;
pub mod crash;
pub mod disk;
pub mod faults;
pub mod history;
pub mod ledger;
mod player;
mod queues;
pub mod room;
mod shards;
mod state;
