"""Rows: nothing is left behind, however often something is done."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pyodide_js
from pyodide.code import run_js

from pyodide_msgchan import MessageChannel, MessagePort, PeerLostError

from .compare import Raised, attempt, outcome
from .rows import group, scenario
from .starting import fence

row = group("leaks", "Leaks")

NOTHING = {"Python proxies": 0, "JavaScript objects": 0}
LEAK = "README, Ports: no leaks; HTML 9.4.5, ports and garbage collection"


def counts() -> tuple[int, int]:
    """Count what Python lends to JavaScript, and what it holds of it."""
    module = pyodide_js._module  # noqa: SLF001 - Pyodide has no public count
    return module.pyproxy_alloc_map.size, module.hiwire.num_keys()


async def settle() -> None:
    """Let what was scheduled run out, collect, and let finalizers run."""
    for _ in range(3):
        await fence()
    gc.collect()
    await fence()


async def growth(work: Callable[[], Awaitable[Any]]) -> dict[str, int]:
    """Say what more there is after the work was done once more: the first time may keep things."""
    module = pyodide_js._module  # noqa: SLF001 - as above
    module.enable_pyproxy_allocation_tracing()
    try:
        await work()
        await settle()
        before = counts()
        await work()
        await settle()
        after = counts()
    finally:
        module.disable_pyproxy_allocation_tracing()
    return dict(
        zip(NOTHING, (max(b - a, 0) for a, b in zip(before, after, strict=True)), strict=True)
    )


async def channels() -> None:
    """Make and close many."""
    for _ in range(100):
        one, two = MessageChannel()
        one.post_message(1)
        await two.receive()
        one.close()


async def messages() -> None:
    """Send many of every kind."""
    one, two = MessageChannel()
    async with one, two:
        for number in range(1000):
            one.post_message({"n": number, "bytes": b"123", "list": [number, None]})
        for _ in range(1000):
            await two.receive()


async def events() -> None:
    """Take many with their events."""
    one, two = MessageChannel()
    async with one, two:
        for number in range(300):
            one.post_message(number)
        for _ in range(300):
            event = await two.receive_event()
            _ = event.origin, event.ports, event.js.data


async def listeners() -> None:
    """Add and cancel many."""
    one, two = MessageChannel()
    async with one, two:
        for number in range(50):
            heard = asyncio.Event()
            listener = two.on_message(lambda event, heard=heard: heard.set())
            one.post_message(number)
            await heard.wait()
            listener.cancel()


async def requests() -> None:
    """Ask and answer many times."""
    one, two = MessageChannel()
    async with one, two:
        for number in range(100):
            asked = asyncio.ensure_future(one.request(number))
            (await two.receive_event()).reply(number)
            await asked


async def transfers() -> None:
    """Move many ports."""
    carrier, far = MessageChannel()
    async with carrier, far:
        for _ in range(50):
            one, two = MessageChannel()
            carrier.post_message({"port": two}, transfer=[two])
            async with one, (await far.receive())["port"] as moved:
                one.post_message("hello")
                await moved.receive()


async def refusals() -> None:
    """Be refused many times."""
    one, two = MessageChannel()
    async with one, two:
        for _ in range(100):
            attempt(one.post_message, {"bad": [print]})
            attempt(one.post_message, 1, transfer=[two])


async def cancellations() -> None:
    """Give up waiting many times."""
    one, two = MessageChannel()
    async with one, two:
        for _ in range(100):
            task = asyncio.ensure_future(two.receive())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])


for name, words, work in (
    ("channels", "a hundred channels", channels),
    ("messages", "a thousand messages", messages),
    ("events", "300 events", events),
    ("listeners", "fifty listeners", listeners),
    ("requests", "a hundred requests", requests),
    ("transfers", "fifty ports that moved", transfers),
    ("refusals", "two hundred refusals", refusals),
    ("cancellations", "a hundred cancelled calls", cancellations),
):

    @row(
        f"leak-{name}",
        f"Nothing is left of {words}",
        source=LEAK,
        expected=NOTHING,
        limit=30,
    )
    async def _(scene: Any, work: Any = work) -> Any:
        return await growth(work)


@scenario
async def echo_requests(port: MessagePort) -> None:
    """Answer every request until the other end is done with it."""
    async with port:
        async for event in port.events():
            if event.data is None:
                event.reply(None)
                return
            event.reply(event.data)


@row(
    "leak-other-page",
    "Nothing is left here of a hundred requests to another page",
    source=LEAK,
    expected=NOTHING,
    needs="same",
    limit=30,
)
async def _(scene: Any) -> Any:
    async def ask() -> None:
        one, two = MessageChannel()
        async with one:
            serving = asyncio.ensure_future(scene.same.run(echo_requests, two, transfer=[two]))
            for number in range(100):
                await one.request(number + 1)
            await one.request(None)
            await serving

    return await growth(ask)


@row(
    "leak-frames",
    "Nothing is left of frames that came, were connected to, and went",
    source=LEAK,
    expected=NOTHING,
    limit=60,
)
async def _(scene: Any) -> Any:
    async def visit() -> None:
        for kind in ("same", "cross", "sandbox", "worker"):
            async with scene.light(kind) as peer:
                await peer.run("burst", 3)
                for _ in range(3):
                    await peer.connection.receive()

    return await growth(visit)


@row(
    "leak-listeners-of-window",
    "Connections leave no listener on the window",
    source=LEAK,
    expected=0,
    limit=30,
)
async def _(scene: Any) -> Any:
    watch = run_js("""() => {
        let count = 0;
        const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
        globalThis.addEventListener = function (type, ...more) {
            if (type === "message") count++;
            add.call(globalThis, type, ...more);
        };
        globalThis.removeEventListener = function (type, ...more) {
            if (type === "message") count--;
            remove.call(globalThis, type, ...more);
        };
        return () => {
            delete globalThis.addEventListener;
            delete globalThis.removeEventListener;
            return count;
        };
    }""")
    stop = watch()
    try:
        for _ in range(3):
            async with scene.light():
                pass
        await settle()
    finally:
        left = stop()
    return left


@row(
    "leak-native-ports",
    "Every native port of twenty requests is closed, at both ends",
    source=LEAK,
    expected="40 or more",
    limit=30,
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    watch = run_js("""() => {
        let count = 0;
        const { close } = MessagePort.prototype;
        MessagePort.prototype.close = function () {
            count++;
            close.call(this);
        };
        return () => {
            MessagePort.prototype.close = close;
            return count;
        };
    }""")
    async with one, two:
        stop = watch()
        try:
            for number in range(20):
                asked = asyncio.ensure_future(one.request(number))
                (await two.receive_event()).reply(number)
                await asked
        finally:
            closed = stop()
    # More, if those of a connection that ended a while ago are closed just now.
    return "40 or more" if closed >= 40 else closed


@row(
    "leak-dropped",
    "A port that is dropped unclosed is collected, warns, and its partner learns of it",
    source="HTML 9.4.5, ports and garbage collection; README, Ports: ResourceWarning",
    expected=[["ResourceWarning"], "sent before", Raised(PeerLostError)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    two.post_message("sent before")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del two
        gc.collect()
    names = [warning.category.__name__ for warning in caught]
    return [names, await one.receive(), await outcome(one.receive())]


@row(
    "leak-kept",
    "A port that somebody waits on is not collected, though nobody else holds it",
    source="HTML 9.4.5: a port with a listener is kept by its entangled port",
    expected="kept",
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got = asyncio.get_running_loop().create_future()
    two.on_message(lambda event: got.set_result(event.data))
    del two
    gc.collect()
    async with one:
        one.post_message("kept")
        return await got


@row(
    "leak-memory",
    "Python's memory does not grow by large messages that came and went",
    source=LEAK,
    expected=0,
    limit=30,
)
async def _(scene: Any) -> Any:
    async def send() -> None:
        one, two = MessageChannel()
        async with one, two:
            data = bytes(1_000_000)
            for _ in range(20):
                one.post_message(data)
                await two.receive()

    await send()
    gc.collect()
    before = pyodide_js._module.HEAP8.length  # noqa: SLF001 - Pyodide has no public count
    await send()
    gc.collect()
    return pyodide_js._module.HEAP8.length - before  # noqa: SLF001 - as above
