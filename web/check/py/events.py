"""Rows: what an event brings with a message, and requests, which are answered through it."""

import asyncio
from typing import Any

import js

from pyodide_msgchan import (
    DataCloneError,
    MessageChannel,
    MessagePort,
    PortClosedError,
    PortStateError,
)

from .compare import Raised, attempt
from .rows import group, scenario
from .scene import KINDS
from .starting import arrived

row = group("events", "Event fields")

EVENT = "HTML 9.1, interface MessageEvent"
REQUEST = "README, Ports: a private channel for one answer"


async def one_event(message: Any = "message") -> Any:
    """Send a message through a channel and give the event."""
    one, two = MessageChannel()
    async with one, two:
        one.post_message(message)
        return await two.receive_event()


@row(
    "event-fields",
    "On a port an event has no origin, no source, no last event id and, mostly, no ports",
    source=f"{EVENT}; wpt webmessaging/Channel_postMessage_target_source",
    expected=["", None, "", ()],
)
async def _(scene: Any) -> Any:
    event = await one_event()
    return [event.origin, event.source, event.last_event_id, event.ports]


@row(
    "event-data",
    "data is the message, as Python values",
    source=f"{EVENT}; wpt webmessaging/event.data",
    expected={"n": 1, "list": [True, None]},
)
async def _(scene: Any) -> Any:
    return (await one_event({"n": 1, "list": [True, None]})).data


@row(
    "event-native",
    "The browser's event is a trusted MessageEvent named message; no bubbling, no cancelling",
    source=f"{EVENT}; wpt webmessaging/Channel_postMessage_event_properties, MessageEvent-trusted",
    expected=["MessageEvent", "message", False, False, True],
)
async def _(scene: Any) -> Any:
    native = (await one_event()).js
    name = str(native.constructor.name)
    return [name, native.type, native.bubbles, native.cancelable, native.isTrusted]


@row(
    "event-target",
    "Its target is the port on which it came",
    source="HTML 9.4.4, finalTargetPort; wpt webmessaging/Channel_postMessage_target_source",
    expected=True,
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message(1)
        event = await two.receive_event()
        return bool(event.js.target == two.js)


@row(
    "event-ports-frozen",
    "The ports of an event can't be changed, here or in JavaScript",
    source=f"{EVENT}, FrozenArray; wpt webmessaging/Channel_postMessage_ports_readonly_array",
    expected=["tuple", True],
)
async def _(scene: Any) -> Any:
    event = await one_event()
    return [type(event.ports).__name__, bool(js.Object.isFrozen(event.js.ports))]


@row(
    "event-ports-same",
    "They are the same ports at every reading, and those in the data",
    source=f"{EVENT}, [SameObject]; README, Ports: event.data[...] is event.ports[i]",
    expected=[True, True, True],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    here, there = MessageChannel()
    async with one, two, here:
        one.post_message({"port": there}, transfer=[there])
        event = await two.receive_event()
        async with event.ports[0] as port:
            native = MessagePort(event.js.ports[0])
            return [event.ports[0] is port, event.data["port"] is port, native is port]


@row(
    "event-listener",
    "A listener is called with the event",
    source=EVENT,
    expected=["MessageEvent", "message"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got = asyncio.get_running_loop().create_future()
    async with one, two:
        two.on_message(got.set_result)
        one.post_message("message")
        event = await got
        return [type(event).__name__, event.data]


@row(
    "event-iteration",
    "events() iterates over the events until the channel ends",
    source=EVENT,
    expected=[0, 1, 2],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    for number in range(3):
        one.post_message(number)
    one.close()
    return [event.data async for event in two.events()]


@row(
    "event-late",
    "An event asked for late still is the one of its message",
    source="README, Ports: order is kept, across buffered and live messages",
    expected=[[1, 1], [2, 2], [3, 3]],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        two.start()
        for number in range(3):
            one.post_message(number)
        await arrived(two, 3)
        await two.receive()
        one.post_message(3)
        events = [await two.receive_event() for _ in range(3)]
        return [[event.data, event.js.data] for event in events]


# Requests


@scenario
async def answer(port: MessagePort, count: int) -> None:
    """Answer so many requests, the last that came first."""
    async with port:
        events = [await port.receive_event() for _ in range(count)]
        for event in reversed(events):
            event.reply(event.data * 2)


for kind in KINDS:

    @row(
        f"event-request-{kind}",
        f"Requests are answered, each on its own ({KINDS[kind].lower()})",
        source=REQUEST,
        expected=[0, 2, 4],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        one, two = MessageChannel()
        async with one:
            serving = asyncio.ensure_future(
                getattr(scene, kind).run(answer, two, 3, transfer=[two])
            )
            got = await asyncio.gather(*(one.request(number) for number in range(3)))
            await serving
            return got


@row(
    "event-request-javascript",
    "JavaScript answers a request on its event's last port",
    source=REQUEST,
    expected={"answered": 21},
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        one, two = MessageChannel()
        async with one:
            await peer.run("answer", two, transfer=[two])
            return await one.request(21)


@row(
    "event-reply-last",
    "The port of the answer is the last one",
    source=REQUEST,
    expected=[2, True, "answer"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    here, there = MessageChannel()
    async with one, two, here:
        asked = asyncio.ensure_future(one.request({"port": there}, transfer=[there]))
        event = await two.receive_event()
        async with event.ports[0] as first:
            got = [len(event.ports), event.data["port"] is first]
            event.reply("answer")
            return [*got, await asked]


@row(
    "event-reply-none",
    "What is no request can't be answered",
    source=REQUEST,
    expected=Raised(PortStateError),
)
async def _(scene: Any) -> Any:
    (await one_event()).reply(1)


@row(
    "event-reply-twice",
    "A request is answered once; a value that can't be sent does not count",
    source=REQUEST,
    expected=[Raised(DataCloneError), None, Raised(PortClosedError), "answer"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        asked = asyncio.ensure_future(one.request("question"))
        event = await two.receive_event()
        replies = [attempt(event.reply, value) for value in (print, "answer", "again")]
        return [*replies, await asked]


@row(
    "event-reply-gone",
    "An answer to somebody who has given up goes nowhere, quietly",
    source=REQUEST,
    expected=[True, None],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        asked = asyncio.ensure_future(one.request("question"))
        event = await two.receive_event()
        asked.cancel()
        await asyncio.wait([asked])
        return [asked.cancelled(), event.reply("to nobody")]


@row(
    "event-listener-raises",
    "A listener that raises, a CancelledError too, stops neither the next nor a message",
    source="README, Ports: listeners",
    expected=([1, 2, 3], ["CancelledError"] * 3),
)
async def _(scene: Any) -> Any:
    seen: list[Any] = []
    told: list[str] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()

    def fail(_: Any) -> None:
        raise asyncio.CancelledError

    def see(event: Any) -> None:
        seen.append(event.data)
        if len(seen) == 3:
            done.set()

    loop.set_exception_handler(lambda _, what: told.append(type(what["exception"]).__name__))
    one, two = MessageChannel()
    try:
        async with one, two:
            two.on_message(fail)
            two.on_message(see)
            for number in (1, 2, 3):
                one.post_message(number)
            await done.wait()
    finally:
        loop.set_exception_handler(handler)
    return seen, told
