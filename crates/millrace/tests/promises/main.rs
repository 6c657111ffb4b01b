//! What the engine promises, a file a kind of promise, through its public interface alone.
//!
//! One program for all: they share `support`, and are linked once.

mod ahead;
mod channels;
mod consumers;
mod damage;
mod dice;
mod fixtures;
mod forged;
mod kill;
mod lifecycle;
mod limits;
mod metrics;
mod model;
mod on_demand;
mod queues;
mod races;
mod repair;
mod reshard;
mod retention;
mod state_log;
mod support;
mod wide;
mod witness;
