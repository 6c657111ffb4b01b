// The story that every client of the tests does, by the AWS SDK for Go: see ../python/story.py.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	bulk       = 500
	secondsMax = 60
)

var stream = aws.String("clicks")

// A story is a client, and what it has done so far.
type story struct {
	context    context.Context
	kinesis    *kinesis.Client
	operations map[string]bool
	errors     map[string]bool
}

func main() {
	context, cancel := context.WithTimeout(context.Background(), secondsMax*time.Second)
	defer cancel()
	// Where the server is, its keys and its authority stand in the environment.
	settings, err := config.LoadDefaultConfig(context, config.WithRetryMaxAttempts(1))
	must(err)
	settings.HTTPClient = wholeBodies{settings.HTTPClient}
	s := &story{context: context, operations: map[string]bool{}, errors: map[string]bool{}}
	s.kinesis = kinesis.NewFromConfig(settings, func(options *kinesis.Options) {
		options.APIOptions = append(options.APIOptions, s.countAnswers)
	})
	data, arn := s.puts()
	counts := s.reads(data)
	s.tags(arn)
	s.subscribes(arn, counts)
	s.reshards()
	s.administers()
	s.isRefused()
	s.delivers(arn)
	s.configures(arn)
	_, err = s.kinesis.DeleteStream(context, &kinesis.DeleteStreamInput{StreamName: stream})
	must(err)
	listed, err := s.kinesis.ListStreams(context, &kinesis.ListStreamsInput{})
	must(err)
	expect("streams that are left", len(listed.StreamNames), 0)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"version":    version(),
		"operations": sorted(s.operations),
		"errors":     sorted(s.errors),
		"cannot":     map[string]string{},
	}))
}

// A wholeBodies gives net/http each request's body as memory. The SDK closes a body as soon as its answer begins, and
// where net/http still asks that body whether it has ended, the SDK tells an error, for which net/http closes the
// connection under the answer (smithy-go 1.28.9, safeWriteToReadCloser.WriteTo). Over HTTP/1.1 a server on the same
// machine is fast enough for that; the SDK's retries, which this story does without, hide it.
type wholeBodies struct{ client aws.HTTPClient }

func (w wholeBodies) Do(request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		return w.client.Do(request)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	whole := request.Clone(request.Context())
	whole.Body = io.NopCloser(bytes.NewReader(body))
	return w.client.Do(whole)
}

// countAnswers notes every operation that was answered, whoever called it.
func (s *story) countAnswers(stack *middleware.Stack) error {
	count := func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleInitialize(ctx, in)
		if err == nil {
			s.operations[middleware.GetOperationName(ctx)] = true
		}
		return out, metadata, err
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CountAnswers", count), middleware.After)
}

// puts makes the stream and puts what is read later; it returns the data of each key.
func (s *story) puts() (map[string][]byte, *string) {
	_, err := s.kinesis.CreateStream(s.context, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(2)})
	must(err)
	waiter := kinesis.NewStreamExistsWaiter(s.kinesis)
	must(waiter.Wait(s.context, &kinesis.DescribeStreamInput{StreamName: stream}, 20*time.Second))
	summary := s.summary()
	expect("status", summary.StreamStatus, types.StreamStatusActive)
	data := map[string][]byte{}
	var entries []types.PutRecordsRequestEntry
	for index := range bulk {
		key := fmt.Sprintf("key-%d", index)
		data[key] = fmt.Appendf(nil, "record %d %s", index, strings.Repeat("é", index%97))
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(key), Data: data[key]})
	}
	put, err := s.kinesis.PutRecords(s.context, &kinesis.PutRecordsInput{StreamName: stream, Records: entries})
	must(err)
	expect("failed records", *put.FailedRecordCount, 0)
	for value := range 256 {
		data["bytes"] = append(data["bytes"], byte(value))
	}
	single, err := s.putOne("bytes", data["bytes"])
	must(err)
	expect("digits of a sequence number", len(*single.SequenceNumber), 56)
	return data, summary.StreamARN
}

func (s *story) putOne(key string, data []byte) (*kinesis.PutRecordOutput, error) {
	return s.kinesis.PutRecord(s.context, &kinesis.PutRecordInput{
		StreamName: stream, PartitionKey: aws.String(key), Data: data,
	})
}

