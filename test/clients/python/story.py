"""The story that every client of the tests does, in Python: `story.py boto3` or `story.py awscli`.

The environment says where the server is and which keys it knows, as `millrace env` prints it. The last line of the output
tells as JSON what was done; whatever goes another way than it should ends the program with a message.
"""

import json
import sys

STREAM = "clicks"
BULK = 500
MISSING_ITERATOR = "none"


def text_of(index):
    """The data of the record with this number: text of several lengths, with characters of two bytes."""
    return f"record {index} " + "é" * (index % 97)


def expect(what, actual, expected):
    if actual != expected:
        raise SystemExit(f"{what}: expected {expected}, got {actual}")


class Story:
    """A client, and what it has done so far. Clients call with the names of the model and get its answers."""

    def __init__(self, client):
        self.client = client
        self.operations = set()
        self.errors = set()

    def call(self, operation, **parameters):
        answer = self.client.call(operation, parameters)
        self.operations.add(operation)
        return answer

    def fails(self, error, operation, **parameters):
        try:
            self.client.call(operation, parameters)
        except self.client.error as raised:
            expect(f"error of {operation}", self.client.name_of(raised), error)
            self.errors.add(error)
            return
        raise SystemExit(f"{operation}: expected {error}, got an answer")

    def told(self):
        return {
            "version": self.client.version,
            "operations": sorted(self.operations),
            "errors": sorted(self.errors),
            "cannot": self.client.cannot,
        }


def puts(story):
    """Makes the stream and puts what is read later; returns the data of each key."""
    story.call("CreateStream", StreamName=STREAM, ShardCount=2)
    story.client.wait_until_active(STREAM)
    summary = story.call("DescribeStreamSummary", StreamName=STREAM)["StreamDescriptionSummary"]
    expect("status", summary["StreamStatus"], "ACTIVE")
    bulk = [{"PartitionKey": f"key-{index}", "Data": text_of(index)} for index in range(BULK)]
    put = story.call("PutRecords", StreamName=STREAM, Records=bulk)
    expect("failed records", put["FailedRecordCount"], 0)
    data = {record["PartitionKey"]: record["Data"].encode() for record in bulk}
    data["bytes"] = bytes(range(256))
    single = story.call("PutRecord", StreamName=STREAM, PartitionKey="bytes", Data=data["bytes"])
    expect("digits of a sequence number", len(single["SequenceNumber"]), 56)
    return data, summary["StreamARN"]


