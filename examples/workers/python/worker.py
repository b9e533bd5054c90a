#!/usr/bin/env python3
"""A worker for hookbus: a NATS micro service that answers tool calls with the functions of functions.py."""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
import time

import nats
import nats.micro

from functions import FUNCTIONS, Refused

SERVER = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
ENDPOINT = os.environ.get("HOOKBUS_ENDPOINT", "vapi")
AT_ONCE = 16  # calls of one function; more of them wait their turn, and a slow function holds up no other
PATIENCE = 20.0  # seconds, for a call without a deadline, such as one made by hand
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def seconds_left(headers):
    """Until the caller gives up: by the clock, or by the span that is given along where that is shorter."""
    left = float(headers.get("Hookbus-Timeout-Ms", PATIENCE * 1000)) / 1000
    if "Hookbus-Deadline" in headers:
        left = min(left, float(headers["Hookbus-Deadline"]) / 1000 - time.time())
    return left


def span(headers):
    """Our own span in the caller's trace. With OpenTelemetry, hand the headers to its propagator instead."""
    trace = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return {"trace": trace[1] if trace else secrets.token_hex(16), "span": secrets.token_hex(8)}


async def reply(function, request, turn):
    """Answers, and says what became of it. Whoever is late says nothing: nobody listens any more."""
    deadline = time.monotonic() + seconds_left(request.headers or {})
    async with turn:
        left = deadline - time.monotonic()
        if left <= 0:
            return "expired"
        try:
            arguments = json.loads(request.data)["arguments"]
            if not isinstance(arguments, dict):
                raise Refused("the arguments must be an object")
            answer = await asyncio.wait_for(function(arguments), left)
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            await request.respond(text.encode())
            return "answered"
        except asyncio.TimeoutError:
            return "given up at the deadline"
        except Refused as refused:
            await request.respond_error(str(refused.code), str(refused))
            return f"refused: {refused}"
        except Exception as error:
            await request.respond_error("500", "the function failed")
            return f"failed: {error!r}"


async def answer(function, request, turn):
    began = time.monotonic()
    try:
        outcome = await reply(function, request, turn)
    except Exception as error:
        outcome = f"not sent: {error!r}"
    line = {
        "function": function.__name__,
        "id": (request.headers or {}).get("Hookbus-Id"),
        "outcome": outcome,
        "milliseconds": round((time.monotonic() - began) * 1000),
        **span(request.headers or {}),
    }
    print(json.dumps(line), file=sys.stderr, flush=True)


async def main():
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)

    async def trouble(error):
        print(json.dumps({"nats": repr(error)}), file=sys.stderr, flush=True)

    # -1: for ever, also at the start while the server isn't there yet.
    connecting = asyncio.create_task(
        nats.connect(SERVER, max_reconnect_attempts=-1, reconnect_time_wait=0.5, ping_interval=20, error_cb=trouble)
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        return
    client = await connecting
    service = await nats.micro.add_service(client, name="python-worker", version="1.0.0")
    running = set()
    for function in FUNCTIONS:

        async def each(request, function=function, turn=asyncio.Semaphore(AT_ONCE)):
            # nats-py calls this for one question after the other, so the work itself is handed to a task.
            task = asyncio.create_task(answer(function, request, turn))
            running.add(task)
            task.add_done_callback(running.discard)

        name = function.__name__
        await service.add_endpoint(name=name, subject=f"{ENDPOINT}.tool.{name}", handler=each)
    await client.flush()
    print("ready", flush=True)

    await stop.wait()
    await service.stop()  # no new questions; those that have arrived are still handed out
    while running:
        await asyncio.wait(running)
    await client.drain()


asyncio.run(main())