func (s *story) summary() *types.StreamDescriptionSummary {
	answer, err := s.kinesis.DescribeStreamSummary(s.context, &kinesis.DescribeStreamSummaryInput{StreamName: stream})
	must(err)
	return answer.StreamDescriptionSummary
}

func (s *story) shards() []types.Shard {
	listed, err := s.kinesis.ListShards(s.context, &kinesis.ListShardsInput{StreamName: stream})
	must(err)
	return listed.Shards
}

// reads reads every shard to its end and compares; it returns how many records each shard holds.
func (s *story) reads(data map[string][]byte) []int {
	var counts []int
	total := 0
	for _, shard := range s.shards() {
		iterator, err := s.kinesis.GetShardIterator(s.context, &kinesis.GetShardIteratorInput{
			StreamName: stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		must(err)
		answer, err := s.kinesis.GetRecords(s.context, &kinesis.GetRecordsInput{ShardIterator: iterator.ShardIterator})
		must(err)
		for _, record := range answer.Records {
			key := *record.PartitionKey
			expect("data of "+key, bytes.Equal(record.Data, data[key]), true)
		}
		counts = append(counts, len(answer.Records))
		total += len(answer.Records)
	}
	expect("shards", len(counts), 2)
	expect("number of records", total, len(data))
	return counts
}

func (s *story) tags(arn *string) {
	_, err := s.kinesis.AddTagsToStream(s.context, &kinesis.AddTagsToStreamInput{
		StreamName: stream, Tags: map[string]string{"team": "búsqueda", "cost": "7"},
	})
	must(err)
	listed, err := s.kinesis.ListTagsForStream(s.context, &kinesis.ListTagsForStreamInput{StreamName: stream})
	must(err)
	tags := map[string]string{}
	for _, tag := range listed.Tags {
		tags[*tag.Key] = *tag.Value
	}
	expect("tags", fmt.Sprint(tags), "map[cost:7 team:búsqueda]")
	_, err = s.kinesis.RemoveTagsFromStream(s.context, &kinesis.RemoveTagsFromStreamInput{
		StreamName: stream, TagKeys: []string{"cost"},
	})
	must(err)
	_, err = s.kinesis.TagResource(s.context, &kinesis.TagResourceInput{
		ResourceARN: arn, Tags: map[string]string{"owner": "me"},
	})
	must(err)
	_, err = s.kinesis.UntagResource(s.context, &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"team"}})
	must(err)
	left, err := s.kinesis.ListTagsForResource(s.context, &kinesis.ListTagsForResourceInput{ResourceARN: arn})
	must(err)
	expect("tags of the resource", len(left.Tags), 1)
	expect("the tag of the resource", *left.Tags[0].Key, "owner")
}

func (s *story) subscribes(arn *string, counts []int) {
	registered, err := s.kinesis.RegisterStreamConsumer(s.context, &kinesis.RegisterStreamConsumerInput{
		StreamARN: arn, ConsumerName: aws.String("counter"),
	})
	must(err)
	consumer := registered.Consumer.ConsumerARN
	described, err := s.kinesis.DescribeStreamConsumer(s.context, &kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer})
	must(err)
	expect("consumer", described.ConsumerDescription.ConsumerStatus, types.ConsumerStatusActive)
	listed, err := s.kinesis.ListStreamConsumers(s.context, &kinesis.ListStreamConsumersInput{StreamARN: arn})
	must(err)
	expect("consumers", len(listed.Consumers), 1)
	subscription, err := s.kinesis.SubscribeToShard(s.context, &kinesis.SubscribeToShardInput{
		ConsumerARN:      consumer,
		ShardId:          aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	must(err)
	pushed := 0
	for event := range subscription.GetStream().Events() {
		arrived, isRecords := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
		expect("an event of records", isRecords, true)
		pushed += len(arrived.Value.Records)
		if pushed >= counts[0] {
			break
		}
	}
	must(subscription.GetStream().Err())
	expect("records pushed", pushed, counts[0])
	// Not looked at: the SDK's reader may come upon the connection that this closes, and tells that as its error.
	_ = subscription.GetStream().Close()
	_, err = s.kinesis.DeregisterStreamConsumer(s.context, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer})
	must(err)
}

