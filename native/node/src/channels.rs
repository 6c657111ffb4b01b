//! Channels of a stream, and where a store delivers them to: converts, calls the engine, converts.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace::{
    Bucket, ChannelConfig, ChannelOptions, ChannelReport, Compression, DeliveryFailure, Error, Kind, RecordFormat,
    Result, StorageClass,
};
use millrace_server::{Buckets, deliver_channels};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::engine::NativeEngine;
use crate::error::coded;
use crate::server::NativeBuckets;
use crate::settings::NativeTag;
use crate::stream::NativeStream;
use crate::task::{Blocking, promise};

const FORMATS: &[RecordFormat] = &[RecordFormat::Json, RecordFormat::Text, RecordFormat::Bytes];
const COMPRESSIONS: &[Compression] = &[Compression::None, Compression::Gzip];
const STORAGE_CLASSES: &[StorageClass] =
    &[StorageClass::Standard, StorageClass::IntelligentTiering, StorageClass::GlacierIr];

/// What a channel is created with. What is absent has the engine's default.
#[napi(object)]
pub struct NativeChannelConfig {
    pub freshness_seconds: u32,
    pub bucket: String,
    /// `json`, `text` or `bytes`.
    pub format: String,
    pub key_template: Option<String>,
    /// `none` or `gzip`.
    pub compression: String,
    /// Absent: the bucket.
    pub dead_letter_bucket: Option<String>,
    pub dead_letter_prefix: Option<String>,
    /// Of both buckets.
    pub bucket_owner: Option<String>,
    /// `standard`, `intelligent-tiering` or `glacier-ir`.
    pub storage_class: Option<String>,
    pub encryption_key: Option<String>,
}

/// Why a channel does not deliver at present.
#[napi(object)]
pub struct NativeDeliveryFailure {
    pub reason: String,
    pub attempts: u32,
    pub since_ms: f64,
}

/// What a channel has delivered since the store was opened.
#[napi(object)]
pub struct NativeDeliveries {
    pub objects: f64,
    pub bytes: f64,
    pub records: f64,
    pub dead_letters: f64,
}

/// A channel in a list.
#[napi(object)]
pub struct NativeChannel {
    pub name: String,
    pub created_at_ms: f64,
    pub freshness_seconds: u32,
    pub bucket: String,
    #[napi(ts_type = "'json' | 'text' | 'bytes'")]
    pub format: String,
    pub key_template: String,
    #[napi(ts_type = "'none' | 'gzip'")]
    pub compression: String,
    pub dead_letter_bucket: String,
    pub dead_letter_prefix: String,
    pub bucket_owner: Option<String>,
    #[napi(ts_type = "'standard' | 'intelligent-tiering' | 'glacier-ir'")]
    pub storage_class: Option<String>,
    pub encryption_key: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Whether the store was told where to deliver to.
    pub delivers: bool,
    pub failure: Option<NativeDeliveryFailure>,
    pub delivered: NativeDeliveries,
}

#[napi]
impl NativeStream {
    /// Creates a channel, durably.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn create_channel(
        &self,
        name: String,
        config: NativeChannelConfig,
        tags: Vec<NativeTag>,
    ) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || {
            let options = ChannelOptions { config: config.into_engine()?, notes: BTreeMap::new(), tags: tags_of(tags) };
            stream.create_channel(&name, options)
        })
    }

    /// All channels, in the order of their creation.
    #[napi(catch_unwind)]
    pub fn list_channels(&self) -> napi::Result<Vec<NativeChannel>> {
        let channels = self.stream().channels().map_err(|error| coded(&error))?;
        Ok(channels.into_iter().map(describe).collect())
    }

    /// Changes how old a record grows before it is delivered, in seconds.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn update_channel(&self, name: String, freshness_seconds: u32) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || {
            // The notes are what a client over the wire wants to be told again. A channel that is not there has none.
            let known = stream.channels()?.into_iter().map(|report| report.channel);
            let notes = known.filter(|channel| channel.name == name).map(|channel| channel.notes).next();
            stream.update_channel(&name, freshness_seconds, notes.unwrap_or_default())
        })
    }

    /// Replaces the tags of a channel.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn tag_channel(&self, name: String, tags: Vec<NativeTag>) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.tag_channel(&name, tags_of(tags)))
    }

    /// Deletes a channel.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn delete_channel(&self, name: String) -> AsyncTask<Blocking<()>> {
        let stream = self.stream().clone();
        promise(move || stream.delete_channel(&name))
    }
}

