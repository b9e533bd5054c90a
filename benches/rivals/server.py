"""What one would write with FastAPI, nats-py and aiokafka, set as their documentation advises.

It reads HTTP_PORT, NATS_URL and KAFKA_BOOTSTRAP.
"""

import os
from contextlib import asynccontextmanager

import nats
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request, Response

TIMEOUT = 10


@asynccontextmanager
async def lifespan(app):
    app.state.nats = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    app.state.stream = app.state.nats.jetstream()
    app.state.producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"], acks="all", request_timeout_ms=TIMEOUT * 1000
    )
    await app.state.producer.start()
    yield
    await app.state.producer.stop()
    await app.state.nats.drain()


app = FastAPI(lifespan=lifespan)


@app.post("/jetstream")
async def jetstream(request: Request):
    await app.state.stream.publish("rivals.events", await request.body(), timeout=TIMEOUT)
    return Response(status_code=202)


@app.post("/kafka")
async def kafka(request: Request):
    await app.state.producer.send_and_wait("rivals", await request.body())
    return Response(status_code=202)


@app.post("/question")
async def question(request: Request):
    reply = await app.state.nats.request("rivals.ask", await request.body(), timeout=TIMEOUT)
    return Response(reply.data, media_type="application/json")


@app.exception_handler(nats.errors.Error)
@app.exception_handler(KafkaError)
async def unavailable(_request, _error):
    return Response(status_code=503)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["HTTP_PORT"]),
        workers=1,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
