import static java.nio.charset.StandardCharsets.UTF_8;

import java.math.BigInteger;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

/** The story that every client of the tests does, by the AWS SDK for Java: see ../python/story.py. */
public final class Story implements AutoCloseable {
  private static final String STREAM = "clicks";
  private static final int BULK = 500;
  private static final int SECONDS_MAX = 30;

  private final TreeSet<String> operations = new TreeSet<>();
  private final TreeSet<String> errors = new TreeSet<>();
  /** Where the server is and its keys stand in the environment. */
  private final KinesisClient kinesis = KinesisClient.builder().overrideConfiguration(this::configure).build();
  private final KinesisAsyncClient pushed = KinesisAsyncClient.builder().overrideConfiguration(this::configure).build();

  public static void main(String[] arguments) throws Exception {
    try (var story = new Story()) {
      story.run();
      System.out.println(story.told());
    }
    // Netty's threads take a while to end by themselves.
    System.exit(0);
  }

  private void run() throws Exception {
    var data = data();
    var arn = puts(data);
    var counts = reads(data);
    tags(arn);
    subscribes(arn, counts.get(0));
    reshards();
    administers();
    isRefused();
    delivers(arn);
    configures(arn);
    kinesis.deleteStream(to -> to.streamName(STREAM));
    expect("streams that are left", kinesis.listStreams().streamNames(), List.of());
  }

  /** Fails at the first refusal, and counts every operation that was answered. */
  private void configure(ClientOverrideConfiguration.Builder configuration) {
    configuration.retryStrategy(DefaultRetryStrategy.doNotRetry());
    configuration.addExecutionInterceptor(new ExecutionInterceptor() {
      @Override
      public void afterExecution(Context.AfterExecution context, ExecutionAttributes attributes) {
        synchronized (operations) {
          operations.add(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
        }
      }
    });
  }

  /** What is put in bulk: text of several lengths, with characters of two bytes. */
  private static Map<String, byte[]> data() {
    var data = new HashMap<String, byte[]>();
    for (var index = 0; index < BULK; index++) {
      data.put("key-" + index, ("record " + index + " " + "é".repeat(index % 97)).getBytes(UTF_8));
    }
    return data;
  }

  /** Makes the stream and puts what is read later, and a record that is no text. */
  private String puts(Map<String, byte[]> data) {
    kinesis.createStream(to -> to.streamName(STREAM).shardCount(2));
    kinesis.waiter().waitUntilStreamExists(of -> of.streamName(STREAM));
    expect("status", summary().streamStatus(), StreamStatus.ACTIVE);
    var entries = data.entrySet().stream().map(Story::entry).toList();
    var put = kinesis.putRecords(to -> to.streamName(STREAM).records(entries));
    expect("failed records", put.failedRecordCount(), 0);
    var bytes = new byte[256];
    for (var value = 0; value < bytes.length; value++) bytes[value] = (byte) value;
    data.put("bytes", bytes);
    expect("digits of a sequence number", putOne("bytes", bytes).sequenceNumber().length(), 56);
    return summary().streamARN();
  }

  private static PutRecordsRequestEntry entry(Map.Entry<String, byte[]> record) {
    var entry = PutRecordsRequestEntry.builder().partitionKey(record.getKey());
    return entry.data(SdkBytes.fromByteArray(record.getValue())).build();
  }

  private PutRecordResponse putOne(String key, byte[] data) {
    return kinesis.putRecord(to -> to.streamName(STREAM).partitionKey(key).data(SdkBytes.fromByteArray(data)));
  }

  private StreamDescriptionSummary summary() {
    return kinesis.describeStreamSummary(of -> of.streamName(STREAM)).streamDescriptionSummary();
  }

  private List<String> shards() {
    return kinesis.listShards(of -> of.streamName(STREAM)).shards().stream().map(Shard::shardId).toList();
  }

  /** Reads every shard to its end and compares; returns how many records each shard holds. */
  private List<Integer> reads(Map<String, byte[]> data) {
    var counts = new ArrayList<Integer>();
    for (var shard : shards()) {
      var iterator = kinesis.getShardIterator(
          of -> of.streamName(STREAM).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON));
      var records = kinesis.getRecords(from -> from.shardIterator(iterator.shardIterator())).records();
      for (var record : records) {
        var isSame = Arrays.equals(record.data().asByteArray(), data.get(record.partitionKey()));
        expect("data of " + record.partitionKey(), isSame, true);
        var age = Duration.between(record.approximateArrivalTimestamp(), java.time.Instant.now());
        expect("arrived within the hour", age.abs().compareTo(Duration.ofHours(1)) < 0, true);
      }
      counts.add(records.size());
    }
    expect("shards", counts.size(), 2);
    expect("number of records", counts.get(0) + counts.get(1), data.size());
    return counts;
  }

