"""Rows: the two lanes, what the packed one keeps, and that whoever writes on it calls nothing."""

import asyncio
import datetime as dt
import math
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import count
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

import js
import page
from pyodide.ffi import to_js

from pyodide_msgchan import (
    DataCloneError,
    MessageChannel,
    MessageError,
    accept,
    connect,
    expose,
    register_type,
    wrap,
)

from .compare import Raised, attempt
from .rows import group, scenario
from .scene import KINDS, Peer

row = group("lanes", "Lanes")

LANE = "this package: the packed lane, between two Pythons of one origin"
type Lane = Literal["packed", "clone"]

_kept: set[Any] = set()
_numbers = count(1)


@register_type
@dataclass
class Tile:
    """A registered dataclass."""

    place: tuple[int, int]
    data: bytes


@register_type
class Colour(Enum):
    """A registered enum."""

    RED = 1
    GREEN = 2


class Record(list[Any]):
    """A list of a class of its own."""


def own_member() -> Record:
    """Give one that holds itself."""
    value = Record()
    value.append(value)
    return value


class Unregistered:
    """A class that nobody registered."""


@scenario
async def echo_on_lane(name: str, lane: Lane | None) -> None:
    """Take one caller, which may ask for a lane, and send everything back; return at once."""

    async def serve() -> None:
        options: dict[str, Any] = {"origin": page.host} if page.host else {}
        connection = await accept(name=name, lane=lane, **options)
        async for event in connection.events():
            connection.post_message(event.data, transfer=event.ports)

    task = asyncio.ensure_future(serve())
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    await asyncio.sleep(0)


@asynccontextmanager
async def echoing(
    peer: Peer, name: str, here: Lane | None = None, there: Lane | None = None
) -> AsyncIterator[Any]:
    """Connect to an echo of its own.

    The end of the last row's connection and the request for the next one take two channels, and may
    overtake each other: under one name the echo would still be taken.
    """
    name = f"{name} {next(_numbers)}"
    await peer.run(echo_on_lane, name, there)
    async with connect(peer.target, name=name, lane=here, timeout=8, **peer.options) as connection:
        yield connection


async def back(scene: Any, value: Any) -> Any:
    """Send a value to the same-origin frame and back on the packed lane."""
    async with echoing(scene.same, "packed echo") as connection:
        connection.post_message(value)
        return await connection.receive()


DEFAULTS: dict[str, str] = {
    "same": "packed",
    "cross": "clone",
    "sandbox": "clone",
    "worker": "packed",
    "popup": "packed",
}

for kind, lane in DEFAULTS.items():

    @row(
        f"lane-default-{kind}",
        f"Where nobody asks, it is the {lane} lane ({KINDS[kind].lower()})",
        source=LANE,
        expected=(lane, [1, 2]),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with echoing(getattr(scene, kind), f"default lane {kind}") as connection:
            connection.post_message([1, 2])
            return connection.lane, await connection.receive()


ASKED: dict[str, tuple[str, Lane | None, Lane | None, str, str]] = {
    "both": ("cross", "packed", "packed", "packed", "Two sites that both ask for it pack"),
    "here": ("cross", "packed", None, "clone", "If only the caller asks, they don't"),
    "there": ("cross", None, "packed", "clone", "… nor if only the listener does"),
    "sandbox": ("sandbox", "packed", "packed", "packed", "A sandbox may ask for it too"),
    "off": ("same", "clone", None, "clone", "The caller may turn it off"),
    "off-there": ("same", None, "clone", "clone", "The listener may turn it off"),
}

for key, (kind, here, there, lane, title) in ASKED.items():

    @row(f"lane-asked-{key}", title, source=LANE, expected=(lane, "x"), needs=kind)
    async def _(
        scene: Any,
        kind: str = kind,
        key: str = key,
        here: Lane | None = here,
        there: Lane | None = there,
    ) -> Any:
        async with echoing(getattr(scene, kind), f"asked {key}", here, there) as connection:
            connection.post_message("x")
            return connection.lane, await connection.receive()


naive = dt.datetime(2026, 11, 24, 12, 30, 15, 123_456)  # noqa: DTZ001 - the lane keeps it
zoned = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=-3)))