func (s *story) reshards() {
	_, err := s.kinesis.SplitShard(s.context, &kinesis.SplitShardInput{
		StreamName:         stream,
		ShardToSplit:       aws.String("shardId-000000000000"),
		NewStartingHashKey: aws.String("85070591730234615865843651857942052864"),
	})
	must(err)
	expect("shards after a split", len(s.shards()), 4)
	_, err = s.kinesis.MergeShards(s.context, &kinesis.MergeShardsInput{
		StreamName:           stream,
		ShardToMerge:         aws.String("shardId-000000000002"),
		AdjacentShardToMerge: aws.String("shardId-000000000003"),
	})
	must(err)
	_, err = s.kinesis.UpdateShardCount(s.context, &kinesis.UpdateShardCountInput{
		StreamName: stream, TargetShardCount: aws.Int32(4), ScalingType: types.ScalingTypeUniformScaling,
	})
	must(err)
	expect("open shards", *s.summary().OpenShardCount, 4)
}

func (s *story) administers() {
	_, err := s.kinesis.IncreaseStreamRetentionPeriod(s.context, &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: stream, RetentionPeriodHours: aws.Int32(48),
	})
	must(err)
	_, err = s.kinesis.DecreaseStreamRetentionPeriod(s.context, &kinesis.DecreaseStreamRetentionPeriodInput{
		StreamName: stream, RetentionPeriodHours: aws.Int32(24),
	})
	must(err)
	described, err := s.kinesis.DescribeStream(s.context, &kinesis.DescribeStreamInput{StreamName: stream})
	must(err)
	expect("retention", *described.StreamDescription.RetentionPeriodHours, 24)
	limits, err := s.kinesis.DescribeLimits(s.context, &kinesis.DescribeLimitsInput{})
	must(err)
	expect("open shards of the account", *limits.OpenShardCount, 4)
	listed, err := s.kinesis.ListStreams(s.context, &kinesis.ListStreamsInput{})
	must(err)
	expect("streams", fmt.Sprint(listed.StreamNames), "[clicks]")
}

func (s *story) isRefused() {
	_, err := s.kinesis.DescribeStreamSummary(s.context, &kinesis.DescribeStreamSummaryInput{
		StreamName: aws.String("missing"),
	})
	fails[*types.ResourceNotFoundException](s, err)
	_, err = s.kinesis.CreateStream(s.context, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)})
	fails[*types.ResourceInUseException](s, err)
	_, err = s.kinesis.GetRecords(s.context, &kinesis.GetRecordsInput{ShardIterator: aws.String("none")})
	fails[*types.InvalidArgumentException](s, err)
	// What one shard takes in a second is 1 MiB.
	large := make([]byte, 900_000)
	_, err = s.putOne("same", large)
	must(err)
	_, err = s.putOne("same", large)
	fails[*types.ProvisionedThroughputExceededException](s, err)
}

// delivers makes a channel; what it delivers is looked at by tests of its own: its first object is due after five minutes.
func (s *story) delivers(arn *string) {
	created, err := s.kinesis.CreateChannel(s.context, &kinesis.CreateChannelInput{
		ChannelName:             aws.String("archive"),
		ServiceExecutionRoleARN: aws.String("arn:aws:iam::000000000000:role/delivery"),
		StreamConfigurationList: []types.ChannelStreamConfiguration{{
			StreamARN:           arn,
			RecordConfiguration: &types.RecordConfiguration{RecordFormatType: types.RecordFormatTypeString},
		}},
		S3DestinationConfiguration: &types.S3DestinationConfiguration{
			DataFreshnessInSeconds: aws.Int32(300),
			StorageConfiguration: &types.S3StorageConfiguration{
				BucketARN:           aws.String("arn:aws:s3:::archive"),
				ExpectedBucketOwner: aws.String("000000000000"),
				CompressionType:     types.S3CompressionTypeGzip,
			},
		},
	})
	must(err)
	channel := created.ChannelDescription.ChannelARN
	_, err = s.kinesis.UpdateChannel(s.context, &kinesis.UpdateChannelInput{
		ChannelARN:                 channel,
		S3DestinationConfiguration: &types.S3DestinationUpdateInput{DataFreshnessInSeconds: aws.Int32(600)},
	})
	must(err)
	told, err := s.kinesis.DescribeChannel(s.context, &kinesis.DescribeChannelInput{ChannelARN: channel})
	must(err)
	expect("freshness", *told.ChannelDescription.S3DestinationConfiguration.DataFreshnessInSeconds, 600)
	listed, err := s.kinesis.ListChannels(s.context, &kinesis.ListChannelsInput{})
	must(err)
	expect("channels", len(listed.ChannelSummaries), 1)
	_, err = s.kinesis.DeleteChannel(s.context, &kinesis.DeleteChannelInput{ChannelARN: channel})
	must(err)
}

