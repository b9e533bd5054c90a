package hookbus;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import hookbus.Functions.Function;
import hookbus.Functions.Refused;
import io.nats.client.Connection;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.impl.Headers;
import io.nats.service.Group;
import io.nats.service.Service;
import io.nats.service.ServiceEndpoint;
import io.nats.service.ServiceMessage;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A worker for hookbus: a NATS micro service that answers tool calls with the functions of Functions.java. */
public final class Worker {
    /** Calls of one function; more of them wait their turn, and a slow function holds up no other. */
    private static final int AT_ONCE = 16;

    /** For a call without a deadline, such as one made by hand. */
    private static final long PATIENCE_MILLIS = 20_000;

    private static final Pattern TRACEPARENT = Pattern.compile("00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    private final List<ExecutorService> pools = new ArrayList<>();
    private Connection client;
    private Service service;

    public static void main(String[] arguments) throws Exception {
        Worker worker = new Worker();
        Runtime.getRuntime().addShutdownHook(new Thread(worker::stop));
        worker.start(System.getenv().getOrDefault("NATS_URL", "nats://127.0.0.1:4222"),
                System.getenv().getOrDefault("HOOKBUS_ENDPOINT", "vapi"));
        System.out.println("ready");
        Thread.currentThread().join(); // until a signal
    }

    private void start(String server, String endpoint) throws Exception {
        Options options = Options.builder()
                .server(server)
                .maxReconnects(-1)
                .reconnectWait(Duration.ofMillis(500))
                .pingInterval(Duration.ofSeconds(20))
                .connectionListener((connection, event) -> log(Map.of("nats", event.toString())))
                .build();
        Connection connected = Nats.connectReconnectOnConnect(options); // the server may come after this worker
        Group group = new Group(endpoint + ".tool");
        var builder = Service.builder().connection(connected).name("java-worker").version("1.0.0")
                .drainTimeout(Duration.ofSeconds(20));
        for (var function : Functions.ALL.entrySet()) {
            ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
            pools.add(pool);
            // jnats calls this for one question after the other, so the work itself is handed to a pool.
            builder.addServiceEndpoint(ServiceEndpoint.builder().group(group).endpointName(function.getKey())
                    .handler(request -> accept(function.getKey(), function.getValue(), request, pool)).build());
        }
        synchronized (this) {
            client = connected;
            service = builder.build();
            service.startService();
        }
        client.flush(Duration.ofSeconds(5));
    }

    /** No new questions; those that have arrived are still handed out and answered. */
    private synchronized void stop() {
        try {
            if (service != null) {
                service.stop();
                for (ExecutorService pool : pools) {
                    pool.shutdown();
                    pool.awaitTermination(60, TimeUnit.SECONDS);
                }
                client.flush(Duration.ofSeconds(5));
                client.close();
            }
            // The JVM would end with the number of the signal: it ended as it should.
            Runtime.getRuntime().halt(0);
        } catch (Exception error) {
            log(Map.of("stop", error.toString()));
        }
    }

    private void accept(String name, Function function, ServiceMessage request, ExecutorService pool) {
        long began = System.nanoTime();
        long deadline = began + TimeUnit.MILLISECONDS.toNanos(millisLeft(request.getHeaders()));
        pool.execute(() -> {
            String outcome;
            try {
                long left = deadline - System.nanoTime();
                outcome = left > 0 ? reply(function, request, left) : "expired";
            } catch (Exception error) {
                outcome = "not sent: " + error;
            }
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("function", name);
            line.put("id", header(request.getHeaders(), "Hookbus-Id"));
            line.put("outcome", outcome);
            line.put("milliseconds", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
            trace(request.getHeaders(), line);
            log(line);
        });
    }

    /** Answers, and says what became of it. Whoever is late says nothing: nobody listens any more. */
    private String reply(Function function, ServiceMessage request, long nanosLeft) throws Exception {
        FutureTask<Object> work = new FutureTask<>(() -> {
            JsonNode given = JSON.readTree(request.getData()).path("arguments");
            if (!given.isObject()) {
                throw new Refused("the arguments must be an object");
            }
            return function.answer(given);
        });
        var alarm = timer.schedule(() -> work.cancel(true), nanosLeft, TimeUnit.NANOSECONDS);
        try {
            work.run();
            Object answer = work.get();
            boolean isText = answer instanceof String;
            request.respond(client, isText ? ((String) answer).getBytes(StandardCharsets.UTF_8) : JSON.writeValueAsBytes(answer));
            return "answered";
        } catch (CancellationException late) {
            return "given up at the deadline";
        } catch (ExecutionException failed) {
            if (failed.getCause() instanceof Refused refused) {
                request.respondStandardError(client, refused.getMessage(), refused.code);
                return "refused: " + refused.getMessage();
            }
            request.respondStandardError(client, "the function failed", 500);
            return "failed: " + failed.getCause();
        } finally {
            alarm.cancel(false);
            Thread.interrupted(); // what is left of a cancellation is not for the next call
        }
    }

    /** Until the caller gives up: by the clock, or by the span that is given along where that is shorter. */
    private static long millisLeft(Headers headers) {
        String span = header(headers, "Hookbus-Timeout-Ms");
        String deadline = header(headers, "Hookbus-Deadline");
        long left = span == null ? PATIENCE_MILLIS : Long.parseLong(span);
        return deadline == null ? left : Math.min(left, Long.parseLong(deadline) - System.currentTimeMillis());
    }

    /** Our own span in the caller's trace. With OpenTelemetry, hand the headers to its propagator instead. */
    private static void trace(Headers headers, Map<String, Object> line) {
        byte[] random = new byte[24];
        ThreadLocalRandom.current().nextBytes(random);
        String parent = header(headers, "traceparent");
        Matcher found = TRACEPARENT.matcher(parent == null ? "" : parent);
        line.put("trace", found.matches() ? found.group(1) : HexFormat.of().formatHex(random, 0, 16));
        line.put("span", HexFormat.of().formatHex(random, 16, 24));
    }

    private static String header(Headers headers, String name) {
        return headers == null ? null : headers.getFirst(name);
    }

    private static void log(Map<String, ?> line) {
        try {
            System.err.println(JSON.writeValueAsString(line));
        } catch (Exception error) {
            System.err.println(line);
        }
    }
}
