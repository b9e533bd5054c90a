"""Holds connections open: idle.py HOST PORT COUNT PATH [tls].

Every second one has posted something before. Prints "open", waits for a line, then prints how many still stand.
"""

import resource
import socket
import ssl
import sys

host, port, count, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
context = None
if sys.argv[5:] == ["tls"]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
BODY = b'{"message":{"type":"status-update","call":{"id":"idle"}}}'
request = b"POST %s HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(BODY), BODY)

connections = []
for number in range(count):
    wire = socket.create_connection((host, port))
    if context:
        wire = context.wrap_socket(wire)
    if number % 2:
        wire.sendall(request)
        answer = wire.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200"), answer
    connections.append(wire)
print("open", flush=True)
sys.stdin.readline()


def stands(wire):
    wire.setblocking(False)
    try:
        # Nothing was asked, so there is nothing to be read but the end.
        return wire.recv(1) != b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


print(sum(stands(wire) for wire in connections), flush=True)