// configures sets what is told again, and what on-demand streams alone have.
func (s *story) configures(arn *string) {
	policy := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:Get*"}]}`)
	_, err := s.kinesis.PutResourcePolicy(s.context, &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: policy})
	must(err)
	kept, err := s.kinesis.GetResourcePolicy(s.context, &kinesis.GetResourcePolicyInput{ResourceARN: arn})
	must(err)
	expect("policy", *kept.Policy, *policy)
	_, err = s.kinesis.DeleteResourcePolicy(s.context, &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
	must(err)
	metrics := []types.MetricsName{types.MetricsNameIncomingBytes}
	enabled, err := s.kinesis.EnableEnhancedMonitoring(s.context, &kinesis.EnableEnhancedMonitoringInput{
		StreamName: stream, ShardLevelMetrics: metrics,
	})
	must(err)
	expect("metrics of shards", fmt.Sprint(enabled.DesiredShardLevelMetrics), "[IncomingBytes]")
	_, err = s.kinesis.DisableEnhancedMonitoring(s.context, &kinesis.DisableEnhancedMonitoringInput{
		StreamName: stream, ShardLevelMetrics: metrics,
	})
	must(err)
	key := aws.String("alias/key")
	_, err = s.kinesis.StartStreamEncryption(s.context, &kinesis.StartStreamEncryptionInput{
		StreamName: stream, EncryptionType: types.EncryptionTypeKms, KeyId: key,
	})
	must(err)
	_, err = s.kinesis.StopStreamEncryption(s.context, &kinesis.StopStreamEncryptionInput{
		StreamName: stream, EncryptionType: types.EncryptionTypeKms, KeyId: key,
	})
	must(err)
	_, err = s.kinesis.UpdateMaxRecordSize(s.context, &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: arn, MaxRecordSizeInKiB: aws.Int32(2_048),
	})
	must(err)
	_, err = s.kinesis.UpdateStreamMode(s.context, &kinesis.UpdateStreamModeInput{
		StreamARN: arn, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	})
	must(err)
	_, err = s.kinesis.UpdateAccountSettings(s.context, &kinesis.UpdateAccountSettingsInput{
		MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{
			Status: types.MinimumThroughputBillingCommitmentInputStatusEnabled,
		},
	})
	must(err)
	account, err := s.kinesis.DescribeAccountSettings(s.context, &kinesis.DescribeAccountSettingsInput{})
	must(err)
	expect("commitment", string(account.MinimumThroughputBillingCommitment.Status), "ENABLED")
	_, err = s.kinesis.UpdateStreamWarmThroughput(s.context, &kinesis.UpdateStreamWarmThroughputInput{
		StreamARN: arn, WarmThroughputMiBps: aws.Int32(5),
	})
	must(err)
	summary := s.summary()
	expect("record size", *summary.MaxRecordSizeInKiB, 2_048)
	expect("warm throughput", *summary.WarmThroughput.TargetMiBps, 5)
}

// fails notes an error that came in its type.
func fails[T interface {
	error
	ErrorCode() string
}](s *story, err error) {
	var typed T
	if !errors.As(err, &typed) {
		panic(fmt.Sprintf("expected %T, got %v", typed, err))
	}
	s.errors[typed.ErrorCode()] = true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect[T comparable](what string, actual, expected T) {
	if actual != expected {
		panic(fmt.Sprintf("%s: expected %v, got %v", what, expected, actual))
	}
}

func sorted(names map[string]bool) []string {
	var list []string
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
