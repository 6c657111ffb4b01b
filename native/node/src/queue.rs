//! Queues of a stream: converts, calls the engine, converts. Records are copied out, at most ten a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace::{
    Commit, DeadLetters, Error, Kind, Lane, Message, Queue, QueueConfig, QueueEntry, QueueOptions, QueueStart, Receive,
    Result, Settled, Stream, Visibility,
};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;

use crate::describe::whole;
use crate::error::{coded, coded_text};
use crate::notifier::{Bell, NativeNotifier};
use crate::stream::NativeStream;
use crate::task::{Blocking, promise};

/// What of a queue can be changed.
#[napi(object)]
pub struct NativeQueueConfig {
    pub visibility_timeout_s: u32,
    /// Absent: there are no dead letters.
    pub max_receive_count: Option<u32>,
}

/// A queue to be created.
#[napi(object)]
pub struct NativeQueueOptions {
    /// `horizon`, `latest` or `timestamp`.
    pub kind: String,
    /// For `timestamp`: milliseconds since 1970.
    pub timestamp: Option<f64>,
    pub config: NativeQueueConfig,
    pub tags: BTreeMap<String, String>,
}

/// A line of the list of queues.
#[napi(object)]
pub struct NativeQueueSummary {
    pub name: String,
    pub created_at_ms: f64,
    pub config: NativeQueueConfig,
    pub tags: BTreeMap<String, String>,
}

/// What to receive.
#[napi(object)]
pub struct NativeReceive {
    pub dead_letters: bool,
    pub max: u32,
    pub visibility_timeout_s: Option<u32>,
}

/// A record that was received.
#[napi(object)]
pub struct NativeMessage {
    pub receipt: String,
    pub record_id: String,
    pub shard: u32,
    pub partition_key: String,
    pub data: Buffer,
    pub arrived_ms: f64,
    pub first_received_ms: f64,
    pub receive_count: u32,
}

/// What was received, and when to look again where there was nothing.
#[napi(object)]
pub struct NativeReceived {
    pub messages: Vec<NativeMessage>,
    pub look_again_ms: Option<f64>,
}

/// How many records a queue has.
#[napi(object)]
pub struct NativeQueueMetrics {
    pub visible: f64,
    pub in_flight: f64,
    pub dead_visible: f64,
    pub dead_in_flight: f64,
}

/// A queue that was opened.
#[napi]
pub struct NativeQueue {
    queue: Queue,
    stream: Stream,
    bell: Arc<Bell>,
}

#[napi]
impl NativeQueue {
    /// Receives what is visible now. Where nothing is, and with `arm`, the stream's wake-up fires when that may change.
    #[napi(catch_unwind)]
    pub fn receive(&self, request: NativeReceive, arm: bool) -> napi::Result<NativeReceived> {
        let lane = if request.dead_letters { Lane::DeadLetters } else { Lane::Records };
        let records_max = request.max as usize;
        let request = Receive { lane, records_max, visibility_timeout_s: request.visibility_timeout_s };
        self.receive_or_arm(request, arm).map_err(|error| coded(&error))
    }

    /// Acknowledges receipts as durably as the stream promises; for each an error's text, or nothing.
    #[napi(ts_return_type = "Promise<Array<string | undefined | null>>", catch_unwind)]
    pub fn acknowledge(&self, receipts: Vec<String>) -> AsyncTask<Blocking<Vec<Option<String>>>> {
        let queue = self.queue.clone();
        promise(move || durably(&queue, queue.acknowledge(&receipts, Commit::Caller)?))
    }

    /// Restores dead letters as durably as the stream promises; for each an error's text, or nothing.
    #[napi(ts_return_type = "Promise<Array<string | undefined | null>>", catch_unwind)]
    pub fn restore(&self, receipts: Vec<String>) -> AsyncTask<Blocking<Vec<Option<String>>>> {
        let queue = self.queue.clone();
        promise(move || durably(&queue, queue.restore(&receipts, Commit::Caller)?))
    }

    /// Hides the records of receipts for so many seconds each; for each an error's text, or nothing.
    #[napi(catch_unwind)]
    pub fn hide(&self, receipts: Vec<String>, seconds: Vec<u32>) -> napi::Result<Vec<Option<String>>> {
        let settled = self.queue.hide(&receipts, &seconds).map_err(|error| coded(&error))?;
        Ok(texts(settled))
    }

