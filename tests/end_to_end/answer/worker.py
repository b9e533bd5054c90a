"""A program that is spoken to in lines: it answers as its arguments say."""

import json
import os
import sys
import threading
import time

lock = threading.Lock()


def say(line):
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def answer(question):
    number, arguments = question["id"], question.get("arguments", {})
    how = arguments.get("how")
    if how == "slow":
        time.sleep(arguments["seconds"])
    if how == "die":
        os._exit(7)
    if how == "error":
        return say(json.dumps({"id": number, "error": "no such city\nnot here"}))
    if how == "noise":
        say("starting up")
        say(json.dumps({"id": "999999", "result": "for nobody"}))
    if how == "large":
        return say(json.dumps({"id": number, "result": "x" * arguments["bytes"]}))
    if how == "hang":
        with open("hanging", "w") as hanging:
            hanging.write("now\n")
        return None
    if how == "process":
        return say(json.dumps({"id": int(number), "result": {"process": os.getpid()}}))
    say(json.dumps({"id": number, "result": question}))


with open("starts", "a") as starts:
    starts.write("%d\n" % os.getpid())
for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
time.sleep(0.1)
with open("ended", "w") as ended:
    ended.write("by itself\n")