def iterator(story, shard):
    place = {"StreamName": STREAM, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    return story.call("GetShardIterator", **place)["ShardIterator"]


def reads(story, data):
    """Reads every shard to its end and compares; returns how many records each shard holds."""
    shards = [shard["ShardId"] for shard in story.call("ListShards", StreamName=STREAM)["Shards"]]
    expect("shards", shards, ["shardId-000000000000", "shardId-000000000001"])
    read, counts = {}, {}
    for shard in shards:
        answer = story.call("GetRecords", ShardIterator=iterator(story, shard))
        counts[shard] = len(answer["Records"])
        for record in answer["Records"]:
            read[record["PartitionKey"]] = story.client.bytes_of(record["Data"])
    expect("number of records", sum(counts.values()), len(data))
    expect("records that differ", [key for key in data if read.get(key) != data[key]], [])
    return counts


def tags(story, arn):
    story.call("AddTagsToStream", StreamName=STREAM, Tags={"team": "búsqueda", "cost": "7"})
    listed = story.call("ListTagsForStream", StreamName=STREAM)["Tags"]
    expect("tags", sorted((tag["Key"], tag["Value"]) for tag in listed), [("cost", "7"), ("team", "búsqueda")])
    story.call("RemoveTagsFromStream", StreamName=STREAM, TagKeys=["cost"])
    story.call("TagResource", ResourceARN=arn, Tags={"owner": "me"})
    story.call("UntagResource", ResourceARN=arn, TagKeys=["team"])
    left = story.call("ListTagsForResource", ResourceARN=arn)["Tags"]
    expect("tags of the resource", left, [{"Key": "owner", "Value": "me"}])


def subscribes(story, arn, counts):
    consumer = story.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="counter")["Consumer"]["ConsumerARN"]
    described = story.call("DescribeStreamConsumer", ConsumerARN=consumer)["ConsumerDescription"]
    expect("consumer", described["ConsumerStatus"], "ACTIVE")
    expect("consumers", len(story.call("ListStreamConsumers", StreamARN=arn)["Consumers"]), 1)
    if "SubscribeToShard" not in story.client.cannot:
        shard, count = next(iter(counts.items()))
        position = {"Type": "TRIM_HORIZON"}
        answer = story.call("SubscribeToShard", ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
        pushed = 0
        for event in answer["EventStream"]:
            pushed += len(event["SubscribeToShardEvent"]["Records"])
            if pushed >= count:
                break
        answer["EventStream"].close()
        expect("records pushed", pushed, count)
    story.call("DeregisterStreamConsumer", ConsumerARN=consumer)


def reshards(story):
    story.call("SplitShard", StreamName=STREAM, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
    expect("shards after a split", len(story.call("ListShards", StreamName=STREAM)["Shards"]), 4)
    halves = {"ShardToMerge": "shardId-000000000002", "AdjacentShardToMerge": "shardId-000000000003"}
    story.call("MergeShards", StreamName=STREAM, **halves)
    story.call("UpdateShardCount", StreamName=STREAM, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    summary = story.call("DescribeStreamSummary", StreamName=STREAM)["StreamDescriptionSummary"]
    expect("open shards", summary["OpenShardCount"], 4)


def administers(story):
    story.call("IncreaseStreamRetentionPeriod", StreamName=STREAM, RetentionPeriodHours=48)
    story.call("DecreaseStreamRetentionPeriod", StreamName=STREAM, RetentionPeriodHours=24)
    described = story.call("DescribeStream", StreamName=STREAM)["StreamDescription"]
    expect("retention", described["RetentionPeriodHours"], 24)
    expect("open shards of the account", story.call("DescribeLimits")["OpenShardCount"], 4)
    expect("streams", story.call("ListStreams")["StreamNames"], [STREAM])


def is_refused(story):
    story.fails("ResourceNotFoundException", "DescribeStreamSummary", StreamName="missing")
    story.fails("ResourceInUseException", "CreateStream", StreamName=STREAM, ShardCount=1)
    story.fails("InvalidArgumentException", "GetRecords", ShardIterator=MISSING_ITERATOR)
    # What one shard takes in a second is 1 MiB.
    large = [{"PartitionKey": "same", "Data": "x" * 900_000} for _ in range(2)]
    codes = [record.get("ErrorCode") for record in story.call("PutRecords", StreamName=STREAM, Records=large)["Records"]]
    expect("the second record in a second", codes, [None, "ProvisionedThroughputExceededException"])
    story.errors.add("ProvisionedThroughputExceededException")


def delivers(story, arn):
    """What a channel delivers is looked at by tests of its own: its first object is due after five minutes."""
    channel = story.call(
        "CreateChannel",
        ChannelName="archive",
        ServiceExecutionRoleARN="arn:aws:iam::000000000000:role/delivery",
        StreamConfigurationList=[{"StreamARN": arn, "RecordConfiguration": {"RecordFormatType": "STRING"}}],
        S3DestinationConfiguration={
            "DataFreshnessInSeconds": 300,
            "StorageConfiguration": {"BucketARN": "arn:aws:s3:::archive", "ExpectedBucketOwner": "000000000000", "CompressionType": "GZIP"},
        },
    )["ChannelDescription"]["ChannelARN"]
    freshness = {"DataFreshnessInSeconds": 600}
    story.call("UpdateChannel", ChannelARN=channel, S3DestinationConfiguration=freshness)
    told = story.call("DescribeChannel", ChannelARN=channel)["ChannelDescription"]
    expect("freshness", told["S3DestinationConfiguration"]["DataFreshnessInSeconds"], 600)
    expect("channels", len(story.call("ListChannels")["ChannelSummaries"]), 1)
    story.call("DeleteChannel", ChannelARN=channel)


def queues(story, arn):
    """One record is acknowledged, the other is received as often as it may be, and restored from the dead letters."""
    story.call("CreateStream", StreamName="jobs", ShardCount=1)
    jobs = arn.replace("stream/clicks", "stream/jobs")
    story.call("PutRecord", StreamName="jobs", PartitionKey="a", Data=b"one")
    story.call("PutRecord", StreamName="jobs", PartitionKey="b", Data=b"two")
    queue = story.call(
        "CreateQueue",
        QueueName="workers",
        StreamConfigurationList=[{"StreamARN": jobs, "StartingPosition": {"Type": "TRIM_HORIZON"}}],
        QueueAttributes={"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 1}},
    )["QueueDescription"]["QueueARN"]
    expect("queues", len(story.call("ListQueues")["QueueSummaries"]), 1)

    def receive(operation):
        records = story.call(operation, QueueARN=queue, WaitTimeSeconds=1)["QueueRecords"]
        return [(record["PartitionKey"], record["ReceiptHandle"]) for record in records]

    def settle(operation, handle, **change):
        answer = story.call(operation, QueueARN=queue, Entries=[{"ReceiptHandle": handle, **change}])
        expect(f"failed entries of {operation}", answer["Failed"], [])

    (first, one), (second, two) = receive("ReceiveQueueRecords")
    expect("keys", (first, second), ("a", "b"))
    settle("AcknowledgeQueueRecords", one)
    settle("UpdateQueueRecordsVisibility", two, VisibilityTimeoutSeconds=0)
    expect("records that may be received", receive("ReceiveQueueRecords"), [])
    ((_, dead),) = receive("ReceiveDeadLetterQueueRecords")
    settle("UpdateDeadLetterQueueRecordsVisibility", dead, VisibilityTimeoutSeconds=0)
    ((_, dead),) = receive("ReceiveDeadLetterQueueRecords")
    settle("RestoreDeadLetterQueueRecords", dead)
    ((_, two),) = receive("ReceiveQueueRecords")
    settle("UpdateQueueRecordsVisibility", two, VisibilityTimeoutSeconds=0)
    ((_, dead),) = receive("ReceiveDeadLetterQueueRecords")
    settle("AcknowledgeDeadLetterQueueRecords", dead)
    attributes = {"VisibilityTimeoutSeconds": 7}
    told = story.call("UpdateQueue", QueueARN=queue, QueueAttributes=attributes)["QueueDescription"]
    expect("visibility", told["QueueAttributes"]["VisibilityTimeoutSeconds"], 7)
    expect("status", story.call("DescribeQueue", QueueARN=queue)["QueueDescription"]["QueueStatus"], "ACTIVE")
    story.call("DeleteQueue", QueueARN=queue)
    story.call("DeleteStream", StreamName="jobs")


def configures(story, arn):
    """What is set and told again, and what on-demand streams alone have."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kinesis:Get*"}]}
    story.call("PutResourcePolicy", ResourceARN=arn, Policy=json.dumps(policy))
    expect("policy", json.loads(story.call("GetResourcePolicy", ResourceARN=arn)["Policy"]), policy)
    story.call("DeleteResourcePolicy", ResourceARN=arn)
    metrics = {"StreamName": STREAM, "ShardLevelMetrics": ["IncomingBytes"]}
    told = story.call("EnableEnhancedMonitoring", **metrics)["DesiredShardLevelMetrics"]
    expect("metrics of shards", told, ["IncomingBytes"])
    story.call("DisableEnhancedMonitoring", **metrics)
    key = {"StreamName": STREAM, "EncryptionType": "KMS", "KeyId": "alias/key"}
    story.call("StartStreamEncryption", **key)
    story.call("StopStreamEncryption", **key)
    story.call("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=2_048)
    story.call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    commitment = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    story.call("UpdateAccountSettings", **commitment)
    told = story.call("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]
    expect("commitment", told["Status"], "ENABLED")
    story.call("UpdateStreamWarmThroughput", StreamARN=arn, WarmThroughputMiBps=5)
    spreads = "UpdateStreamRecordDistributionStrategy" not in story.client.cannot
    if spreads:
        story.call("UpdateStreamRecordDistributionStrategy", StreamARN=arn, RecordDistributionStrategy="AUTO")
    summary = story.call("DescribeStreamSummary", StreamName=STREAM)["StreamDescriptionSummary"]
    told = (summary["MaxRecordSizeInKiB"], summary["WarmThroughput"]["TargetMiBps"])
    expect("record size and warm throughput", told, (2_048, 5))
    if spreads:
        expect("distribution", summary["RecordDistributionStrategy"], "AUTO")


def main():
    if sys.argv[1] == "boto3":
        from boto3_client import Client
    else:
        from aws_cli import Client
    story = Story(Client())
    data, arn = puts(story)
    counts = reads(story, data)
    tags(story, arn)
    subscribes(story, arn, counts)
    reshards(story)
    administers(story)
    is_refused(story)
    if "CreateChannel" not in story.client.cannot:
        delivers(story, arn)
    if "CreateQueue" not in story.client.cannot:
        queues(story, arn)
    configures(story, arn)
    story.call("DeleteStream", StreamName=STREAM)
    expect("streams that are left", story.call("ListStreams")["StreamNames"], [])
    print(json.dumps(story.told()))


main()
