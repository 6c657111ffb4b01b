import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.ExcerptTailer;
import net.openhft.chronicle.wire.DocumentContext;

/**
 * Chronicle Queue as its own documentation uses it: an appender in one thread, a tailer that spins in another.
 *
 * <p>Arguments: folder, records a second (0: half of the greatest rate that it finds first), seconds. It prints p50 and
 * p99 from before the append to the tailer's read in microseconds, and the greatest rate or 0.
 */
public final class Chronicle {
    private static final int RECORD_BYTES = 100;
    private static final int WARM_UP = 200_000;

    private final ChronicleQueue queue;
    private final AtomicLong read = new AtomicLong();
    private volatile long[] latenciesNs = new long[0];
    private volatile boolean ended;

    private Chronicle(String folder) {
        queue = ChronicleQueue.singleBuilder(folder).build();
    }

    public static void main(String[] arguments) throws InterruptedException {
        double rate = Double.parseDouble(arguments[1]);
        double seconds = Double.parseDouble(arguments[2]);
        new Chronicle(arguments[0]).run(rate, seconds);
    }

    private void run(double wanted, double seconds) throws InterruptedException {
        Thread reader = new Thread(this::readAll);
        reader.start();
        ExcerptAppender appender = queue.createAppender();
        publish(appender, WARM_UP, Double.POSITIVE_INFINITY);
        double greatest = 0;
        if (wanted == 0) {
            int count = WARM_UP * 10;
            long started = System.nanoTime();
            publish(appender, count, Double.POSITIVE_INFINITY);
            greatest = count * 1e9 / (System.nanoTime() - started);
        }
        double rate = wanted == 0 ? greatest / 2 : wanted;
        long[] sorted = publish(appender, (int) Math.max(1, rate * seconds), rate);
        ended = true;
        reader.join();
        queue.close();
        Arrays.sort(sorted);
        System.out.printf("%.3f %.3f %.0f%n", percentileUs(sorted, 0.5), percentileUs(sorted, 0.99), greatest);
    }

    /** Publishes at a rate, waits until all was read, and returns the nanoseconds that each record took. */
    private long[] publish(ExcerptAppender appender, int count, double rate) {
        Bytes<?> record = Bytes.allocateElasticDirect(RECORD_BYTES);
        long[] taken = new long[count];
        read.set(0);
        latenciesNs = taken;
        long started = System.nanoTime();
        for (int i = 0; i < count; i++) {
            while ((System.nanoTime() - started) * rate < i * 1e9) Thread.onSpinWait();
            record.clear();
            record.writeLong(System.nanoTime());
            record.writePosition(RECORD_BYTES);
            appender.writeBytes(record);
        }
        while (read.get() < count) Thread.onSpinWait();
        record.releaseLast();
        return taken;
    }

    private void readAll() {
        ExcerptTailer tailer = queue.createTailer();
        while (!ended) {
            try (DocumentContext document = tailer.readingDocument()) {
                if (!document.isPresent()) continue;
                long stamp = document.wire().bytes().readLong();
                int at = (int) read.get();
                latenciesNs[at] = System.nanoTime() - stamp;
                read.lazySet(at + 1);
            }
        }
    }

    private static double percentileUs(long[] sorted, double share) {
        return sorted[(int) ((sorted.length - 1) * share)] / 1e3;
    }
}
