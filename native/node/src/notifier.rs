//! Wake-ups: from whatever thread of the engine into the one function of a JavaScript environment.
//!
//! A wake-up is armed by the JavaScript thread, fires once with its id, and must be armed again. So at most one call
//! an id is under way, an append where nobody waits costs one atomic swap, and nothing piles up in front of a busy
//! event loop. The channel is weak: it never keeps the process alive. When the environment ends, Node-API finalizes
//! the channel before its memory goes, and a later wake-up does nothing.
//!
//! A call of the environment's own thread may wake that very thread: what it published is what its readers wait for.
//! Such a wake-up needs no channel: the call returns its id, and JavaScript calls the listener as soon as it has done
//! what it is at, without a turn through the kernel.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use millrace::{Change, Registration, Stream, Trigger, Wake};
use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::error::coded;

type Channel = ThreadsafeFunction<u32, (), u32, Status, false, true>;

/// What a call returns that has kept no wake-up; ids begin at 1.
const NOTHING_KEPT: u32 = 0;

thread_local! {
    // The channel of the environment that is inside of a call which keeps its wake-up. It is compared and never
    // looked into.
    static CALLER: Cell<*const Channel> = const { Cell::new(std::ptr::null()) };
    // The id that the call has kept.
    static KEPT: Cell<u32> = const { Cell::new(NOTHING_KEPT) };
}

/// The one channel of an environment.
#[napi]
pub struct NativeNotifier {
    channel: Arc<Channel>,
}

#[napi]
impl NativeNotifier {
    /// Makes the channel; `on_event` is called with the id of what was armed and has changed, and must not throw.
    #[napi(constructor, catch_unwind)]
    pub fn new(on_event: Function<'_, u32, ()>) -> napi::Result<Self> {
        let channel = on_event.build_threadsafe_function::<u32>().weak::<true>().build()?;
        Ok(NativeNotifier { channel: Arc::new(channel) })
    }

    /// A wake-up that fires with `id`.
    pub(crate) fn alarm(&self, id: u32) -> Arc<Alarm> {
        Arc::new(Alarm { channel: Arc::clone(&self.channel), id, trigger: Trigger::default() })
    }
}

/// One thing that JavaScript can wait for.
pub struct Alarm {
    channel: Arc<Channel>,
    id: u32,
    trigger: Trigger,
}

impl Alarm {
    fn send(&self, id: u32) {
        // A refusal means that the environment is ending: nobody is left to be told.
        let _status = self.channel.call(id, ThreadsafeFunctionCallMode::NonBlocking);
    }

    /// Runs a call of the environment's own thread that keeps one wake-up of this environment, and returns its id: the
    /// caller must call the listener soon. Zero where there is none. That of a call that fails is sent.
    pub fn keeping(&self, call: impl FnOnce() -> millrace::Result<()>) -> napi::Result<u32> {
        let outcome = {
            let _entered = Entered::new(&self.channel);
            call()
        };
        let kept = KEPT.replace(NOTHING_KEPT);
        if outcome.is_err() && kept != NOTHING_KEPT {
            self.send(kept);
        }
        outcome.map(|()| kept).map_err(|error| coded(&error))
    }
}

impl Wake for Alarm {
    fn wake(&self) {
        if !self.trigger.fires() {
            return;
        }
        if CALLER.get() == Arc::as_ptr(&self.channel) && KEPT.get() == NOTHING_KEPT {
            KEPT.set(self.id);
        } else {
            self.send(self.id);
        }
    }
}

/// While it lives, this thread keeps a wake-up of one environment.
struct Entered;

impl Entered {
    fn new(channel: &Arc<Channel>) -> Entered {
        CALLER.set(Arc::as_ptr(channel));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CALLER.set(std::ptr::null());
    }
}

/// A wake-up that any number of waiters of one environment share: a change wakes their thread once, whoever waits.
pub struct Bell {
    alarm: Arc<Alarm>,
    // Made when somebody first waits: an append pays for waiters only.
    registration: OnceLock<Registration>,
}

impl Bell {
    pub fn new(alarm: Arc<Alarm>) -> Bell {
        Bell { alarm, registration: OnceLock::new() }
    }

    /// Lets the next change fire. Look at the state afterwards: what changed before does not fire.
    pub fn arm(&self, stream: &Stream, change: Change) {
        self.registration.get_or_init(|| stream.on_change(change, Arc::clone(&self.alarm) as _));
        self.alarm.trigger.arm();
    }

    /// The alarm, for calls that keep wake-ups.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}
