#!/usr/bin/env python3
"""Works on hookbus's jobs, which are calls of asynchronous tools: at least once each, again where it fails, and at last
into a stream of dead letters."""

import asyncio
import json
import os
import signal
import sys
import time

import nats
import nats.errors
from nats.js.api import ConsumerConfig

SERVER = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
ENDPOINT = os.environ.get("HOOKBUS_ENDPOINT", "vapi")
STREAM = os.environ.get("HOOKBUS_STREAM", "VAPI_JOBS")
PAUSES = [float(seconds) for seconds in os.environ.get("JOBS_PAUSES", "1 5 30 120").split()]  # before each new try
ATTEMPTS = len(PAUSES) + 1
ACK_WAIT = 30  # seconds until a job goes to another worker, when this one has died
AT_ONCE = 16


class Hopeless(Exception):
    """Another try would end alike: the job becomes a dead letter at once."""


async def send_report(arguments, attempt):
    if not isinstance(arguments.get("to"), str):
        raise Hopeless("`to` must be a text")
    await asyncio.sleep(0.1)  # the work


async def fail_at_first(arguments, attempt):
    if attempt <= arguments.get("times", 0):
        raise RuntimeError(f"attempt {attempt} failed on purpose")


JOBS = {"send_report": send_report, "fail_at_first": fail_at_first}


async def handle(jetstream, message):
    began, attempt = time.monotonic(), message.metadata.num_delivered
    alive = asyncio.create_task(keep(message))
    try:
        if attempt > ATTEMPTS:
            # Each of them ended with its worker's death, or else it would be a dead letter by now.
            raise Hopeless("no attempt came to an end")
        call = json.loads(message.data)
        if call["name"] not in JOBS:
            raise Hopeless(f"there is no job {call['name']}")
        await JOBS[call["name"]](call["arguments"], attempt)
        await message.ack()
        outcome = "done"
    except Exception as error:
        if isinstance(error, Hopeless) or attempt >= ATTEMPTS:
            outcome = await bury(jetstream, message, error)
        else:
            pause = PAUSES[attempt - 1]
            await message.nak(delay=pause)
            outcome = f"again in {pause:g} s: {error!r}"
    finally:
        alive.cancel()
    milliseconds = round((time.monotonic() - began) * 1000)
    log({"subject": message.subject, "attempt": attempt, "outcome": outcome, "milliseconds": milliseconds})


async def keep(message):
    """Work that takes long keeps its job from the others."""
    while True:
        await asyncio.sleep(ACK_WAIT / 3)
        await message.in_progress()


async def bury(jetstream, message, error):
    """First the copy, then the end of the job: between the two it is there twice, never not at all."""
    headers = {**(message.headers or {}), "Job-Error": repr(error).replace("\n", " ")}
    # JetStream drops the second copy where this was cut off and comes again.
    headers["Nats-Msg-Id"] = f"dead/{message.metadata.sequence.stream}"
    function = message.subject.rsplit(".", 1)[-1]
    await jetstream.publish(f"{ENDPOINT}.dead.{function}", message.data, headers=headers)
    await message.term()
    return f"dead letter: {error!r}"


def log(line):
    print(json.dumps(line), file=sys.stderr, flush=True)


async def main():
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)

    async def trouble(error):
        log({"nats": repr(error)})

    client = await nats.connect(SERVER, max_reconnect_attempts=-1, reconnect_time_wait=0.5, error_cb=trouble)
    jetstream = client.jetstream()
    # Without a limit of deliveries: a job that reaches one stays in the stream for ever, and nobody gets it.
    config = ConsumerConfig(ack_wait=ACK_WAIT, max_deliver=-1, max_ack_pending=1000)
    jobs = await jetstream.pull_subscribe(f"{ENDPOINT}.jobs.>", durable="jobs", stream=STREAM, config=config)
    print("ready", flush=True)

    running = set()
    while not stop.is_set():
        if len(running) >= AT_ONCE:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            continue
        try:
            messages = await jobs.fetch(AT_ONCE - len(running), timeout=1)
        except nats.errors.TimeoutError:
            continue  # nothing new
        except nats.errors.Error as error:
            log({"nats": repr(error)})
            await asyncio.sleep(1)
            continue
        for message in messages:
            task = asyncio.create_task(handle(jetstream, message))
            running.add(task)
            task.add_done_callback(running.discard)
    while running:
        await asyncio.wait(running)
    # Not drained: to nats-py a pull subscription is never empty. What it was given in this moment comes again.
    await client.flush()
    await client.close()


asyncio.run(main())
