// A worker for hookbus: a NATS micro service that answers tool calls with the functions of functions.ts.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceMsg, Svcm } from "@nats-io/services";
import { connect, type MsgHdrs } from "@nats-io/transport-node";
import { type Arguments, type Function, functions, Refused } from "./functions.js";

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222";
const endpoint = process.env.HOOKBUS_ENDPOINT ?? "vapi";
const atOnce = 16; // calls of one function; more of them wait their turn, and a slow function holds up no other
const patience = 20_000; // milliseconds, for a call without a deadline, such as one made by hand

const log = (line: object) => console.error(JSON.stringify(line));

/** Lets so many through at a time, in order. */
class Turns {
  private waiting: (() => void)[] = [];
  constructor(private free: number) {}

  async take(): Promise<void> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((next) => this.waiting.push(next));
  }

  give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  }
}

/** Until the caller gives up: by the clock, or by the span that is given along where that is shorter. */
function millisecondsLeft(headers?: MsgHdrs): number {
  const span = Number(headers?.get("Hookbus-Timeout-Ms") || patience);
  const deadline = Number(headers?.get("Hookbus-Deadline") || Infinity);
  return Math.min(span, deadline - Date.now());
}

/** Our own span in the caller's trace. With OpenTelemetry, hand the headers to its propagator instead. */
function traced(headers?: MsgHdrs) {
  const parent = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(headers?.get("traceparent") ?? "");
  return { trace: parent?.[1] ?? randomBytes(16).toString("hex"), span: randomBytes(8).toString("hex") };
}

/** Answers, and says what became of it. Whoever is late says nothing: nobody listens any more. */
async function reply(work: Function, request: ServiceMsg, signal: AbortSignal): Promise<string> {
  try {
    const { arguments: given } = request.json<{ arguments?: Arguments }>() ?? {};
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw new Refused("the arguments must be an object");
    }
    const answer = await work(given, signal);
    if (signal.aborted) return "given up at the deadline";
    request.respond(typeof answer === "string" ? answer : JSON.stringify(answer));
    return "answered";
  } catch (error) {
    if (signal.aborted) return "given up at the deadline";
    const refused = error instanceof Refused;
    request.respondError(refused ? error.code : 500, refused ? error.message : "the function failed");
    return `${refused ? "refused" : "failed"}: ${(error as Error).message}`;
  }
}

async function answer(name: string, work: Function, request: ServiceMsg, turns: Turns): Promise<void> {
  const began = performance.now();
  const deadline = began + millisecondsLeft(request.headers);
  await turns.take();
  let outcome = "expired";
  try {
    const left = deadline - performance.now();
    if (left > 0) outcome = await reply(work, request, AbortSignal.timeout(Math.ceil(left)));
  } catch (error) {
    outcome = `not sent: ${(error as Error).message}`;
  } finally {
    turns.give();
  }
  log({
    function: name,
    id: request.headers?.get("Hookbus-Id"),
    outcome,
    milliseconds: Math.round(performance.now() - began),
    ...traced(request.headers),
  });
}

const stop = new Promise<undefined>((stop) => {
  process.once("SIGTERM", () => stop(undefined));
  process.once("SIGINT", () => stop(undefined));
});
// It asks for ever, also at the start while the server is not there yet.
const options = { maxReconnectAttempts: -1, reconnectTimeWait: 500, pingInterval: 20_000, waitOnFirstConnect: true };
const client = await Promise.race([connect({ servers, ...options }), stop]);
if (!client) process.exit(0);

(async () => {
  for await (const { type } of client.status()) {
    if (type !== "ping") log({ nats: type });
  }
})();

// It keeps its own copy of the client's types; `overrides` in package.json makes them one.
const service = await new Svcm(client).add({ name: "typescript-worker", version: "1.0.0" });
const group = service.addGroup(`${endpoint}.tool`);
const running = new Set<Promise<void>>();
for (const [name, work] of Object.entries(functions)) {
  const turns = new Turns(atOnce);
  group.addEndpoint(name, (error, request) => {
    if (error) return log({ function: name, error: error.message });
    const task = answer(name, work, request, turns).finally(() => running.delete(task));
    running.add(task);
  });
}
await client.flush();
console.log("ready");

await stop;
await service.stop(); // no new questions; those that have arrived are still handed out
while (running.size > 0) await Promise.all(running);
await client.drain();
