//! Wake-ups: from whatever thread of the engine into the one function of a JavaScript environment.
//!
//! A wake-up is armed by the JavaScript thread, fires once with its id, and must be armed again. So at most one call
//! an id is under way, an append where nobody waits costs one atomic swap, and nothing piles up in front of a busy
//! event loop. The channel is weak: it never keeps the process alive. When the environment ends, Node-API finalizes
//! the channel before its memory goes, and a later wake-up does nothing.

use std::sync::Arc;

use millrace::{Trigger, Wake};
use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

type Channel = ThreadsafeFunction<u32, (), u32, Status, false, true>;

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
    /// Lets the next change fire. Look at the state afterwards: what changed before does not fire.
    pub fn arm(&self) {
        self.trigger.arm();
    }
}

impl Wake for Alarm {
    fn wake(&self) {
        if self.trigger.fires() {
            // A refusal means that the environment is ending: nobody is left to be told.
            let _status = self.channel.call(self.id, ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}
