"""The other side of chaos.py in Python: talks, asks and is called until it goes."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

import js
from pyodide.code import run_js
from pyodide.ffi import create_proxy

from pyodide_msgchan import (
    MsgChanError,
    PortStateError,
    accept,
    expose,
    listen,
    proxy,
    register_type,
    wrap,
)

origin = globals()["query"]["origin"]
post = run_js("(text, origin) => parent.postMessage({ chaos: JSON.parse(text) }, origin)")
open_ones = set()
last = {}


def tell(**report):
    import json

    post(json.dumps(report), origin)


asyncio.get_running_loop().set_exception_handler(
    lambda _loop, context: tell(
        wrong=f"{context['message']}: {context.get('exception') or context!r}"
    )
)


def act(event):
    match getattr(event.data, "act", None):
        case "reload":
            js.location.reload()
        case "close":
            for say in [*last.values()]:
                say()
            for connection in [*open_ones]:
                connection.close()
        case "compute":
            end = perf_counter() + 0.2
            while perf_counter() < end:
                pass


js.addEventListener("message", create_proxy(act))


async def talk(connection):
    log = {"got": 0, "sent": 0}

    def say():
        connection.post_message({"n": log["sent"]})
        log["sent"] += 1

    async def read():
        async for event in connection.events():
            log.setdefault("id", event.data["id"])
            if (event.data["n"], event.data["id"]) != (log["got"], log["id"]):
                tell(wrong=f"{event.data} came as number {log['got']} of {log['id']}")
            log["got"] += 1
            if event.ports:
                event.reply({"n": event.data["n"]})
        await connection.receive()

    async def write():
        while True:
            for _ in range(5):
                say()
            asked = log["sent"]
            log["sent"] += 1
            if await connection.request({"n": asked}) != {"n": asked}:
                tell(wrong=f"another answer to {asked}")
            await asyncio.sleep(0.02)

    last[connection] = say
    ends = await asyncio.gather(read(), write(), return_exceptions=True)
    del last[connection]
    for end in ends:
        if not isinstance(end, PortStateError):
            tell(wrong=f"a loop ended with {end!r}")
    reasons = {"PeerClosedError": "closed", "PeerLostError": "lost", "PortClosedError": "local"}
    reason = reasons[type(ends[0]).__name__]
    missing = 0 if reason == "closed" else getattr(ends[0], "missing", None)
    tell(**log, reason=reason, missing=missing)


@register_type
@dataclass
class OnlyHere:
    x: int


class Thing:
    def add(self, a, b):
        return a + b


class Api(Thing):
    async def each(self, numbers, f):
        for number in numbers:
            await f(number)
        return len(numbers)

    async def count(self, numbers):
        for number in range(numbers):
            yield number

    async def total(self, items):
        return sum([item async for item in items])

    async def stall(self, numbers):
        for number in range(numbers):
            yield number
        await asyncio.Event().wait()

    async def echo(self, port, messages):
        async def answer():
            async with port:
                for _ in range(messages):
                    port.post_message(await port.receive())
                await asyncio.sleep(0)

        tasks.add(task := asyncio.ensure_future(answer()))
        task.add_done_callback(tasks.discard)
        return True

    def odd(self):
        if origin != js.location.origin:  # there are only clones here, and those have no such types
            raise ValueError("odd")
        return OnlyHere(1)

    async def never(self):
        await asyncio.Event().wait()

    def thing(self):
        return proxy(Thing())

    def use(self, other):
        return other.add(1, 2)


async def call(connection):
    expose(Api(), connection)
    holder = wrap(connection)
    try:
        for n in range(2**53):
            if (answer := await holder.double(n)) != 2 * n:
                tell(wrong=f"double of {n} is {answer}")
            if [item async for item in holder.count(20)] != list(range(20)):
                tell(wrong="not what was counted")
            await asyncio.sleep(0.03)
    except PortStateError:
        pass


async def guarded(session, connection):
    open_ones.add(connection)
    try:
        await session(connection)
    except Exception as error:
        tell(wrong=repr(error))
    finally:
        open_ones.discard(connection)


async def take_messages():
    while True:
        try:
            connection = await accept(origin=origin, name="data")
        except MsgChanError as error:
            tell(wrong=repr(error))
            return
        await guarded(talk, connection)


async def take_calls():
    async for connection in listen(origin=origin, name="calls"):
        tasks.add(task := asyncio.ensure_future(guarded(call, connection)))
        task.add_done_callback(tasks.discard)


tasks = set()
tasks |= {asyncio.ensure_future(take_messages()), asyncio.ensure_future(take_calls())}