  private void tags(String arn) {
    kinesis.addTagsToStream(to -> to.streamName(STREAM).tags(Map.of("team", "búsqueda", "cost", "7")));
    var tags = kinesis.listTagsForStream(of -> of.streamName(STREAM)).tags();
    var values = tags.stream().collect(Collectors.toMap(Tag::key, Tag::value));
    expect("tags", values, Map.of("team", "búsqueda", "cost", "7"));
    kinesis.removeTagsFromStream(of -> of.streamName(STREAM).tagKeys("cost"));
    kinesis.tagResource(to -> to.resourceARN(arn).tags(Map.of("owner", "me")));
    kinesis.untagResource(of -> of.resourceARN(arn).tagKeys("team"));
    var left = kinesis.listTagsForResource(of -> of.resourceARN(arn)).tags();
    expect("tags of the resource", left, List.of(Tag.builder().key("owner").value("me").build()));
  }

  /** By the asynchronous client, which speaks HTTP/2. */
  private void subscribes(String arn, int count) throws Exception {
    var registered = kinesis.registerStreamConsumer(to -> to.streamARN(arn).consumerName("counter"));
    var consumer = registered.consumer().consumerARN();
    var described = kinesis.describeStreamConsumer(of -> of.consumerARN(consumer)).consumerDescription();
    expect("consumer", described.consumerStatus(), ConsumerStatus.ACTIVE);
    expect("consumers", kinesis.listStreamConsumers(of -> of.streamARN(arn)).consumers().size(), 1);
    var arrived = new AtomicInteger();
    var all = new CompletableFuture<Void>();
    var visitor = SubscribeToShardResponseHandler.Visitor.builder().onSubscribeToShardEvent(event -> {
      if (arrived.addAndGet(event.records().size()) >= count) all.complete(null);
    }).build();
    var handler = SubscribeToShardResponseHandler.builder().subscriber(visitor).onError(all::completeExceptionally).build();
    var subscription = pushed.subscribeToShard(to -> to.consumerARN(consumer).shardId("shardId-000000000000")
        .startingPosition(from -> from.type(ShardIteratorType.TRIM_HORIZON)), handler);
    all.get(SECONDS_MAX, TimeUnit.SECONDS);
    subscription.cancel(true);
    expect("records pushed", arrived.get(), count);
    // A subscription that is given up is never done: what was pushed is the answer.
    synchronized (operations) {
      operations.add("SubscribeToShard");
    }
    pushed.deregisterStreamConsumer(of -> of.consumerARN(consumer)).get(SECONDS_MAX, TimeUnit.SECONDS);
  }

