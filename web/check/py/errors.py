"""Rows: what goes wrong says what and where, and harms nothing else."""

import asyncio
import dataclasses
import datetime as dt
import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import js
from pyodide.code import run_js

from pyodide_msgchan import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageChannel,
    MessageError,
    MessagePort,
    MsgChanError,
    OriginRejectedError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    RemoteError,
    VersionMismatchError,
)

from .compare import Raised, attempt
from .rows import group, scenario
from .starting import fence

row = group("errors", "Errors")

CLONE = "HTML 2.7.3 StructuredSerializeInternal, DataCloneError"


@row(
    "error-tree",
    "The errors form one tree",
    source="README, Errors",
    expected={
        "DataCloneError": ["MsgChanError", "TypeError"],
        "HandshakeError": ["MsgChanError"],
        "HandshakeTimeoutError": ["HandshakeError", "TimeoutError"],
        "MessageError": ["MsgChanError"],
        "OriginRejectedError": ["HandshakeError"],
        "PeerClosedError": ["PortClosedError"],
        "PeerLostError": ["PortStateError"],
        "PortClosedError": ["PortStateError"],
        "PortDetachedError": ["PortStateError"],
        "PortStateError": ["MsgChanError"],
        "RemoteError": ["MsgChanError"],
        "VersionMismatchError": ["HandshakeError"],
    },
)
async def _(scene: Any) -> Any:
    kinds = (
        DataCloneError,
        HandshakeError,
        HandshakeTimeoutError,
        MessageError,
        OriginRejectedError,
        PeerClosedError,
        PeerLostError,
        PortClosedError,
        PortDetachedError,
        PortStateError,
        RemoteError,
        VersionMismatchError,
    )
    return {kind.__name__: [base.__name__ for base in kind.__bases__] for kind in kinds}


@contextmanager
def heard(reports: list[str]) -> Iterator[None]:
    """Collect what goes to the event loop's exception handler."""
    loop = asyncio.get_running_loop()

    def note(_loop: Any, context: dict[str, Any]) -> None:
        error = context["exception"]
        reports.append(f"{type(error).__name__}: {error}")

    before = loop.get_exception_handler()
    loop.set_exception_handler(note)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


@scenario
async def read_two(port: MessagePort) -> list[str]:
    """Read what may be unreadable, and what comes after it."""
    told: list[MessageError] = []
    async with port:
        port.on_message_error(told.append)
        got = await port.receive()
        if not told:
            got = await port.receive()
        return ["told or delivered", got]


class Colour(enum.Enum):
    """Something that no browser knows."""

    RED = 1


@dataclasses.dataclass
class Point:
    """Something that no browser knows."""

    x: int = 1


for name, make, path in (
    ("root", lambda: print, "message"),
    ("list", lambda: [0, [1, print]], "message[1][1]"),
    ("dict", lambda: {"rows": {"a": [print]}}, "message['rows']['a'][0]"),
    ("tuple", lambda: (1, 2, object()), "message[2]"),
    ("second", lambda: [[1], [2], [Point()]], "message[2][0]"),
    ("dataclass", lambda: {"point": Point()}, "message['point']"),
    ("enum", lambda: [Colour.RED], "message[0]"),
    ("naive", lambda: {"when": dt.datetime(2026, 1, 1)}, "message['when']"),  # noqa: DTZ001
    ("class", lambda: [int], "message[0]"),
    ("generator", lambda: [(i for i in ())], "message[0]"),
    ("javascript", lambda: {"f": js.Function.new("")}, "message['f']"),
    ("element", lambda: {"e": js.document.body}, "message['e']"),
):

    @row(
        f"error-path-{name}",
        f"The error names the place of what can't be cloned ({name})",
        source=f"{CLONE}; wpt webmessaging/Channel_postMessage_DataCloneErr",
        expected=Raised(DataCloneError, path=path),
    )
    async def _(scene: Any, make: Any = make) -> Any:
        one, two = MessageChannel()
        async with one, two:
            one.post_message(make())


@row(
    "error-catch",
    "A DataCloneError is caught as a TypeError too, and has path and reason",
    source="README, Errors",
    expected=["message['f']", "a function can't be cloned", True],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        try:
            one.post_message({"f": print})
        except TypeError as error:
            return [error.path, error.reason, isinstance(error, MsgChanError)]  # type: ignore[attr-defined]


@row(
    "error-nothing-sent",
    "A message that can't be cloned is not sent in part, and the port goes on",
    source=CLONE,
    expected=["next", 0],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        attempt(one.post_message, ["sent?", print])
        one.post_message("next")
        return [await two.receive(), two.buffered]


@row(
    "error-getter",
    "A getter of a JavaScript object that throws is an error here, and the port goes on",
    source="HTML 2.7.3 StructuredSerializeInternal, ? Get(value, key); "
    "wpt transfer-errors.window.js",
    expected=[True, "next"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    trap = run_js("({ get bad() { throw new RangeError('trap'); } })")
    async with one, two:
        refused = attempt(one.post_message, [trap])
        one.post_message("next")
        return [isinstance(refused, Raised), await two.receive()]


@row(
    "error-deep",
    "What is nested too deep is refused with an error, in every browser",
    source="browsers differ: structured clone takes 500 levels and more; here it is one limit",
    expected=[None, Raised(DataCloneError)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        results = []
        for levels in (500, 501):
            deep: list[Any] = []
            for _ in range(levels - 1):
                deep = [deep]
            results.append(attempt(one.post_message, deep))
            while deep:
                [deep] = deep
        return results


@row(
    "error-not-callable",
    "A listener that can't be called is refused at once",
    source="README, Ports: on_message(callback)",
    expected=Raised(TypeError),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        two.on_message("print")


@row(
    "error-listener",
    "A listener that raises goes to the loop's exception handler, and the next one is called",
    source="HTML 8.1.4.6, report an exception; README, Ports",
    expected=[["next 1", "next 2"], ["ValueError: 1", "ValueError: 2"]],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[Any] = []
    reports: list[str] = []
    done = asyncio.Event()

    def fail(event: Any) -> None:
        raise ValueError(event.data)

    def note(event: Any) -> None:
        got.append(f"next {event.data}")
        if event.data == 2:
            done.set()

    with heard(reports):
        async with one, two:
            two.on_message(fail)
            two.on_message(note)
            one.post_message(1)
            one.post_message(2)
            await done.wait()
    return [got, reports]


@row(
    "error-coroutine-listener",
    "So does a listener that is a coroutine function",
    source="HTML 8.1.4.6, report an exception; README, Ports",
    expected=["ValueError: of a coroutine"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    reports: list[str] = []

    async def fail(event: Any) -> None:
        raise ValueError(event.data)

    with heard(reports):
        async with one, two:
            two.on_message(fail)
            one.post_message("of a coroutine")
            while not reports:
                await fence()
    return reports


@row(
    "error-unreadable",
    "What may not leave this page's agent is told or delivered, and reading goes on",
    source="HTML 9.4.4, messageerror; WebAssembly JS API, serialization of modules; "
    "browsers differ: Chrome and Firefox tell, WebKit delivers",
    expected=["told or delivered", "next"],
    needs="cross",
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    module = run_js("new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))")
    async with one:
        reading = asyncio.ensure_future(scene.cross.run(read_two, two, transfer=[two]))
        one.post_message({"module": module})
        one.post_message("next")
        return await reading
