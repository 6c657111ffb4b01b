//! What the model does not say and recordings of the real service do: in which order it checks the members of a
//! request, and in which order it lists the values of an enumeration.
//!
//! The recordings are those of [kinesalite](https://github.com/mhart/kinesalite), made before streams had ARNs. Members
//! that have come since are checked after these, in the order of the model.

/// The order of a structure's members, as far as it was recorded.
pub(crate) static ORDERS: &[(&str, &[&str])] = &[
    ("AddTagsToStreamInput", &["Tags", "StreamName"]),
    ("CreateStreamInput", &["ShardCount", "StreamName"]),
    ("DescribeStreamInput", &["Limit", "ExclusiveStartShardId", "StreamName"]),
    ("GetRecordsInput", &["Limit", "ShardIterator"]),
    ("GetShardIteratorInput", &["ShardId", "ShardIteratorType", "StartingSequenceNumber", "StreamName", "Timestamp"]),
    ("ListShardsInput", &["ExclusiveStartShardId", "MaxResults", "NextToken", "StreamCreationTimestamp", "StreamName"]),
    ("ListStreamsInput", &["Limit", "ExclusiveStartStreamName"]),
    ("ListTagsForStreamInput", &["Limit", "ExclusiveStartTagKey", "StreamName"]),
    ("MergeShardsInput", &["ShardToMerge", "AdjacentShardToMerge", "StreamName"]),
    ("PutRecordInput", &["SequenceNumberForOrdering", "PartitionKey", "ExplicitHashKey", "Data", "StreamName"]),
    ("PutRecordsInput", &["Records", "StreamName"]),
    ("PutRecordsRequestEntry", &["PartitionKey", "ExplicitHashKey", "Data"]),
    ("RemoveTagsFromStreamInput", &["TagKeys", "StreamName"]),
    ("SplitShardInput", &["NewStartingHashKey", "StreamName", "ShardToSplit"]),
];

/// The order of an enumeration's values.
pub(crate) static VALUES: &[(&str, &[&str])] = &[(
    "ShardIteratorType",
    &["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"],
)];

/// The members of a structure in the order in which the service checks them; empty where nothing was recorded.
pub(crate) fn order(shape: &str) -> &'static [&'static str] {
    ORDERS.iter().find(|(name, _)| *name == shape).map_or(&[], |(_, order)| order)
}

/// The values of an enumeration in the order in which the service lists them, where that was recorded.
pub(crate) fn values(shape: &str) -> Option<&'static [&'static str]> {
    VALUES.iter().find(|(name, _)| *name == shape).map(|(_, values)| *values)
}
