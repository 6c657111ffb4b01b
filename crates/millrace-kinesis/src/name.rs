//! How resources are called: the ARNs of streams and consumers, and the names of shards as callers shorten them.

use std::fmt;

/// The ARN of a stream.
///
/// ```
/// use millrace_kinesis::StreamArn;
/// let arn = StreamArn::parse("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks").expect("the ARN of a stream");
/// assert_eq!((arn.region, arn.account, arn.stream), ("eu-west-1", "123456789012", "clicks"));
/// assert_eq!(arn.to_string(), "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks");
/// assert_eq!(StreamArn::parse("clicks"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamArn<'a> {
    /// `aws`, `aws-cn` and the like.
    pub partition: &'a str,
    /// The region.
    pub region: &'a str,
    /// The account, twelve digits.
    pub account: &'a str,
    /// The stream's name.
    pub stream: &'a str,
}

impl<'a> StreamArn<'a> {
    /// The parts of a stream's ARN.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<StreamArn<'a>> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let stream = resource.strip_prefix("stream/")?;
        let is_one = arn == "arn" && service == "kinesis" && !stream.is_empty() && !stream.contains(['/', ':']);
        is_one.then_some(StreamArn { partition, region, account, stream })
    }

    /// The ARN of one of its consumers, which was registered at a time in seconds since 1970.
    #[must_use]
    pub fn consumer(&self, name: &str, created_s: u64) -> String {
        format!("{self}/consumer/{name}:{created_s}")
    }
}

impl fmt::Display for StreamArn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamArn { partition, region, account, stream } = self;
        write!(f, "arn:{partition}:kinesis:{region}:{account}:stream/{stream}")
    }
}

/// The ARN of a consumer.
///
/// ```
/// use millrace_kinesis::ConsumerArn;
/// let text = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/counter:1700000000";
/// let arn = ConsumerArn::parse(text).expect("the ARN of a consumer");
/// assert_eq!((arn.stream.stream, arn.name, arn.created_s), ("clicks", "counter", 1_700_000_000));
/// assert_eq!(arn.stream.consumer(arn.name, arn.created_s), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerArn<'a> {
    /// Its stream.
    pub stream: StreamArn<'a>,
    /// Its name.
    pub name: &'a str,
    /// When it was registered, in seconds since 1970.
    pub created_s: u64,
}

impl<'a> ConsumerArn<'a> {
    /// The parts of a consumer's ARN.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<ConsumerArn<'a>> {
        let (stream, consumer) = text.split_once("/consumer/")?;
        let (name, created_s) = consumer.rsplit_once(':')?;
        let stream = StreamArn::parse(stream)?;
        let is_one = !name.is_empty() && !name.contains(['/', ':']);
        is_one.then_some(ConsumerArn { stream, name, created_s: created_s.parse().ok()? })
    }
}

/// The number of the shard that a caller means: `0`, `shardId-0` and any other prefix name the first one.
///
/// ```
/// use millrace_kinesis::shard_number;
/// assert_eq!(shard_number("shardId-000000000007"), Some(7));
/// assert_eq!(shard_number("7"), Some(7));
/// assert_eq!(shard_number("any-7"), Some(7));
/// assert_eq!(shard_number("shardId-2147483648"), None);
/// assert_eq!(shard_number("seven"), None);
/// ```
#[must_use]
pub fn shard_number(name: &str) -> Option<u32> {
    let digits = name.split('-').nth(1).filter(|part| !part.is_empty()).unwrap_or(name);
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| all_digits)?;
    u32::try_from(number).ok().filter(|number| *number <= i32::MAX.unsigned_abs())
}

/// The name of a shard.
#[must_use]
pub fn shard_name(number: u32) -> String {
    format!("shardId-{number:012}")
}
