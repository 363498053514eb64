"""One end of Penpal's table of cases in Python; penpal-peer.mjs is the same in JavaScript."""

import asyncio
import json

import js

from pyodide_msgchan import DataCloneError, MessageChannel, RemoteError


class OwnError(Exception):
    pass


def fail(kind):
    if kind == "none":
        raise ValueError("just text")
    raise OwnError("own words") if kind == "own" else TypeError("wrong type")


async def later(value):
    await asyncio.sleep(0)
    return value


async def fail_later(kind):
    fail(await later(kind))


def post_on(port, message):
    port.post_message(message)
    port.close()
    return True


async def never():
    await asyncio.Event().wait()


def make_methods(remote):
    """What the cases call; `remote` gives whom the cases' own calls go to."""

    async def ask_back(n):
        return await remote().add(n, n) + 1

    async def run_here(steps):
        return json.dumps(await run(remote(), json.loads(steps)))

    return {
        "version": 3,
        "add": lambda a, b: a + b,
        "echo": lambda value=None: value,
        "nothing": lambda: None,
        "later": later,
        "tools": {"name": lambda: "tools", "deep": {"add": lambda a, b: a + b}},
        "fail": fail,
        "failLater": fail_later,
        "unsendable": lambda: {"rows": [print]},
        "postOn": post_on,
        "never": never,
        "askBack": ask_back,
        "run": run_here,
        "_secret": lambda: 1,
        "script": js.globalThis,
        "library": json,
    }


async def run(remote, steps):
    """Run the steps of one case; give their outcomes."""
    outcomes = []
    for step in steps:
        try:
            outcomes.append(await one(remote, step))
        except RemoteError as error:
            outcomes.append({"throws": error.name, "says": error.message})
        except DataCloneError as error:
            outcomes.append({"throws": "DataCloneError", "says": str(error)})
        except TimeoutError:
            outcomes.append({"throws": "TimeoutError", "says": ""})
    return outcomes


async def one(remote, step):
    method, mine, given = remote, None, []
    for name in step["call"].split("."):
        method = method[name]
    for value in step.get("args", ()):
        if isinstance(value, dict) and "$port" in value:
            mine, theirs = MessageChannel()
            given.append(theirs)
        else:
            given.append(decode(value))
    async with asyncio.timeout(step["timeout"] / 1000 if "timeout" in step else None):
        calls = [method(*given) for _ in range(step.get("times", 1))]
        results = [await call for call in calls]
    same = all(result == results[0] for result in results)
    outcome = {"is": encode(results[0]) if same else "several results"}
    if mine is not None:
        outcome["hears"] = await mine.receive()
        mine.close()
    return outcome


def decode(value):
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return bytes(value["$bytes"])
    if "$big" in value:
        return int(value["$big"])
    return (lambda: 0) if "$function" in value else value


def encode(value):
    if isinstance(value, bytes):
        return {"$bytes": list(value)}
    big = isinstance(value, int) and abs(value) > 2**53
    return {"$big": str(value)} if big else value
