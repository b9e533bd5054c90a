"""Compresses bodies: reads [[how, text], ...] as JSON, prints one line of hex for each."""

import gzip
import json
import sys

import zstandard


def in_parts(make, data):
    middle = len(data) // 2
    return make(data[:middle]) + make(data[middle:])


def window(log):
    parameters = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False)
    return zstandard.ZstdCompressor(compression_params=parameters)


def stream(compressor, data):
    """A frame that doesn't say how long its content is."""
    work = compressor.compressobj()
    return work.compress(data) + work.flush()


def padded(data):
    """The same JSON with 10 MiB of blanks behind it."""
    return data + b" " * (10 << 20)


zstd = zstandard.ZstdCompressor(level=19)
how = {
    "gzip": gzip.compress,
    "gzip-members": lambda data: in_parts(gzip.compress, data),
    "gzip-truncated": lambda data: gzip.compress(data)[:-3],
    "gzip-garbage": lambda data: gzip.compress(data) + b"garbage",
    "gzip-corrupt": lambda data: gzip.compress(data)[:-8] + b"\0" * 8,
    "gzip-bomb": lambda data: gzip.compress(padded(data)),
    "gzip-nested": lambda data: gzip.compress(gzip.compress(padded(data))),
    "zstd": zstd.compress,
    "zstd-frames": lambda data: in_parts(zstd.compress, data),
    "zstd-stream": lambda data: stream(window(23), data),
    "zstd-window": lambda data: stream(window(25), data),
    "zstd-truncated": lambda data: zstd.compress(data)[:-1],
    "zstd-garbage": lambda data: zstd.compress(data) + b"garbage",
    "zstd-bomb": lambda data: zstd.compress(padded(data)),
    "zstd-nested": lambda data: zstd.compress(zstd.compress(padded(data))),
}
for name, text in json.load(sys.stdin):
    print(how[name](text.encode()).hex())
