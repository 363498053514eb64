"""One end of the table of cases in Python; comlink-peer.mjs is the same in JavaScript."""

import asyncio
import datetime as dt
import json
from contextlib import aclosing
from dataclasses import dataclass, field

import js

from pyodide_msgchan import (
    DataCloneError,
    MessageChannel,
    MessagePort,
    RemoteError,
    assign,
    create_endpoint,
    new,
    proxy,
    release,
    wrap,
)
from pyodide_msgchan import expose as expose_object


class Counter:
    def __init__(self, start=0):
        self.value = start

    def increment(self, n=1):
        self.value += n
        return self.value


class OwnError(Exception):
    pass


@dataclass
class Library:
    dumps = json.dumps


@dataclass
class Tools:
    deep: dict = field(default_factory=lambda: {"add": lambda a, b: a + b})
    name: object = lambda: "tools"


def fail(kind):
    if kind == "none":
        raise ValueError("just text")
    raise OwnError("own words") if kind == "own" else TypeError("wrong type")


async def later(value):
    await asyncio.sleep(0)
    return value


def make_api(port):
    """What the table's cases call."""
    left = False

    async def each(rows, callback):
        return [await callback(row) for row in rows]

    async def use_counter(counter):
        return [await counter.increment(), await counter.increment(), await counter.value]

    async def fail_later(kind):
        fail(await later(kind))

    def post_on(other, message):
        other.post_message(message)
        other.close()
        return True

    async def count(n):
        nonlocal left
        try:
            for i in range(n):
                yield i
        finally:
            left = True

    async def count_and_fail(n):
        for i in range(n):
            yield i
        raise TypeError(f"after {n}")

    async def total(items):
        return sum([item async for item in items])

    return {
        "version": 3,
        "settings": {"theme": "light", "sizes": {"small": 1}},
        "tools": Tools(),
        "Counter": Counter,
        "add": lambda a, b: a + b,
        "later": later,
        "echo": lambda value=None: value,
        "reverse": lambda data: data[::-1],
        "size": len,
        "each": each,
        "exchange": lambda callback: callback(lambda: "mine"),
        "adder": lambda n: lambda m: n + m,
        "makeCounter": lambda start: proxy(Counter(start)),
        "useCounter": use_counter,
        "fail": fail,
        "failLater": fail_later,
        "unsendable": lambda: {"rows": [print]},
        "postOn": post_on,
        "count": count,
        "countAndFail": count_and_fail,
        "leftBehind": lambda: left,
        "total": total,
        "askBack": lambda n: wrap(port).twice(n),
        "_secret": 1,
        "script": js.globalThis,
        "library": json,
    }


async def fail_with(n):
    raise TypeError(f"not {n}")


async def numbers(n):
    for i in range(n):
        yield i


FUNCTIONS = {
    "double": lambda n: n * 2,
    "doubleLater": lambda n: later(n * 2),
    "callIt": lambda f: f(),
    "fail": fail_with,
}


def expose(native, root):
    """Expose the api, or something else that a case calls for."""
    port = MessagePort(native)
    roots = {"function": lambda n: n * 2, "class": Counter}
    expose_object(
        roots.get(root) or make_api(port),
        port,
        writable=["version", "settings.theme"],
        tracebacks=True,
    )


async def run(native, steps):
    """Run the steps of one case; give their outcomes as JSON."""
    port = MessagePort(native)
    remote, kept, outcomes = wrap(port), {}, []
    for step in json.loads(steps):
        try:
            outcomes.append(await one(port, remote, kept, step))
        except RemoteError as error:
            outcomes.append({"throws": error.name, "says": error.message})
        except DataCloneError as error:
            outcomes.append({"throws": "DataCloneError", "says": str(error)})
    kept.clear()
    return json.dumps(outcomes)


async def one(port, remote, kept, step):
    if "release" in step:
        await release(kept[step["release"]])
        return {}

    def at(path):
        found = kept[step["on"]] if "on" in step else remote
        for name in path.split(".") if path else ():
            found = found[name]
        return found

    mine = None
    given = []
    for value in step.get("args", ()):
        if isinstance(value, dict) and "$port" in value:
            mine, theirs = MessageChannel()
            given.append(theirs)
        else:
            given.append(decode(value))
    result = await result_of(step, at, given, port)
    if "as" in step:
        kept[step["as"]] = result
    if "as" in step or not RESULTS & set(step):
        return {}
    outcome = {"is": encode(result)}
    if mine is not None:
        outcome["hears"] = encode(await mine.receive())
        mine.close()
    return outcome


RESULTS = {"call", "get", "new", "set", "iterate"}


async def result_of(step, at, given, port):
    if "times" in step:
        calls = [at(step["call"])(*given) for _ in range(step["times"])]
        results = {await call for call in calls}
        return results.pop() if len(results) == 1 else list(results)
    if "iterate" in step:
        return await some_of(at(step["iterate"])(*given), step.get("leave"))
    how = {
        "call": lambda name: at(name)(*given),
        "get": at,
        "new": lambda name: new(at(name), *given),
        "set": lambda name: assign(at(name), step["to"]),
        "releaseRoot": lambda _: release(at("")),
    }
    for key, do in how.items():
        if key in step:
            return await do(step[key])
    if "endpoint" in step:
        return wrap(await create_endpoint(at("")))
    return expose_object({"twice": lambda n: n * 2}, port)


async def some_of(call, most):
    found = []
    async with aclosing(aiter(call)) as items:
        async for item in items:
            found.append(item)
            if len(found) == most:
                break
    return found


def decode(value):
    if isinstance(value, list):
        return [
            FUNCTIONS[item["$function"]] if isinstance(item, dict) and "$function" in item else item
            for item in value
        ]
    if not isinstance(value, dict):
        return value
    makers = {
        "$function": FUNCTIONS.get,
        "$object": lambda _: proxy(Counter()),
        "$generator": numbers,
        "$big": int,
        "$bytes": bytes,
        "$zeros": bytes,
        "$date": lambda ms: dt.datetime.fromtimestamp(ms / 1000, dt.UTC),
        "$nothing": lambda _: None,
    }
    for key, make in makers.items():
        if key in value:
            return make(value[key])
    return value


def encode(value):
    if value is None:
        return {"$nothing": True}
    if isinstance(value, int) and abs(value) > 2**53:
        return {"$big": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": list(value)}
    if isinstance(value, dt.datetime):
        return {"$date": round(value.timestamp() * 1000)}
    return value
