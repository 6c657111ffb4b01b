//! Channels: records of a stream copied to a bucket as objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace::clock::iso_utc;
use millrace::limits::LimitPolicy;
use millrace::{
    Bucket, ChannelConfig, ChannelOptions, ChannelReport, Compression, DeliveryFailure, Kind, RecordFormat,
    StorageClass,
};
use millrace_kinesis::{ErrorName, PageToken, ServiceError, Structure, Value};

use super::{done, invalid, tags};
use crate::error::of_engine;
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// How many channels a page has at most.
const PAGE: usize = 100;
/// How old a record grows where the caller does not say, in seconds.
const FRESHNESS_S: u32 = 300;
/// What the service takes for it, in seconds.
const FRESHNESS_S_AWS: std::ops::RangeInclusive<u32> = 300..=900;
/// The longest reason of a status, in characters.
const REASON_CHARACTERS_MAX: usize = 2_048;
/// What the notes of a channel are called, which the engine keeps and does not look at.
const ROLE: &str = "role";
const LOGS: &str = "logs";
const LOG_GROUP: &str = "logGroup";
const LOG_STREAM: &str = "logStream";

type Notes = BTreeMap<String, String>;

/// CreateChannel.
pub(crate) async fn create(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = request.str("ChannelName").unwrap_or_default().to_owned();
    let mut configured = request.structures("StreamConfigurationList");
    let (Some(configuration), None) = (configured.next(), configured.next()) else {
        return Err(invalid("StreamConfigurationList must name one stream."));
    };
    let open = service.whole_stream(service.stream_name(None, configuration.str("StreamARN"))?).await?;
    let mut notes =
        Notes::from([(ROLE.to_owned(), request.str("ServiceExecutionRoleARN").unwrap_or_default().to_owned())]);
    note_logs(&mut notes, request);
    let options =
        ChannelOptions { config: config(service, request, configuration)?, notes, tags: tags::given(request) };
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let created = blocking(move || stream.create_channel(&wanted, options)).await;
    created.map_err(|error| of_channel(service, &name, &error))?;
    description(service, &name)
}

fn config(service: &Service, request: &Structure, stream: &Structure) -> Result<ChannelConfig, ServiceError> {
    let destination = match (
        request.structure("S3DestinationConfiguration"),
        request.structure("S3TablesDestinationConfiguration"),
    ) {
        (Some(destination), None) => destination,
        (None, Some(_)) => {
            return Err(invalid(
                "Millrace delivers to general purpose S3 buckets, not to S3 Tables: specify S3DestinationConfiguration.",
            ));
        }
        _ => {
            return Err(invalid(
                "Either S3DestinationConfiguration or S3TablesDestinationConfiguration should be provided.",
            ));
        }
    };
    let Some(storage) = destination.structure("StorageConfiguration") else {
        return Err(invalid("StorageConfiguration should be provided."));
    };
    let bucket = bucket(storage)?;
    let dead_letters = destination.structure("DeadLetterQueueS3Configuration");
    Ok(ChannelConfig {
        freshness_s: freshness(service, destination, FRESHNESS_S)?,
        key_template: storage.str("OutputKeyTemplate").map(str::to_owned),
        format: format(stream.structure("RecordConfiguration"))?,
        compression: match storage.str("CompressionType") {
            Some("GZIP") => Compression::Gzip,
            Some("ZSTD") => return Err(invalid("Millrace compresses objects as GZIP or not at all, not as ZSTD.")),
            _ => Compression::None,
        },
        storage_class: match storage.str("StorageClass") {
            None => None,
            Some("INTELLIGENT_TIERING") => Some(StorageClass::IntelligentTiering),
            Some("GLACIER_IR") => Some(StorageClass::GlacierIr),
            Some(_) => Some(StorageClass::Standard),
        },
        encryption_key: request
            .structure("EncryptionConfiguration")
            .and_then(|encryption| encryption.str("KeyId").map(str::to_owned)),
        dead_letters: dead_letters.map_or_else(|| Ok(bucket.clone()), self::bucket)?,
        dead_letter_prefix: dead_letters.and_then(|it| it.str("ErrorOutputPrefix")).map(str::to_owned),
        bucket,
    })
}

