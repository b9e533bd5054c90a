#!/usr/bin/env python3
"""A voice for hookbus: answers each voice-request with raw PCM, chunk by chunk. Here it is only a tone."""

import asyncio
import json
import math
import os
import signal
import struct
import sys
import time

import nats
import nats.errors

SERVER = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
ENDPOINT = os.environ.get("HOOKBUS_ENDPOINT", "vapi")
CHUNK = 0.02  # seconds of sound in one message
AHEAD = 1.0  # seconds of sound that may be sent before they are played, where nobody says that there is room


def speak(text, rate):
    """16-bit samples, little-endian, mono: put your synthesizer here. It yields as soon as it has something."""
    count = int(rate * CHUNK)
    chunks = max(1, round(len(text) * 0.06 / CHUNK))
    for chunk in range(chunks):
        times = ((chunk * count + sample) / rate for sample in range(count))
        yield struct.pack(f"<{count}h", *(int(8000 * math.sin(2 * math.pi * 440 * time)) for time in times))


class Stream:
    """Sends the parts of one answer, no faster than they are taken.

    Each part is sent as a request; its reply says that there is room for the next. Where the first one gets no reply,
    the other side knows no such thing, and the pace is that of the sound.
    """

    def __init__(self, client, reply):
        self.client, self.reply = client, reply
        self.parts, self.began, self.is_told = 0, time.monotonic(), None

    async def send(self, sound, more):
        headers = {"Hookbus-Seq": str(self.parts)}
        if more:
            headers["Hookbus-More"] = "true"
        if not more:
            await self.client.publish(self.reply, sound, headers=headers)  # after it nothing needs room
        elif self.is_told is not False:
            try:
                # Later on, room may come only as fast as somebody listens.
                await self.client.request(self.reply, sound, timeout=30 if self.is_told else 0.25, headers=headers)
                self.is_told = True
            except nats.errors.NoRespondersError:
                raise  # the asker is gone
            except nats.errors.TimeoutError:
                if self.is_told:
                    raise
                self.is_told = False
        else:
            await self.client.publish(self.reply, sound, headers=headers)
            early = self.parts * CHUNK - (time.monotonic() - self.began) - AHEAD
            await asyncio.sleep(max(0.0, early))
        self.parts += 1


async def answer(client, question):
    headers = question.headers or {}
    outcome, stream = "expired", Stream(client, question.reply)
    if time.time() * 1000 < int(headers.get("Hookbus-Deadline", sys.maxsize)):
        try:
            message = json.loads(question.data)["message"]
            for sound in speak(message["text"], message["sampleRate"]):
                await stream.send(sound, more=True)
            await stream.send(b"", more=False)
            outcome = "answered"
        except Exception as error:
            # In the middle of an answer no error can be told: the other side breaks it off when nothing comes.
            outcome = f"failed: {error!r}"
            if stream.parts == 0:
                told = {"Nats-Service-Error": "the voice failed", "Nats-Service-Error-Code": "500"}
                await client.publish(question.reply, b"", headers=told)
    line = {"id": headers.get("Hookbus-Id"), "outcome": outcome, "parts": stream.parts, "told": bool(stream.is_told)}
    print(json.dumps(line), file=sys.stderr, flush=True)


async def main():
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)

    async def trouble(error):
        print(json.dumps({"nats": repr(error)}), file=sys.stderr, flush=True)

    client = await nats.connect(SERVER, max_reconnect_attempts=-1, reconnect_time_wait=0.5, error_cb=trouble)
    running = set()

    async def each(question):
        task = asyncio.create_task(answer(client, question))
        running.add(task)
        task.add_done_callback(running.discard)

    # Not a service of NATS micro: in nats-py these don't show the reply's subject, which takes all the parts.
    subscription = await client.subscribe(f"{ENDPOINT}.ask.voice-request", queue="q", cb=each)
    await client.flush()
    print("ready", flush=True)

    await stop.wait()
    await subscription.drain()  # no new questions; what has begun is spoken to its end
    while running:
        await asyncio.wait(running)
    await client.drain()


asyncio.run(main())
