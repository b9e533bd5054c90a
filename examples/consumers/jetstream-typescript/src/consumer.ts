// Reads hookbus's events from JetStream: durable, each acknowledged after the work, each id worked on once.
import { createHash } from "node:crypto";
import { AckPolicy, jetstream, jetstreamManager, type JsMsg } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { type CloudEvent, HTTP } from "cloudevents";

const stream = process.env.HOOKBUS_STREAM ?? "VAPI";
const durable = process.env.HOOKBUS_DURABLE ?? "typescript-consumer";

const log = (line: object) => console.error(JSON.stringify(line));

/**
 * The SDK has no binding for NATS. Its HTTP binding is the same but for two things: where the content type stands, and
 * that this SDK doesn't decode the percent-encoding of the values.
 */
function read(message: JsMsg): CloudEvent<unknown> {
  const headers: Record<string, string> = {};
  for (const name of message.headers?.keys() ?? []) {
    headers[name === "ce-datacontenttype" ? "content-type" : name] = decode(message.headers!.get(name));
  }
  return HTTP.toEvent({ headers, body: message.string() }) as CloudEvent<unknown>;
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Your part. It may meet an event twice all the same: this process forgets its ids when it ends. */
async function work(event: CloudEvent<unknown>, body: Uint8Array): Promise<void> {
  const { id, type, subject, source, time, datacontenttype } = event;
  const sha256 = createHash("sha256").update(body).digest("hex");
  console.log(JSON.stringify({ id, type, subject, source, time, datacontenttype, size: body.length, sha256 }));
}

const seen = new Set<string>(); // in the order in which they came

async function handle(message: JsMsg): Promise<void> {
  let event: CloudEvent<unknown>;
  try {
    event = read(message);
  } catch (error) {
    log({ subject: message.subject, error: `not an event: ${(error as Error).message}` });
    return message.term(); // nor will it be the next time
  }
  try {
    if (!seen.has(event.id)) {
      await work(event, message.data);
      seen.add(event.id);
      if (seen.size > 10_000) seen.delete(seen.values().next().value!);
    }
    message.ack();
  } catch (error) {
    log({ id: event.id, error: `again in 5 s: ${(error as Error).message}` });
    message.nak(5000);
  }
}

const client = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });
const manager = await jetstreamManager(client);
await manager.consumers.add(stream, {
  durable_name: durable,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(30_000), // longer than the work takes: what isn't acknowledged by then comes again
  filter_subject: process.env.HOOKBUS_SUBJECT, // such as vapi.events.end-of-call-report; all where it isn't set
});
const consumer = await jetstream(client).consumers.get(stream, durable);
// One message after the other, in order. Further processes with the same durable name share the work.
const messages = await consumer.consume({ max_messages: 100 });
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => messages.stop());
}
console.log("ready");

for await (const message of messages) {
  await handle(message);
}
await client.drain();