/// The bucket of a structure with an ARN and an owner.
fn bucket(of: &Structure) -> Result<Bucket, ServiceError> {
    let arn = of.str("BucketARN").unwrap_or_default();
    // arn:aws:s3:::name
    let name = arn.splitn(6, ':').nth(5).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket.")))?;
    Ok(Bucket { name: name.to_owned(), owner: of.str("ExpectedBucketOwner").map(str::to_owned) })
}

fn format(configuration: Option<&Structure>) -> Result<RecordFormat, ServiceError> {
    let configuration = configuration.cloned().unwrap_or_default();
    if configuration.str("GSRSchemaARN").is_some() {
        return Err(invalid("GSRSchemaARN is allowed for an S3 Tables destination alone."));
    }
    match configuration.str("RecordFormatType") {
        Some("JSON") => Ok(RecordFormat::Json),
        Some("STRING") => Ok(RecordFormat::Text),
        Some("BYTE_ARRAY") => Ok(RecordFormat::Bytes),
        _ => Err(invalid("RecordFormatType GSR_JSON is allowed for an S3 Tables destination alone.")),
    }
}

fn freshness(service: &Service, destination: &Structure, default: u32) -> Result<u32, ServiceError> {
    let Some(seconds) = destination.integer("DataFreshnessInSeconds") else { return Ok(default) };
    // Without the limits of AWS it may be as short as a test wants it.
    let range = if service.limits == LimitPolicy::Aws { FRESHNESS_S_AWS } else { ChannelConfig::FRESHNESS_S };
    let seconds = u32::try_from(seconds).ok().filter(|seconds| range.contains(seconds));
    let (least, most) = range.into_inner();
    seconds.ok_or_else(|| invalid(format!("DataFreshnessInSeconds must be between {least} and {most}.")))
}

/// Notes where the caller wants logs, where it says so.
fn note_logs(notes: &mut Notes, request: &Structure) {
    let logging = request.structure("LoggingConfiguration").and_then(|logging| logging.structure("CloudWatchLogs"));
    let Some(logs) = logging else { return };
    notes.insert(LOGS.to_owned(), logs.is("Enabled").to_string());
    for (note, member) in [(LOG_GROUP, "LogGroupName"), (LOG_STREAM, "LogStreamName")] {
        if let Some(text) = logs.str(member) {
            notes.insert(note.to_owned(), text.to_owned());
        }
    }
}

/// DescribeChannel.
pub(crate) fn describe(service: &Arc<Service>, request: &Structure) -> Outcome {
    description(service, name_of(service, request)?)
}

/// UpdateChannel.
pub(crate) async fn update(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = name_of(service, request)?.to_owned();
    let ChannelReport { stream, channel, .. } = report(service, &name)?;
    if request.structure("S3TablesDestinationConfiguration").is_some() {
        return Err(invalid(format!("Channel {name} delivers to a general purpose S3 bucket, not to S3 Tables.")));
    }
    let freshness_s = match request.structure("S3DestinationConfiguration") {
        Some(destination) => freshness(service, destination, channel.config.freshness_s)?,
        None => channel.config.freshness_s,
    };
    let mut notes = channel.notes;
    note_logs(&mut notes, request);
    let open = service.stream_named(&stream.name).await?;
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let updated = blocking(move || stream.update_channel(&wanted, freshness_s, notes)).await;
    updated.map_err(|error| of_channel(service, &name, &error))?;
    description(service, &name)
}

/// DeleteChannel.
pub(crate) async fn delete(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = name_of(service, request)?.to_owned();
    let open = service.stream_named(&report(service, &name)?.stream.name).await?;
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let deleted = blocking(move || stream.delete_channel(&wanted)).await;
    deleted.map_err(|error| of_channel(service, &name, &error))?;
    done()
}