    /// How many records it has.
    #[napi(ts_return_type = "Promise<NativeQueueMetrics>", catch_unwind)]
    pub fn metrics(&self) -> AsyncTask<Blocking<NativeQueueMetrics>> {
        let queue = self.queue.clone();
        promise(move || {
            let metrics = queue.metrics()?;
            Ok(NativeQueueMetrics {
                visible: metrics.visible as f64,
                in_flight: metrics.in_flight as f64,
                dead_visible: metrics.dead_visible as f64,
                dead_in_flight: metrics.dead_in_flight as f64,
            })
        })
    }
}

impl NativeQueue {
    fn receive_or_arm(&self, request: Receive, arm: bool) -> Result<NativeReceived> {
        let mut received = self.queue.receive(request)?;
        if received.messages.is_empty() && arm {
            // Armed first and looked at second, so that no change falls in between.
            self.bell.arm(&self.stream, self.stream.change_of(Visibility::Durable));
            received = self.queue.receive(request)?;
        }
        let messages = received.messages.iter().map(|message| self.describe(message));
        Ok(NativeReceived {
            messages: messages.collect::<Result<_>>()?,
            look_again_ms: received.look_again.map(|wait| wait.as_secs_f64() * 1_000.0),
        })
    }

    fn describe(&self, message: &Message) -> Result<NativeMessage> {
        Ok(NativeMessage {
            receipt: message.receipt.clone(),
            record_id: self.stream.sequence_number(message.shard(), message.sequence()),
            shard: message.shard(),
            partition_key: String::from_utf8_lossy(message.key()?).into_owned(),
            data: message.data()?.to_vec().into(),
            arrived_ms: message.arrival_ms() as f64,
            first_received_ms: message.first_received_ms as f64,
            receive_count: message.receive_count,
        })
    }
}

fn durably(queue: &Queue, settled: Settled) -> Result<Vec<Option<String>>> {
    queue.wait_acknowledged(settled.end)?;
    Ok(texts(settled))
}

fn texts(settled: Settled) -> Vec<Option<String>> {
    settled.results.into_iter().map(|result| result.err().map(|error| coded_text(&error))).collect()
}

#[napi]
impl NativeStream {
    /// Creates a queue, durably.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn create_queue(&self, name: String, options: NativeQueueOptions) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.create_queue(&name, options.into_engine()?).map(drop))
    }

    /// Opens a queue; its log may have to be recovered. Waiting receivers share the wake-up of the stream's readers,
    /// whose id is the `wake_id` of the first.
    #[napi(ts_return_type = "Promise<NativeQueue>", catch_unwind)]
    pub fn open_queue(
        &self,
        name: String,
        notifier: &NativeNotifier,
        wake_id: u32,
    ) -> AsyncTask<Blocking<NativeQueue>> {
        let stream = self.stream().clone();
        let bell = self.bell(Visibility::Durable, notifier, wake_id);
        promise(move || Ok(NativeQueue { queue: stream.queue(&name)?, stream, bell }))
    }

    /// All queues, in the order of their creation.
    #[napi(catch_unwind)]
    pub fn list_queues(&self) -> napi::Result<Vec<NativeQueueSummary>> {
        let queues = self.stream().queues().map_err(|error| coded(&error))?;
        Ok(queues.into_iter().map(summarize).collect())
    }

    /// Changes what of a queue can be changed.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn update_queue(&self, name: String, config: NativeQueueConfig) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.update_queue(&name, config.into_engine()))
    }

    /// Deletes a queue.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn delete_queue(&self, name: String) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.delete_queue(&name))
    }
}

impl NativeQueueConfig {
    fn into_engine(self) -> QueueConfig {
        let built_in = |max_receive_count| DeadLetters::BuiltIn { max_receive_count };
        let dead_letters = self.max_receive_count.map_or(DeadLetters::None, built_in);
        QueueConfig { visibility_timeout_s: self.visibility_timeout_s, dead_letters }
    }
}

impl NativeQueueOptions {
    fn into_engine(self) -> Result<QueueOptions> {
        let start = match self.kind.as_str() {
            "horizon" => QueueStart::TrimHorizon,
            "latest" => QueueStart::Latest,
            "timestamp" => QueueStart::AtTimestamp(whole(self.timestamp.unwrap_or(f64::NAN))?),
            other => {
                let message = format!("expected a queue to begin at the horizon, the latest or a time, got {other}");
                return Err(Error::new(Kind::InvalidArgument, message));
            }
        };
        Ok(QueueOptions { start, config: self.config.into_engine(), tags: self.tags })
    }
}

fn summarize(entry: QueueEntry) -> NativeQueueSummary {
    let config = NativeQueueConfig {
        visibility_timeout_s: entry.config.visibility_timeout_s,
        max_receive_count: entry.config.dead_letters.max_receive_count(),
    };
    NativeQueueSummary { name: entry.name, created_at_ms: entry.created_ms as f64, config, tags: entry.tags }
}