KEPT: dict[str, tuple[str, Callable[[], Any]]] = {
    "scalars": ("None, bools, ints, text", lambda: [None, True, False, 0, -1, "é☃\U0001f388", ""]),
    "float": ("Floats, integral ones too", lambda: [2.0, -0.0, 0.1, 1e300, math.inf]),
    "nan": ("NaN", lambda: math.nan),
    "int": ("Large ints", lambda: [2**53, -(2**63), 2**2000]),
    "surrogates": ("Lone surrogates", lambda: ["\ud800", {"\udfff": 1}]),
    "tuple": ("Tuples", lambda: ((), (1,), (1, (2, [3])))),
    "set": ("Sets and frozensets", lambda: [{1, "a"}, frozenset({(1, 2)}), set()]),
    "keys": ("Keys of every kind", lambda: {1: "a", (1, "b"): 2, None: 3, 0.5: 4, b"x": 5}),
    "bytes": ("bytes and bytearray", lambda: [b"", b"\0\xff", bytearray(b"ab")]),
    "large": ("A megabyte of bytes", lambda: bytes(range(256)) * 4096),
    "complex": ("Complex numbers", lambda: [1j, 2.0 + 0.5j]),
    "datetime": ("datetimes, naive ones and any zone's", lambda: [naive, zoned]),
    "date": ("date, time and timedelta", lambda: [naive.date(), naive.time(), zoned - zoned]),
    "decimal": ("Decimal", lambda: [Decimal("0.10"), Decimal("-Infinity")]),
    "uuid": ("UUID", lambda: UUID(int=2**100)),
    "path": ("Paths", lambda: PurePosixPath("/a/b c")),
    "array": ("array.array", lambda: [array("d", [0.5, -1]), array("h", [1, 2])]),
    "dataclass": ("A registered dataclass", lambda: [Tile((1, 2), b"data")]),
    "enum": ("A registered enum", lambda: {Colour.RED: [Colour.GREEN]}),
    "deep": ("Nested 500 deep", lambda: nested(500)),
}