/// ListChannels, by name.
pub(crate) fn list(service: &Arc<Service>, request: &Structure) -> Outcome {
    const OPERATION: &str = "ListChannels";
    let after = match request.str("NextToken") {
        Some(token) => Some(PageToken::open(&service.tokens, OPERATION, token, service.now_ms())?.after),
        None => None,
    };
    let page = request.integer("MaxResults").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE).min(PAGE);
    let mut wanted = Vec::new();
    for filter in request.structures("StreamFilter") {
        wanted.push((service.stream_name(None, filter.str("StreamARN"))?, filter.timestamp("StreamCreationTimestamp")));
    }
    let is_wanted = |report: &ChannelReport| {
        // The time is told, and so comes back, in seconds in JSON.
        let created_s = i64::try_from(report.stream.created_ms / 1_000).ok();
        let is_it = |(name, created): &(&str, Option<i64>)| {
            *name == report.stream.name && created.is_none_or(|ms| Some(ms / 1_000) == created_s)
        };
        wanted.is_empty() || wanted.iter().any(is_it)
    };
    let mut channels = service.engine.list_channels().map_err(|error| of_engine(&error))?;
    channels.retain(is_wanted);
    channels.sort_unstable_by(|one, other| one.channel.name.cmp(&other.channel.name));
    let mut rest = channels.iter().filter(|it| after.as_ref().is_none_or(|after| it.channel.name > *after));
    let listed: Vec<_> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| listed.last()).map(|last| PageToken {
        operation: OPERATION.to_owned(),
        stream: (String::new(), 0),
        after: last.channel.name.clone(),
        issued_ms: service.now_ms(),
    });
    let summaries = listed.into_iter().map(|report| {
        let stream = Structure::new()
            .with("StreamARN", service.arn(&report.stream.name).to_string())
            .with("StreamCreationTimestamp", moment(report.stream.created_ms));
        common(service, report)
            .with("ChannelDestinationType", "S3")
            .with("Streams", [stream].into_iter().collect::<Value>())
    });
    let answer = Structure::new()
        .with("ChannelSummaries", summaries.collect::<Value>())
        .with_some("NextToken", next.map(|token| token.seal(&service.tokens)));
    Ok(answer.into())
}

/// The name of the channel that a request is about.
fn name_of<'r>(service: &Service, request: &'r Structure) -> Result<&'r str, ServiceError> {
    name_of_arn(service, request.str("ChannelARN").unwrap_or_default())
}

/// The name of the channel that an ARN is of.
pub(crate) fn name_of_arn<'r>(service: &Service, arn: &'r str) -> Result<&'r str, ServiceError> {
    let prefix = format!("arn:aws:kinesis:{}:{}:channel/", service.region, service.account);
    let name = arn.strip_prefix(&prefix).filter(|name| !name.is_empty());
    name.ok_or_else(|| not_found(service, arn.rsplit('/').next().unwrap_or_default()))
}

/// The channel of a name, which must exist.
pub(crate) fn report(service: &Service, name: &str) -> Result<ChannelReport, ServiceError> {
    service.engine.channel_named(name).map_err(|error| of_channel(service, name, &error))
}

