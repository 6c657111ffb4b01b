"""What an application of boto3 does with a stream: run against the endpoint in the first argument, told as JSON."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError



def client_of(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
        verify=sys.argv[2] if len(sys.argv) > 2 else None,
        config=Config(retries={"max_attempts": 1}),
    )


kinesis = client_of("kinesis")
told = {}


def error_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    return None


kinesis.create_stream(StreamName="clicks", ShardCount=2)
kinesis.get_waiter("stream_exists").wait(StreamName="clicks")
summary = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]
told["status"] = summary["StreamStatus"]
told["created"] = summary["StreamCreationTimestamp"].year

kinesis.put_record(StreamName="clicks", PartitionKey="k", Data=b"\x00one", ExplicitHashKey="0")
records = [{"PartitionKey": "k", "Data": text.encode(), "ExplicitHashKey": "0"} for text in ["two", "three"]]
told["failed"] = kinesis.put_records(StreamName="clicks", Records=records)["FailedRecordCount"]

first = kinesis.list_shards(StreamName="clicks", MaxResults=1)
second = kinesis.list_shards(NextToken=first["NextToken"])
told["shards"] = [shard["ShardId"] for page in (first, second) for shard in page["Shards"]]
pages = kinesis.get_paginator("describe_stream").paginate(StreamName="clicks", PaginationConfig={"PageSize": 1})
told["described"] = len([shard for page in pages for shard in page["StreamDescription"]["Shards"]])
iterator = kinesis.get_shard_iterator(StreamName="clicks", ShardId=told["shards"][0], ShardIteratorType="TRIM_HORIZON")
got = kinesis.get_records(ShardIterator=iterator["ShardIterator"])
told["records"] = [record["Data"].decode() for record in got["Records"]]

arn = summary["StreamARN"]
consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="counter")["Consumer"]["ConsumerARN"]
position = {"Type": "TRIM_HORIZON"}
subscription = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=told["shards"][0], StartingPosition=position)
pushed = []
for event in subscription["EventStream"]:
    pushed += [record["Data"].decode() for record in event["SubscribeToShardEvent"]["Records"]]
    if len(pushed) == 3:
        break
subscription["EventStream"].close()
told["pushed"] = pushed

statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:GetRecords", "Resource": arn}
kinesis.put_resource_policy(ResourceARN=arn, Policy=json.dumps({"Statement": [statement]}))
told["policy"] = json.loads(kinesis.get_resource_policy(ResourceARN=arn)["Policy"])["Statement"][0]["Action"]
kinesis.delete_resource_policy(ResourceARN=arn)

key = {"StreamName": "clicks", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
kinesis.start_stream_encryption(**key)
told["encryption"] = kinesis.put_record(StreamName="clicks", PartitionKey="k", Data=b"four")["EncryptionType"]
kinesis.stop_stream_encryption(**key)
monitored = kinesis.enable_enhanced_monitoring(StreamName="clicks", ShardLevelMetrics=["ALL"])
told["metrics"] = len(monitored["DesiredShardLevelMetrics"])

committed = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
told["commitment"] = committed["MinimumThroughputBillingCommitment"]["Status"]

told["errors"] = [
    error_of(kinesis.describe_stream, StreamName="missing"),
    error_of(kinesis.get_records, ShardIterator="forged"),
    error_of(kinesis.create_stream, StreamName="clicks", ShardCount=1),
]

told["caller"] = client_of("sts").get_caller_identity()["Arn"]
cloudwatch = client_of("cloudwatch")
# So many that the client compresses them.
data = [{"MetricName": f"metric-{number}", "Value": 1, "Unit": "Count"} for number in range(1000)]
told["put"] = cloudwatch.put_metric_data(Namespace="App", MetricData=data)["ResponseMetadata"]["HTTPStatusCode"]
told["metricErrors"] = [
    error_of(cloudwatch.put_metric_data, Namespace="App", MetricData=[{"MetricName": "a", "Value": float("nan")}]),
    error_of(cloudwatch.list_metrics),
]
kinesis.delete_stream(StreamName="clicks", EnforceConsumerDeletion=True)
told["left"] = kinesis.list_streams()["StreamNames"]
print(json.dumps(told))