def nested(levels: int) -> list[Any]:
    """Give lists within lists."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


for key, (title, make) in KEPT.items():

    @row(
        f"lane-keeps-{key}",
        f"{title} come back as they were",
        source=LANE,
        expected=make(),
        needs="same",
    )
    async def _(scene: Any, make: Callable[[], Any] = make) -> Any:
        return await back(scene, make())


@row(
    "lane-keeps-shape",
    "A memoryview of two dimensions keeps its shape",
    source=LANE,
    expected=("i", (2, 3), [[1, 2, 3], [4, 5, 6]]),
    needs="same",
)
async def _(scene: Any) -> Any:
    view = memoryview(array("i", range(1, 7))).cast("B").cast("i", (2, 3))
    got = await back(scene, view)
    return got.format, got.shape, got.tolist()


@row("lane-keeps-cycle", "Cycles come back", source=LANE, expected=True, needs="same")
async def _(scene: Any) -> Any:
    value: dict[str, Any] = {"items": []}
    value["items"].append(value)
    got = await back(scene, value)
    return got["items"][0] is got


@row("lane-keeps-shared", "Shared members stay one", source=LANE, expected=True, needs="same")
async def _(scene: Any) -> Any:
    member = {"a": (1, 2)}
    got = await back(scene, (member, [member]))
    return got[0] is got[1][0]


@row(
    "lane-keeps-error",
    "An exception keeps its type and args",
    source=LANE,
    expected=(True, (1, "two")),
    needs="same",
)
async def _(scene: Any) -> Any:
    got = await back(scene, [KeyError(1, "two")])
    return isinstance(got[0], KeyError), got[0].args[:2]


@row(
    "lane-beside",
    "What lives in JavaScript goes along, beside the stream",
    source=LANE,
    expected=("Blob of 3, text/plain", (1,)),
    needs="same",
)
async def _(scene: Any) -> Any:
    got = await back(scene, {"blob": page.value("Blob"), "tuple": (1,)})
    return page.describe(got["blob"]), got["tuple"]


@row(
    "lane-port",
    "A port goes along, and works",
    source=LANE,
    expected=((1, 2), "works"),
    needs="same",
)
async def _(scene: Any) -> Any:
    near, far = MessageChannel()
    async with near, echoing(scene.same, "packed port") as connection:
        connection.post_message({"port": far, "tuple": (1, 2)}, transfer=[far])
        event = await connection.receive_event()
        async with event.data["port"] as port:
            near.post_message("works")
            return event.data["tuple"], await port.receive()


@row(
    "lane-request",
    "A request and its answer are packed too",
    source=LANE,
    expected=(1, (2.0, {3})),
    needs="same",
)
async def _(scene: Any) -> Any:
    await scene.same.run(answer_on_lane, "packed request")
    options: dict[str, Any] = {"name": "packed request", "timeout": 8, **scene.same.options}
    async with connect(scene.same.target, **options) as connection:
        return await connection.request((1, (2.0, {3})))


@scenario
async def answer_on_lane(name: str) -> None:
    """Take one caller, and answer its requests with what they ask; return at once."""

    async def serve() -> None:
        connection = await accept(name=name, **({"origin": page.host} if page.host else {}))
        async for event in connection.events():
            event.reply(event.data)

    task = asyncio.ensure_future(serve())
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    await asyncio.sleep(0)


UNSENDABLE: dict[str, tuple[str, Callable[[], Any], str]] = {
    "function": ("A function", lambda: {"rows": (0, print)}, "message['rows'][1]"),
    "class": ("A class that nobody registered", lambda: [Unregistered()], "message[0]"),
    "deep": ("501 lists within one another", lambda: nested(501), "message" + 500 * "[0]"),
    "own-member": ("A list of a class of its own that holds itself", own_member, "message[0]"),
}

for key, (title, make, path) in UNSENDABLE.items():

    @row(
        f"lane-refused-{key}",
        f"{title} can't be sent, and the error names the place",
        source=LANE,
        expected=Raised(DataCloneError, path=path),
        needs="same",
    )
    async def _(scene: Any, make: Callable[[], Any] = make) -> Any:
        connection = scene.same.connection
        return attempt(connection.post_message, make())


@row(
    "lane-by-hand",
    "What JavaScript posts by hand on a packed connection arrives as on the clone lane",
    source=LANE,
    expected=[{"a": [1]}, (2,)],
    needs="same",
)
async def _(scene: Any) -> Any:
    async with echoing(scene.same, "by hand") as connection:
        connection.js.postMessage(js.JSON.parse('{"a": [1]}'))
        connection.post_message((2,))
        return [await connection.receive(), await connection.receive()]


ATTACKS: dict[str, tuple[str, bytes]] = {
    "global": ("names os.system", b"\x80\x05\x8c\x02os\x8c\x06system\x93."),
    "old-global": ("names os.system, the old way", b"\x80\x05cos\nsystem\n."),
    "reduce": ("calls it", b"\x80\x05\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R."),
    "inst": ("makes an instance", b"\x80\x05(ios\nsystem\n."),
    "build": ("sets a state", b"\x80\x05}}b."),
    "newobj": ("makes an object by its class", b"\x80\x05\x8c\x02os\x8c\x06system\x93)\x81."),
    "persistent": ("asks for a persistent object", b"\x80\x05P0\n."),
    "extension": ("uses the extension registry", b"\x80\x05\x82\x01."),
    "put": ("grows the memo by half a gigabyte", b"\x80\x05Nr\0\0\0\x04."),
    "cut-off": ("is cut off", b"\x80\x05]\x94(K\x01K\x02"),
    "long": ("promises more than is there", b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."),
    "two": ("has two values", b"\x80\x05NN."),
    "empty": ("is empty", b""),
    "old": ("is of another protocol", b"\x80\x02N."),
}

for key, (title, stream) in ATTACKS.items():

    @row(
        f"lane-attack-{key}",
        f"A forged stream that {title} is told of as an error, and reading goes on",
        source="this package: data only, whoever is there",
        expected=(1, MessageError, ["after"]),
        needs="same",
    )
    async def _(scene: Any, stream: bytes = stream) -> Any:
        errors: list[Any] = []
        await scene.same.run(forge, "attacker", stream)
        options: dict[str, Any] = {"name": "attacker", "timeout": 8, **scene.same.options}
        async with connect(scene.same.target, **options) as connection:
            connection.on_message_error(errors.append)
            got = [message async for message in connection]
        return len(errors), type(errors[0]) if errors else None, got


@scenario
async def forge(name: str, stream: bytes) -> None:
    """Take one caller, post it a forged envelope and a fair message, and close; return at once."""

    async def serve() -> None:
        connection = await accept(name=name, **({"origin": page.host} if page.host else {}))
        envelope = js.JSON.parse('{"msgchan": [], "side": [], "buffers": []}')
        envelope.msgchan.push(to_js(stream).buffer)
        connection.js.postMessage(envelope)
        connection.post_message("after")
        connection.close()

    task = asyncio.ensure_future(serve())
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    await asyncio.sleep(0)


@scenario
async def serve_one_sided(name: str) -> None:
    """Take two callers and give them what only this page can read; return at once."""

    class There:
        """Registered here alone."""

    register_type(There, lambda _: None, lambda _: There(), name="registered there alone")

    async def items() -> AsyncIterator[Any]:
        yield 1
        yield There()
        yield 3

    def take(*values: Any) -> int:
        return len(values)

    async def serve() -> None:
        options: dict[str, Any] = {"origin": page.host} if page.host else {}
        calls, requests = await asyncio.gather(
            *(accept(name=f"{name} {what}", **options) for what in ("calls", "requests"))
        )
        expose({"items": items, "take": take, "make": lambda: There()}, calls)
        requests.on_message(lambda event: event.reply(There()))
        requests.on_message_error(lambda _: None)
        await calls.wait_closed()

    task = asyncio.ensure_future(serve())
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    await asyncio.sleep(0)


@row(
    "lane-unreadable",
    "What one side can't read is an error at whoever waits: answer, argument, item, request",
    source="this package: a type that is registered on the other side alone",
    expected=[MessageError, MessageError, [1, MessageError, 3], MessageError, MessageError, 2],
    needs="same",
)
async def _(scene: Any) -> Any:
    class Here:
        """Registered here alone."""

    async def ended(awaitable: Any) -> Any:
        try:
            return await awaitable
        except MessageError as error:
            return type(error)

    register_type(Here, lambda _: None, lambda _: Here(), name="registered here alone")
    name = f"one-sided {next(_numbers)}"
    await scene.same.run(serve_one_sided, name)
    target, options = scene.same.target, {"timeout": 8, **scene.same.options}
    async with (
        connect(target, name=f"{name} calls", **options) as calls,
        connect(target, name=f"{name} requests", **options) as requests,
    ):
        remote = wrap(calls)
        got = [await ended(remote.make()), await ended(remote.take(1, [Here()]))]
        items = await remote.items()
        got.append([await ended(anext(items)) for _ in range(3)])
        got += [await ended(requests.request(value)) for value in ("answer", [Here()])]
        return [*got, await remote.take(1, 2)]
