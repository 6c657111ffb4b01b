//! The story that every client of the tests does, by the AWS SDK for Rust: see `../python/story.py`.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::SharedHttpClient;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, ScalingType, ShardIteratorType, StartingPosition, StreamDescriptionSummary,
    StreamStatus, SubscribeToShardEventStream,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use serde_json::json;

const STREAM: &str = "clicks";
const BULK: usize = 500;
const STORY: Duration = Duration::from_secs(60);
/// The release of `aws-sdk-kinesis`, which the SDK keeps to itself.
const VERSION: &str = "1.130.0";

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A client, and what it has done so far.
struct Story {
    kinesis: Client,
    operations: BTreeSet<&'static str>,
    errors: BTreeSet<&'static str>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    tokio::time::timeout(STORY, run()).await?
}

async fn run() -> Fallible<()> {
    // Where the server is and its keys stand in the environment.
    let retries = aws_config::retry::RetryConfig::disabled();
    let defaults = aws_config::defaults(aws_config::BehaviorVersion::latest());
    let config = defaults.http_client(http_client()?).retry_config(retries).load().await;
    let kinesis = Client::new(&config);
    let mut story = Story { kinesis, operations: BTreeSet::new(), errors: BTreeSet::new() };
    let (data, arn) = story.puts().await?;
    let counts = story.reads(&data).await?;
    story.tags(&arn).await?;
    story.subscribes(&arn, counts[0]).await?;
    story.reshards().await?;
    story.administers().await?;
    story.is_refused().await?;
    let deleted = story.kinesis.delete_stream().stream_name(STREAM).send().await;
    story.answered("DeleteStream", deleted)?;
    let left = story.kinesis.list_streams().send().await?;
    expect("streams that are left", left.stream_names(), &[])?;
    let Story { operations, errors, .. } = story;
    println!("{}", json!({"version": VERSION, "operations": operations, "errors": errors, "cannot": {}}));
    Ok(())
}

/// One that trusts the authority of `AWS_CA_BUNDLE`, which other SDKs look at by themselves.
fn http_client() -> Fallible<SharedHttpClient> {
    let builder = aws_smithy_http_client::Builder::new();
    let Some(authority) = std::env::var_os("AWS_CA_BUNDLE") else { return Ok(builder.build_http()) };
    let trusted = TrustStore::empty().with_pem_certificate(std::fs::read(authority)?);
    let context = TlsContext::builder().with_trust_store(trusted).build()?;
    Ok(builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https())
}

