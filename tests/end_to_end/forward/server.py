"""An HTTP server as teams have one: its path says how it behaves. Each request is a line of JSON on standard output, written before
its answer; another one says that it came.

/vapi           answers tool calls and assistant requests as the pages of Vapi's documentation do
/status/CODE    that status; with ?after=S a Retry-After, with ?first=N only for the first N requests of a key
/slow/SECONDS   answers late; with ?then=vapi what /vapi would
/close          reads the request, and ends the connection
/huge           100 MB
/latin          bytes that are no UTF-8
/html           a page
/parts/WHAT     an answer in parts: that of /vapi, sound (audio), or events of a stream (events); ?size=BYTES of each, one
                ?every=SECONDS, and the connection ends after the ?last=N
"""
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

written = threading.Lock()
seen = Counter()


def vapi(message):
    kind = message["type"]
    if kind == "tool-calls":
        results = []
        for call in message["toolCallList"]:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            if name == "get_weather":
                results.append({"toolCallId": call["id"], "result": f"It is sunny in {arguments['city']}."})
            else:
                results.append({"toolCallId": call["id"], "error": f"there is no {name}"})
        return {"results": results}
    if kind == "function-call":
        return {"result": "called " + message["functionCall"]["name"]}
    if kind == "assistant-request":
        return {"assistantId": "a-" + message["call"]["id"]}
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        begun = time.time()
        url = urlsplit(self.path)
        _, how, *rest = url.path.split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        key = headers.get("hookbus-key", "")
        with written:
            seen[key] += 1
            count = seen[key]
            print("came", flush=True)
        self.line = {"path": self.path, "headers": headers, "body": body.decode("latin-1"), "begun": begun}
        try:
            self.behave(how, rest, query, count, body)
        finally:
            self.record()

    def record(self):
        """Before it answers: what got an answer is known, even if the next thing is a kill."""
        line, self.line = self.line, None
        if line:
            line["ended"] = time.time()
            with written:
                print(json.dumps(line), flush=True)

    def behave(self, how, rest, query, count, body):
        if how == "slow":
            time.sleep(float(rest[0]))
            how = query.get("then", how)
        if how == "vapi":
            return self.answer(200, json.dumps(vapi(json.loads(body)["message"])).encode())
        if how == "status":
            if count > int(query.get("first", count)):
                return self.answer(200, b"{}")
            headers = {"Location": "/vapi"}
            if "after" in query:
                headers["Retry-After"] = query["after"]
            return self.answer(int(rest[0]), b"{}", headers=headers)
        if how == "parts":
            return self.stream(rest[0], query, body)
        if how == "close":
            self.close_connection = True
            return
        if how == "huge":
            return self.answer(200, b"x" * 100_000_000)
        if how == "latin":
            return self.answer(200, b"{\"a\": \"\xe9\"}")
        if how == "html":
            return self.answer(200, b"<p>Hello</p>", "text/html; charset=utf-8")
        self.answer(200, b"{}")

    def stream(self, what, query, body):
        if what == "audio":
            whole, content_type = bytes(place % 251 for place in range(12_800)), "application/octet-stream"
        elif what == "events":
            whole, content_type = b"event: token\ndata: {\"results\": []}\n\n" * 3, "text/event-stream"
        else:
            whole, content_type = json.dumps(vapi(json.loads(body)["message"])).encode(), "application/json"
        size, every = int(query.get("size", 16)), float(query.get("every", 0))
        parts = [whole[place : place + size] for place in range(0, len(whole), size)]
        last = int(query.get("last", len(parts)))
        try:
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for part in parts[:last]:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                time.sleep(every)
            if last < len(parts):
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def answer(self, status, body, content_type="application/json", headers=()):
        self.record()
        try:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


ThreadingHTTPServer.request_queue_size = 256
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
