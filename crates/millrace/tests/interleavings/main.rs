//! The engine's promises between threads: the whole engine, with real files and maps, runs in thousands of schedules
//! that are chosen by a seed. Built and run by `npm run models`; without `--cfg shuttle` there is nothing here.
//!
//! Each model says at its head which protocol it is about and what must hold in every schedule. A schedule in which
//! nobody can go on fails as a deadlock, so each model also shows that no wake-up is lost.
#![cfg(shuttle)]

mod appends;
mod disk;
mod explore;
mod reshard;
mod segments;
mod streams;
mod world;