impl Story {
    /// Notes that an operation was answered.
    fn answered<T, E: Error + 'static>(&mut self, operation: &'static str, answer: Result<T, E>) -> Result<T, E> {
        let answer = answer?;
        self.operations.insert(operation);
        Ok(answer)
    }

    /// Notes an error that came in its own variant.
    fn refused<T, E, R>(
        &mut self,
        name: &'static str,
        answer: Result<T, SdkError<E, R>>,
        is: fn(&E) -> bool,
    ) -> Fallible<()>
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug,
    {
        let Err(error) = answer else { return Err(format!("expected {name}, got an answer").into()) };
        let code = error.code().map(str::to_owned);
        expect("the error's code", code.as_deref(), Some(name))?;
        expect("whether the error is of its own kind", error.as_service_error().is_some_and(is), true)?;
        self.errors.insert(name);
        Ok(())
    }

    /// Makes the stream and puts what is read later; returns the data of each key.
    async fn puts(&mut self) -> Fallible<(HashMap<String, Vec<u8>>, String)> {
        let created = self.kinesis.create_stream().stream_name(STREAM).shard_count(2).send().await;
        self.answered("CreateStream", created)?;
        let summary = self.summary().await?;
        expect("status", summary.stream_status(), &StreamStatus::Active)?;
        let mut data: HashMap<String, Vec<u8>> = HashMap::new();
        for index in 0..BULK {
            let text = format!("record {index} {}", "é".repeat(index % 97));
            data.insert(format!("key-{index}"), text.into_bytes());
        }
        let entries: Result<Vec<_>, _> = data
            .iter()
            .map(|(key, data)| {
                PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data.clone())).build()
            })
            .collect();
        let put = self.kinesis.put_records().stream_name(STREAM).set_records(Some(entries?)).send().await;
        let put = self.answered("PutRecords", put)?;
        expect("failed records", put.failed_record_count(), Some(0))?;
        data.insert("bytes".to_owned(), (0..=255).collect());
        let single = self.put_one("bytes", data["bytes"].clone()).await;
        let single = self.answered("PutRecord", single)?;
        expect("digits of a sequence number", single.sequence_number().len(), 56)?;
        Ok((data, summary.stream_arn().to_owned()))
    }

    async fn put_one(
        &self,
        key: &str,
        data: Vec<u8>,
    ) -> Result<
        aws_sdk_kinesis::operation::put_record::PutRecordOutput,
        SdkError<aws_sdk_kinesis::operation::put_record::PutRecordError>,
    > {
        self.kinesis.put_record().stream_name(STREAM).partition_key(key).data(Blob::new(data)).send().await
    }

    async fn summary(&mut self) -> Fallible<StreamDescriptionSummary> {
        let answer = self.kinesis.describe_stream_summary().stream_name(STREAM).send().await;
        let answer = self.answered("DescribeStreamSummary", answer)?;
        Ok(answer.stream_description_summary().cloned().ok_or("a description without a summary")?)
    }

    async fn shards(&mut self) -> Fallible<Vec<String>> {
        let listed = self.kinesis.list_shards().stream_name(STREAM).send().await;
        let listed = self.answered("ListShards", listed)?;
        Ok(listed.shards().iter().map(|shard| shard.shard_id().to_owned()).collect())
    }

    /// Reads every shard to its end and compares; returns how many records each shard holds.
    async fn reads(&mut self, data: &HashMap<String, Vec<u8>>) -> Fallible<Vec<usize>> {
        let mut counts = Vec::new();
        for shard in self.shards().await? {
            let place = self.kinesis.get_shard_iterator().stream_name(STREAM).shard_id(shard);
            let iterator = place.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
            let iterator = self.answered("GetShardIterator", iterator)?;
            let answer = self.kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await;
            let answer = self.answered("GetRecords", answer)?;
            for record in answer.records() {
                let key = record.partition_key().ok_or("a record without a key")?;
                expect(key, Some(record.data().as_ref()), data.get(key).map(Vec::as_slice))?;
            }
            counts.push(answer.records().len());
        }
        expect("shards", counts.len(), 2)?;
        expect("number of records", counts.iter().sum(), data.len())?;
        Ok(counts)
    }

    async fn tags(&mut self, arn: &str) -> Fallible<()> {
        let added = self.kinesis.add_tags_to_stream().stream_name(STREAM).tags("team", "búsqueda").tags("cost", "7");
        let added = added.send().await;
        self.answered("AddTagsToStream", added)?;
        let listed = self.kinesis.list_tags_for_stream().stream_name(STREAM).send().await;
        let listed = self.answered("ListTagsForStream", listed)?;
        let tags: Vec<_> = listed.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
        expect("tags", &tags[..], &[("cost", Some("7")), ("team", Some("búsqueda"))])?;
        let removed = self.kinesis.remove_tags_from_stream().stream_name(STREAM).tag_keys("cost").send().await;
        self.answered("RemoveTagsFromStream", removed)?;
        let tagged = self.kinesis.tag_resource().resource_arn(arn).tags("owner", "me").send().await;
        self.answered("TagResource", tagged)?;
        let untagged = self.kinesis.untag_resource().resource_arn(arn).tag_keys("team").send().await;
        self.answered("UntagResource", untagged)?;
        let left = self.kinesis.list_tags_for_resource().resource_arn(arn).send().await;
        let left = self.answered("ListTagsForResource", left)?;
        let left: Vec<_> = left.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
        expect("tags of the resource", &left[..], &[("owner", Some("me"))])
    }

    async fn subscribes(&mut self, arn: &str, count: usize) -> Fallible<()> {
        let registered = self.kinesis.register_stream_consumer().stream_arn(arn).consumer_name("counter").send().await;
        let registered = self.answered("RegisterStreamConsumer", registered)?;
        let consumer = registered.consumer().ok_or("an answer without a consumer")?.consumer_arn();
        let described = self.kinesis.describe_stream_consumer().consumer_arn(consumer).send().await;
        let described = self.answered("DescribeStreamConsumer", described)?;
        let status = described.consumer_description().map(|consumer| consumer.consumer_status().clone());
        expect("consumer", status, Some(ConsumerStatus::Active))?;
        let listed = self.kinesis.list_stream_consumers().stream_arn(arn).send().await;
        let listed = self.answered("ListStreamConsumers", listed)?;
        expect("consumers", listed.consumers().len(), 1)?;
        let from = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build()?;
        let subscription = self.kinesis.subscribe_to_shard().consumer_arn(consumer).shard_id("shardId-000000000000");
        let mut subscription = subscription.starting_position(from).send().await?;
        let mut pushed = 0;
        while pushed < count {
            let event = subscription.event_stream.recv().await?.ok_or("the subscription ended early")?;
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { continue };
            pushed += event.records().len();
        }
        expect("records pushed", pushed, count)?;
        drop(subscription);
        self.operations.insert("SubscribeToShard");
        let deregistered = self.kinesis.deregister_stream_consumer().consumer_arn(consumer).send().await;
        self.answered("DeregisterStreamConsumer", deregistered)?;
        Ok(())
    }

    async fn reshards(&mut self) -> Fallible<()> {
        let split = self.kinesis.split_shard().stream_name(STREAM).shard_to_split("shardId-000000000000");
        let split = split.new_starting_hash_key((1_u128 << 126).to_string()).send().await;
        self.answered("SplitShard", split)?;
        expect("shards after a split", self.shards().await?.len(), 4)?;
        let merged = self.kinesis.merge_shards().stream_name(STREAM).shard_to_merge("shardId-000000000002");
        let merged = merged.adjacent_shard_to_merge("shardId-000000000003").send().await;
        self.answered("MergeShards", merged)?;
        let scaled = self.kinesis.update_shard_count().stream_name(STREAM).target_shard_count(4);
        let scaled = scaled.scaling_type(ScalingType::UniformScaling).send().await;
        self.answered("UpdateShardCount", scaled)?;
        expect("open shards", self.summary().await?.open_shard_count(), 4)
    }

    async fn administers(&mut self) -> Fallible<()> {
        let longer = self.kinesis.increase_stream_retention_period().stream_name(STREAM).retention_period_hours(48);
        let longer = longer.send().await;
        self.answered("IncreaseStreamRetentionPeriod", longer)?;
        let shorter = self.kinesis.decrease_stream_retention_period().stream_name(STREAM).retention_period_hours(24);
        let shorter = shorter.send().await;
        self.answered("DecreaseStreamRetentionPeriod", shorter)?;
        let described = self.kinesis.describe_stream().stream_name(STREAM).send().await;
        let described = self.answered("DescribeStream", described)?;
        let hours = described.stream_description().map(|stream| stream.retention_period_hours());
        expect("retention", hours, Some(24))?;
        let limits = self.kinesis.describe_limits().send().await;
        expect("open shards of the account", self.answered("DescribeLimits", limits)?.open_shard_count(), 4)?;
        let listed = self.kinesis.list_streams().send().await;
        expect("streams", self.answered("ListStreams", listed)?.stream_names(), &[STREAM.to_owned()])
    }

    async fn is_refused(&mut self) -> Fallible<()> {
        let missing = self.kinesis.describe_stream_summary().stream_name("missing").send().await;
        self.refused("ResourceNotFoundException", missing, |error| error.is_resource_not_found_exception())?;
        let existing = self.kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await;
        self.refused("ResourceInUseException", existing, |error| error.is_resource_in_use_exception())?;
        let forged = self.kinesis.get_records().shard_iterator("none").send().await;
        self.refused("InvalidArgumentException", forged, |error| error.is_invalid_argument_exception())?;
        // What one shard takes in a second is 1 MiB.
        let large = vec![0; 900_000];
        self.put_one("same", large.clone()).await?;
        let second = self.put_one("same", large).await;
        let name = "ProvisionedThroughputExceededException";
        self.refused(name, second, |error| error.is_provisioned_throughput_exceeded_exception())
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Fallible<()> {
    if actual == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {actual:?}").into()) }
}
