//! From one native thread to another: how long it takes until a thread that waits has seen what another one said. No
//! JavaScript runs here; what a wake-up of an event loop adds is measured by `wake`.

use std::hint::spin_loop;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

use crate::clock::{Pace, monotonic_ns, pause};

/// How the waiting thread learns of it.
#[napi(string_enum = "lowercase")]
#[derive(Clone, Copy)]
pub enum Signal {
    /// It blocks in a read of an eventfd, as an event loop does.
    Eventfd,
    /// It is parked, which is a futex.
    Futex,
    /// It looks at the word all the time.
    Spinning,
}

/// What both threads share: how many have been said and seen, and when the last one was said.
struct Slot {
    said: AtomicU32,
    seen: AtomicU32,
    stamp: AtomicU64,
    event: OwnedFd,
}

/// Hands a time over `count` times, `interval_us` microseconds apart as `pace` says; returns the nanoseconds of each.
#[napi]
pub fn hand_overs(signal: Signal, pace: Pace, interval_us: u32, count: u32) -> napi::Result<Float64Array> {
    let event = eventfd(0, EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
    let slot = Arc::new(Slot { said: 0.into(), seen: 0.into(), stamp: 0.into(), event });
    let waiting = wait_in_thread(Arc::clone(&slot), signal, count);
    for number in 1..=count {
        pause(pace, interval_us);
        slot.stamp.store(monotonic_ns().to_bits(), Ordering::Relaxed);
        slot.said.store(number, Ordering::Release);
        match signal {
            Signal::Eventfd => drop(write(&slot.event, &1_u64.to_ne_bytes()).map_err(std::io::Error::from)?),
            Signal::Futex => waiting.thread().unpark(),
            Signal::Spinning => {}
        }
        while slot.seen.load(Ordering::Acquire) < number {
            spin_loop();
        }
    }
    let took = waiting.join().map_err(|_| napi::Error::from_reason("the waiting thread panicked"))?;
    Ok(Float64Array::new(took))
}

fn wait_in_thread(slot: Arc<Slot>, signal: Signal, count: u32) -> JoinHandle<Vec<f64>> {
    thread::spawn(move || {
        (1..=count)
            .map(|number| {
                while slot.said.load(Ordering::Acquire) < number {
                    wait_once(&slot, signal);
                }
                let took = monotonic_ns() - f64::from_bits(slot.stamp.load(Ordering::Relaxed));
                slot.seen.store(number, Ordering::Release);
                took
            })
            .collect()
    })
}

fn wait_once(slot: &Slot, signal: Signal) {
    match signal {
        // An error only makes the loop look again.
        Signal::Eventfd => drop(read(slot.event.as_fd(), &mut [0; 8])),
        Signal::Futex => thread::park(),
        Signal::Spinning => spin_loop(),
    }
}
