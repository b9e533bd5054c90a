package hookbus;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.kafka.CloudEventDeserializer;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads hookbus's events from Kafka: in a group, each committed after the work, each id worked on once. */
public final class Consumer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final CloudEventDeserializer EVENTS = new CloudEventDeserializer();

    /** The newest ids. */
    private static final Map<String, Boolean> SEEN = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > 10_000;
        }
    };

    private static final CountDownLatch ENDED = new CountDownLatch(1);
    private static volatile boolean stopping;
    private static volatile boolean isClean;

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, setting("KAFKA_BROKERS", "127.0.0.1:9092"),
                ConsumerConfig.GROUP_ID_CONFIG, setting("KAFKA_GROUP", "java-consumer"),
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        Runtime.getRuntime().addShutdownHook(new Thread(Consumer::stop));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(setting("KAFKA_TOPIC", "vapi.events")));
            System.out.println("ready");
            while (!stopping) {
                var records = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<String, byte[]> record : records) {
                    handle(record);
                }
                if (!records.isEmpty()) {
                    consumer.commitSync(); // after the work on all of them
                }
            }
            isClean = true;
        } finally {
            ENDED.countDown(); // the consumer is closed and has left its group
        }
    }

    /** Runs at the end of the JVM: by a signal, or after main has ended. */
    private static void stop() {
        stopping = true;
        try {
            ENDED.await();
        } catch (InterruptedException impatient) {
            return;
        }
        if (isClean) {
            // The JVM would end with the number of the signal: it ended as it should.
            Runtime.getRuntime().halt(0);
        }
    }

    private static void handle(ConsumerRecord<String, byte[]> record) throws Exception {
        CloudEvent event;
        try {
            event = EVENTS.deserialize(record.topic(), record.headers(), record.value());
        } catch (RuntimeException error) {
            // It will not be an event the next time either: say so, and go on.
            String where = record.topic() + "/" + record.partition() + "/" + record.offset();
            System.err.println(JSON.writeValueAsString(Map.of("record", where, "error", "not an event: " + error)));
            return;
        }
        // Where the work fails, this process ends, and what isn't committed comes again.
        if (!SEEN.containsKey(event.getId())) {
            work(event, record.value());
            SEEN.put(event.getId(), true);
        }
    }

    /** Your part. It may meet an event twice all the same: this process forgets its ids when it ends. */
    private static void work(CloudEvent event, byte[] body) throws Exception {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("id", event.getId());
        line.put("type", event.getType());
        line.put("subject", event.getSubject());
        line.put("source", event.getSource().toString());
        line.put("time", event.getTime().toString());
        line.put("datacontenttype", event.getDataContentType());
        line.put("size", body.length);
        line.put("sha256", HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
        System.out.println(JSON.writeValueAsString(line));
    }

    private static String setting(String name, String unset) {
        return System.getenv().getOrDefault(name, unset);
    }

    private Consumer() {}
}