#[napi]
impl NativeEngine {
    /// Delivers the channels of the store to these buckets until it is closed; without any, where it does already, or else
    /// to a folder of the store.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn deliver_channels(&self, buckets: Option<NativeBuckets>) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || {
            let buckets = buckets.map_or(Ok(Buckets::default()), NativeBuckets::into_server)?;
            Ok(deliver_channels(&engine, buckets)?)
        })
    }
}

impl NativeChannelConfig {
    fn into_engine(self) -> Result<ChannelConfig> {
        let owner = self.bucket_owner;
        let dead_letters = self.dead_letter_bucket.unwrap_or_else(|| self.bucket.clone());
        Ok(ChannelConfig {
            freshness_s: self.freshness_seconds,
            bucket: Bucket { name: self.bucket, owner: owner.clone() },
            key_template: self.key_template,
            format: meant(FORMATS, format_word, &self.format, "format")?,
            compression: meant(COMPRESSIONS, compression_word, &self.compression, "compression")?,
            storage_class: self
                .storage_class
                .map(|it| meant(STORAGE_CLASSES, storage_word, &it, "storageClass"))
                .transpose()?,
            encryption_key: self.encryption_key,
            dead_letters: Bucket { name: dead_letters, owner },
            dead_letter_prefix: self.dead_letter_prefix,
        })
    }
}

/// What a word of JavaScript means.
fn meant<T: Copy>(all: &[T], word_of: fn(T) -> &'static str, word: &str, what: &str) -> Result<T> {
    all.iter().copied().find(|one| word_of(*one) == word).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|one| word_of(*one)).collect();
        Error::new(Kind::InvalidArgument, format!("{what}: expected {}, got {word:?}", known.join(", ")))
    })
}

fn format_word(format: RecordFormat) -> &'static str {
    match format {
        RecordFormat::Json => "json",
        RecordFormat::Text => "text",
        RecordFormat::Bytes => "bytes",
    }
}

fn compression_word(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
    }
}

fn storage_word(class: StorageClass) -> &'static str {
    match class {
        StorageClass::Standard => "standard",
        StorageClass::IntelligentTiering => "intelligent-tiering",
        StorageClass::GlacierIr => "glacier-ir",
    }
}

fn tags_of(tags: Vec<NativeTag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn describe(report: ChannelReport) -> NativeChannel {
    let ChannelReport { channel, delivers, failure, deliveries, .. } = report;
    let config = channel.config;
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    NativeChannel {
        name: channel.name,
        created_at_ms: channel.created_ms as f64,
        freshness_seconds: config.freshness_s,
        bucket: config.bucket.name,
        format: format_word(config.format).to_owned(),
        key_template: or(config.key_template, ChannelConfig::KEY_TEMPLATE),
        compression: compression_word(config.compression).to_owned(),
        dead_letter_bucket: config.dead_letters.name,
        dead_letter_prefix: or(config.dead_letter_prefix, ChannelConfig::DEAD_LETTER_PREFIX),
        bucket_owner: config.bucket.owner,
        storage_class: config.storage_class.map(|class| storage_word(class).to_owned()),
        encryption_key: config.encryption_key,
        tags: channel.tags,
        delivers,
        failure: failure.map(|DeliveryFailure { message, attempts, since_ms, .. }| NativeDeliveryFailure {
            reason: message,
            attempts,
            since_ms: since_ms as f64,
        }),
        delivered: NativeDeliveries {
            objects: deliveries.objects as f64,
            bytes: deliveries.bytes as f64,
            records: deliveries.records as f64,
            dead_letters: deliveries.dead_letters as f64,
        },
    }
}