  private void reshards() {
    var middle = BigInteger.TWO.pow(126).toString();
    kinesis.splitShard(of -> of.streamName(STREAM).shardToSplit("shardId-000000000000").newStartingHashKey(middle));
    expect("shards after a split", shards().size(), 4);
    kinesis.mergeShards(of -> of.streamName(STREAM).shardToMerge("shardId-000000000002")
        .adjacentShardToMerge("shardId-000000000003"));
    kinesis.updateShardCount(of -> of.streamName(STREAM).targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING));
    expect("open shards", summary().openShardCount(), 4);
  }

  private void administers() {
    kinesis.increaseStreamRetentionPeriod(of -> of.streamName(STREAM).retentionPeriodHours(48));
    kinesis.decreaseStreamRetentionPeriod(of -> of.streamName(STREAM).retentionPeriodHours(24));
    var described = kinesis.describeStream(of -> of.streamName(STREAM)).streamDescription();
    expect("retention", described.retentionPeriodHours(), 24);
    expect("open shards of the account", kinesis.describeLimits(of -> {}).openShardCount(), 4);
    expect("streams", kinesis.listStreams().streamNames(), List.of(STREAM));
  }

  private void isRefused() {
    fails(ResourceNotFoundException.class, () -> kinesis.describeStreamSummary(of -> of.streamName("missing")));
    fails(ResourceInUseException.class, () -> kinesis.createStream(to -> to.streamName(STREAM).shardCount(1)));
    fails(InvalidArgumentException.class, () -> kinesis.getRecords(from -> from.shardIterator("none")));
    // What one shard takes in a second is 1 MiB.
    var large = new byte[900_000];
    putOne("same", large);
    fails(ProvisionedThroughputExceededException.class, () -> putOne("same", large));
  }

  /** What a channel delivers is looked at by tests of its own: its first object is due after five minutes. */
  private void delivers(String arn) {
    var records = RecordConfiguration.builder().recordFormatType("STRING").build();
    var bucket = S3StorageConfiguration.builder().bucketARN("arn:aws:s3:::archive").expectedBucketOwner("000000000000")
        .compressionType(S3CompressionType.GZIP).build();
    var channel = kinesis.createChannel(to -> to.channelName("archive")
        .serviceExecutionRoleARN("arn:aws:iam::000000000000:role/delivery")
        .streamConfigurationList(of -> of.streamARN(arn).recordConfiguration(records))
        .s3DestinationConfiguration(s3 -> s3.dataFreshnessInSeconds(300).storageConfiguration(bucket)))
        .channelDescription().channelARN();
    kinesis.updateChannel(of -> of.channelARN(channel).s3DestinationConfiguration(to -> to.dataFreshnessInSeconds(600)));
    var told = kinesis.describeChannel(of -> of.channelARN(channel)).channelDescription();
    expect("freshness", told.s3DestinationConfiguration().dataFreshnessInSeconds(), 600);
    expect("channels", kinesis.listChannels(of -> {}).channelSummaries().size(), 1);
    kinesis.deleteChannel(of -> of.channelARN(channel));
  }

  /** What is set and told again, and what on-demand streams alone have. */
  private void configures(String arn) {
    var policy = """
        {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:Get*"}]}""";
    kinesis.putResourcePolicy(of -> of.resourceARN(arn).policy(policy));
    expect("policy", kinesis.getResourcePolicy(of -> of.resourceARN(arn)).policy(), policy);
    kinesis.deleteResourcePolicy(of -> of.resourceARN(arn));
    var metric = MetricsName.INCOMING_BYTES;
    var told = kinesis.enableEnhancedMonitoring(of -> of.streamName(STREAM).shardLevelMetrics(metric));
    expect("metrics of shards", told.desiredShardLevelMetrics(), List.of(metric));
    kinesis.disableEnhancedMonitoring(of -> of.streamName(STREAM).shardLevelMetrics(metric));
    kinesis.startStreamEncryption(of -> of.streamName(STREAM).encryptionType(EncryptionType.KMS).keyId("alias/key"));
    kinesis.stopStreamEncryption(of -> of.streamName(STREAM).encryptionType(EncryptionType.KMS).keyId("alias/key"));
    kinesis.updateMaxRecordSize(of -> of.streamARN(arn).maxRecordSizeInKiB(2_048));
    kinesis.updateStreamMode(of -> of.streamARN(arn).streamModeDetails(to -> to.streamMode(StreamMode.ON_DEMAND)));
    kinesis.updateAccountSettings(of -> of.minimumThroughputBillingCommitment(to -> to.status("ENABLED")));
    var commitment = kinesis.describeAccountSettings(of -> {}).minimumThroughputBillingCommitment();
    expect("commitment", commitment.statusAsString(), "ENABLED");
    kinesis.updateStreamWarmThroughput(of -> of.streamARN(arn).warmThroughputMiBps(5));
    expect("record size", summary().maxRecordSizeInKiB(), 2_048);
    expect("warm throughput", summary().warmThroughput().targetMiBps(), 5);
  }

  private void fails(Class<? extends KinesisException> expected, Runnable call) {
    try {
      call.run();
    } catch (KinesisException error) {
      expect("error", error.getClass(), expected);
      expect("code of the error", error.awsErrorDetails().errorCode(), expected.getSimpleName());
      errors.add(expected.getSimpleName());
      return;
    }
    throw new IllegalStateException("expected " + expected.getSimpleName() + ", got an answer");
  }

  private static void expect(String what, Object actual, Object expected) {
    if (!actual.equals(expected)) {
      throw new IllegalStateException("%s: expected %s, got %s".formatted(what, expected, actual));
    }
  }

  private String told() {
    return """
        {"version":"%s","operations":%s,"errors":%s,"cannot":{}}"""
        .formatted(VersionInfo.SDK_VERSION, json(operations), json(errors));
  }

  private static String json(TreeSet<String> names) {
    return names.stream().collect(Collectors.joining("\",\"", "[\"", "\"]"));
  }

  @Override
  public void close() {
    kinesis.close();
    pushed.close();
  }
}
