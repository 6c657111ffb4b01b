//! The registered consumers of a stream, and the subscriptions that they read through.

use std::collections::BTreeMap;

use millrace::{Consumer, Delivery, Event, Reader, Result, Step, SubscribeOptions, Subscription, Visibility};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::error::coded;
use crate::notifier::NativeNotifier;
use crate::reader::NativeReader;
use crate::stream::{NativeReadRequest, NativeStream};
use crate::task::{Blocking, promise};

/// A registered consumer.
#[napi(object)]
pub struct NativeConsumer {
    pub name: String,
    pub created_at_ms: f64,
    pub tags: BTreeMap<String, String>,
}

fn describe(consumer: Consumer) -> NativeConsumer {
    NativeConsumer { name: consumer.name, created_at_ms: consumer.created_ms as f64, tags: consumer.tags }
}

#[napi]
impl NativeStream {
    /// Registers a consumer, durably.
    #[napi(ts_return_type = "Promise<NativeConsumer>", catch_unwind)]
    pub fn register_consumer(
        &self,
        name: String,
        tags: BTreeMap<String, String>,
    ) -> AsyncTask<Blocking<NativeConsumer>> {
        let stream = self.stream().clone();
        promise(move || stream.register_consumer(&name, tags).map(describe))
    }

    /// The registered consumer of this name.
    #[napi(catch_unwind)]
    pub fn consumer(&self, name: String) -> napi::Result<NativeConsumer> {
        self.stream().consumer(&name).map(describe).map_err(|error| coded(&error))
    }

    /// All registered consumers, in the order of their registration.
    #[napi(catch_unwind)]
    pub fn list_consumers(&self) -> napi::Result<Vec<NativeConsumer>> {
        let consumers = self.stream().consumers().map_err(|error| coded(&error))?;
        Ok(consumers.into_iter().map(describe).collect())
    }

    /// Replaces the tags of a consumer.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn tag_consumer(&self, name: String, tags: BTreeMap<String, String>) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.tag_consumer(&name, tags))
    }

    /// Ends the registration of a consumer and its subscriptions.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn deregister_consumer(&self, name: String) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.deregister_consumer(&name))
    }

    /// A subscription of a registered consumer, as a reader.
    #[napi(catch_unwind)]
    pub fn open_subscription(
        &self,
        consumer: String,
        request: NativeReadRequest,
        notifier: &NativeNotifier,
        wake_id: u32,
    ) -> napi::Result<NativeReader> {
        self.open(request, notifier, wake_id, |stream, ReadPlan { shard, from, visibility }| {
            let options = SubscribeOptions { shard, from, visibility, takes_over_after_ms: 0 };
            Ok(Source::Subscription(Box::new(stream.subscribe(&consumer, options)?)))
        })
    }
}

/// What a request to read comes to.
#[derive(Clone, Copy)]
pub struct ReadPlan {
    pub shard: Option<u32>,
    pub from: millrace::StartAt,
    pub visibility: Visibility,
}

/// Where a reader of JavaScript gets its records from.
pub enum Source {
    Reader(Box<Reader>),
    /// Each call of `next` counts against the shard's read limits.
    Limited(Box<Reader>),
    Subscription(Box<Subscription>),
}

impl Source {
    pub fn next(&mut self, records_max: usize, bytes_max: usize) -> Result<Step> {
        match self {
            Source::Reader(reader) => reader.next(records_max, bytes_max),
            Source::Limited(reader) => reader.next_admitted(records_max, bytes_max),
            Source::Subscription(subscription) => match subscription.next(records_max, bytes_max)? {
                Delivery::Event(Event { records: Some(chunk), .. }) => Ok(Step::Chunk(chunk)),
                Delivery::Event(Event { children: Some(children), .. }) => Ok(Step::EndOfShard(children)),
                // That an event without records is due is a timer of JavaScript's.
                Delivery::Event(_) | Delivery::Wait(_) => Ok(Step::AtTail),
            },
        }
    }

    pub fn skip_damage(&mut self) -> Result<()> {
        match self {
            Source::Reader(reader) | Source::Limited(reader) => reader.skip_damage(),
            Source::Subscription(subscription) => subscription.skip_damage(),
        }
    }

    /// After how many milliseconds to look again though nothing changed.
    pub fn wait_ms(&mut self) -> f64 {
        match self {
            Source::Reader(_) | Source::Limited(_) => f64::INFINITY,
            Source::Subscription(subscription) => subscription.idle().as_secs_f64() * 1_000.0,
        }
    }

    /// The reader below.
    pub fn reader(&self) -> &Reader {
        match self {
            Source::Reader(reader) | Source::Limited(reader) => reader,
            Source::Subscription(subscription) => subscription.reader(),
        }
    }
}