fn description(service: &Service, name: &str) -> Outcome {
    let report = report(service, name)?;
    let (config, notes) = (&report.channel.config, &report.channel.notes);
    let note = |name: &str| notes.get(name).map(String::as_str);
    let format = match config.format {
        RecordFormat::Json => "JSON",
        RecordFormat::Text => "STRING",
        RecordFormat::Bytes => "BYTE_ARRAY",
    };
    let stream = Structure::new()
        .with("StreamARN", service.arn(&report.stream.name).to_string())
        .with("StreamCreationTimestamp", moment(report.stream.created_ms))
        .with("RecordConfiguration", Structure::new().with("RecordFormatType", format));
    let logs = Structure::new()
        .with("Enabled", note(LOGS) == Some("true"))
        .with_some("LogGroupName", note(LOG_GROUP))
        .with_some("LogStreamName", note(LOG_STREAM));
    let encryption = config.encryption_key.as_deref();
    let encryption = encryption.map(|key| Structure::new().with("EncryptionType", "KMS").with("KeyId", key));
    let told = common(service, &report)
        .with("ServiceExecutionRoleARN", note(ROLE).unwrap_or_default())
        .with("StreamConfigurationList", [stream].into_iter().collect::<Value>())
        .with("S3DestinationConfiguration", destination(service, config))
        .with_some("EncryptionConfiguration", encryption)
        .with("LoggingConfiguration", Structure::new().with("CloudWatchLogs", logs));
    Ok(Structure::new().with("ChannelDescription", told).into())
}

fn destination(service: &Service, config: &ChannelConfig) -> Structure {
    let of = |bucket: &Bucket| {
        Structure::new()
            .with("BucketARN", format!("arn:aws:s3:::{}", bucket.name))
            .with("ExpectedBucketOwner", bucket.owner.as_deref().unwrap_or(&service.account))
    };
    let prefix = config.dead_letter_prefix.as_deref().unwrap_or(ChannelConfig::DEAD_LETTER_PREFIX);
    let class = match config.storage_class.unwrap_or(StorageClass::Standard) {
        StorageClass::Standard => "STANDARD",
        StorageClass::IntelligentTiering => "INTELLIGENT_TIERING",
        StorageClass::GlacierIr => "GLACIER_IR",
    };
    let compression = match config.compression {
        Compression::None => "NONE",
        Compression::Gzip => "GZIP",
    };
    let storage = of(&config.bucket)
        .with("OutputKeyTemplate", config.key_template.as_deref().unwrap_or(ChannelConfig::KEY_TEMPLATE))
        .with("StorageClass", class)
        .with("CompressionType", compression);
    Structure::new()
        .with("DataFreshnessInSeconds", config.freshness_s)
        .with("DeadLetterQueueS3Configuration", of(&config.dead_letters).with("ErrorOutputPrefix", prefix))
        .with("StorageConfiguration", storage)
}

/// What the description and the list tell.
fn common(service: &Service, report: &ChannelReport) -> Structure {
    let channel = &report.channel;
    let arn = format!("arn:aws:kinesis:{}:{}:channel/{}", service.region, service.account, channel.name);
    Structure::new()
        .with("ChannelName", channel.name.as_str())
        .with("ChannelARN", arn)
        .with("ChannelId", format!("{:016x}", channel.id))
        .with("ChannelStatus", "ACTIVE")
        .with_some("ChannelStatusReason", report.failure.as_ref().map(reason))
        .with("ChannelCreationTimestamp", moment(channel.created_ms))
}

/// Why a channel does not deliver at present.
fn reason(failure: &DeliveryFailure) -> String {
    let DeliveryFailure { message, attempts, since_ms, .. } = failure;
    let since = iso_utc(*since_ms);
    let reason = format!("Delivery has failed {attempts} times since {since} and is tried again: {message}");
    reason.chars().take(REASON_CHARACTERS_MAX).collect()
}

fn moment(ms: u64) -> Value {
    Value::Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn not_found(service: &Service, name: &str) -> ServiceError {
    let message = format!("Channel {name} under account {} not found.", service.account);
    ServiceError::new(ErrorName::ResourceNotFound, message)
}

/// An error of the engine about a channel, in the service's names.
pub(crate) fn of_channel(service: &Service, name: &str, error: &millrace::Error) -> ServiceError {
    match error.kind() {
        Kind::ChannelNotFound | Kind::StreamNotFound | Kind::StreamDeleting => not_found(service, name),
        Kind::ChannelExists => {
            let message = format!("Channel {name} under account {} already exists.", service.account);
            ServiceError::new(ErrorName::ResourceInUse, message)
        }
        _ => of_engine(error),
    }
}
