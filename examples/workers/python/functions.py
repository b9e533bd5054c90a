"""What this worker can do. Put your own functions here: they get the arguments and return text or anything that JSON can hold."""

import asyncio
import math


class Refused(Exception):
    """The caller is told this sentence. The model reads it, so say what to do better."""

    def __init__(self, sentence, code=400):
        super().__init__(sentence)
        self.code = code


async def get_weather(arguments):
    city = arguments.get("city")
    if not isinstance(city, str) or not city.strip():
        raise Refused("city must be the name of a city, such as Oslo")
    return {"city": city, "celsius": 21, "sky": "clear"}


async def add(arguments):
    numbers = arguments.get("a"), arguments.get("b")
    # In Python True is a number too.
    if not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
        raise Refused("a and b must be numbers")
    total = float(numbers[0]) + float(numbers[1])
    if not math.isfinite(total):
        raise Refused("the sum is too large")
    return str(int(total)) if total.is_integer() else repr(total)


async def echo(arguments):
    text, repeat = arguments.get("text"), arguments.get("repeat", 1)
    if not isinstance(text, str) or not text:
        raise Refused("text must be a text that is not empty")
    if type(repeat) is not int or not 1 <= repeat <= 1000:
        raise Refused("repeat must be a whole number from 1 to 1000")
    if len(text.encode()) * repeat > 1_000_000:
        raise Refused("the answer would be longer than 1,000,000 bytes")
    return text * repeat


async def wait(arguments):
    milliseconds = arguments.get("milliseconds")
    if type(milliseconds) is not int or not 0 <= milliseconds <= 60_000:
        raise Refused("milliseconds must be a whole number from 0 to 60000")
    # A database, another service: await it, and the others go on meanwhile.
    await asyncio.sleep(milliseconds / 1000)
    return "waited"


async def fail(arguments):
    raise Refused("the function failed on purpose", code=500)


FUNCTIONS = [get_weather, add, echo, wait, fail]
