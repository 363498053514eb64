"""Rows: how a channel ends, and what both sides see of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from pyodide_msgchan import MessageChannel, MessagePort, PeerClosedError, PortClosedError

from .compare import Raised, attempt, outcome
from .rows import group
from .starting import arrived, fence

row = group("closing", "Closing")

CLOSE = "HTML 9.4.4, close()"
THREE_ENDS = "README, Ports: this side closed, the peer closed, the peer vanished"


uses: dict[str, Callable[[MessagePort], Any]] = {
    "post": lambda port: attempt(port.post_message, 1),
    "start": lambda port: attempt(port.start),
    "receive": lambda port: outcome(port.receive()),
    "listen": lambda port: attempt(port.on_message, print),
    "request": lambda port: outcome(port.request(1)),
    "native": lambda port: attempt(lambda: port.js),
}
for name, use in uses.items():

    @row(
        f"close-{name}",
        f"After close() the port says so ({name})",
        source=f"{CLOSE}; wpt webmessaging/message-channels/close",
        expected=Raised(PortClosedError),
    )
    async def _(scene: Any, use: Any = use) -> Any:
        one, two = MessageChannel()
        async with two:
            one.close()
            got = use(one)
            return await got if asyncio.iscoroutine(got) else got


for name in ("post", "receive", "listen", "request"):

    @row(
        f"close-peer-{name}",
        f"After the peer has closed the port says that it was the peer ({name})",
        source=THREE_ENDS,
        expected=Raised(PeerClosedError),
    )
    async def _(scene: Any, use: Any = uses[name]) -> Any:
        one, two = MessageChannel()
        one.close()
        await two.wait_closed()
        await fence()
        got = use(two)
        return await got if asyncio.iscoroutine(got) else got


@row("close-twice", "Closing twice is no error", source=CLOSE, expected=[None, None, True])
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with two:
        return [one.close(), one.close(), one.closed]


@row(
    "close-wakes",
    "close() wakes everybody who waits, each with the error",
    source=THREE_ENDS,
    expected=[Raised(PortClosedError), Raised(PortClosedError)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one:
        waiting = [asyncio.ensure_future(outcome(two.receive())) for _ in range(2)]
        await fence()
        two.close()
        return [await task for task in waiting]


@row(
    "close-iteration",
    "Iteration ends quietly when its own side closes",
    source=THREE_ENDS,
    expected=["before"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got = []
    async with one:
        one.post_message("before")
        async for message in two:
            got.append(message)
            two.close()
        return got


@row(
    "close-in-flight",
    "What was sent before close() is delivered, then iteration ends",
    source="HTML 9.4.4, close(); wpt webmessaging/message-channels/close (in-flight messages)",
    expected=[0, 1, 2],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    for number in range(3):
        one.post_message(number)
    one.close()
    return [message async for message in two]


@row(
    "close-in-flight-many",
    "Also when that were a thousand, and some of them large",
    source="HTML 9.4.4, close(); wpt webmessaging/message-channels/close (in-flight messages)",
    expected=[1000, 10 * 100_000],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    for number in range(1000):
        one.post_message(bytes(100_000) if number % 100 == 0 else number)
    one.close()
    got = [message async for message in two]
    return [len(got), sum(len(message) for message in got if isinstance(message, bytes))]


@row(
    "close-to-closed",
    "What is sent to a port that was closed does not arrive",
    source="wpt webmessaging/message-channels/close (sent to a closed port)",
    expected=[Raised(PeerClosedError), []],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    two.close()
    sent = attempt(one.post_message, "to nobody")
    return [sent, [message async for message in two]]


@row(
    "close-from-closed-native",
    "Nor does what JavaScript sends from a port that it has closed",
    source="wpt webmessaging/message-channels/close (sent from a closed port)",
    expected=0,
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    two.start()
    native = one.js
    one.close()
    native.postMessage("too late")
    await fence()
    return two.buffered


@row(
    "close-drops",
    "A side that closes drops what it has not read",
    source="browsers differ: three engines differ; here it is one behaviour",
    expected=[],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one:
        two.start()
        one.post_message("unread")
        await arrived(two, 1)
        two.close()
        return [message async for message in two]


@row(
    "close-in-listener",
    "A listener that closes its port is not called again",
    source="wpt webmessaging/message-channels/close (close in onmessage); README, Ports",
    expected=["first"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[Any] = []

    def note(event: Any) -> None:
        got.append(event.data)
        two.close()

    async with one:
        two.on_message(note)
        one.post_message("first")
        one.post_message("second")
        await two.wait_closed()
        await fence()
        return got


@row(
    "close-wait",
    "wait_closed() returns at both ends, whichever side closed",
    source=THREE_ENDS,
    expected=[True, True],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    waiting = [asyncio.ensure_future(port.wait_closed()) for port in (one, two)]
    await fence()
    one.close()
    await asyncio.gather(*waiting)
    return [one.closed, two.closed]


@row(
    "close-context",
    "`async with` closes on the way out, also after an error",
    source="README, Ports: async with port",
    expected=[Raised(KeyError), True, True],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()

    async def fail() -> None:
        async with one:
            {}["nothing"]

    return [await outcome(fail()), one.closed, two.closed]


@row(
    "close-closed-transferred",
    "A closed port can't be transferred, and the message is not sent",
    source="HTML 2.7.7, detached or closed; browsers differ: Chrome alone accepts it",
    expected=[Raised(PortClosedError), "next"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        two.close()
        refused = attempt(carrier.post_message, "lost?", transfer=[two])
        carrier.post_message("next")
        return [refused, await far.receive()]


@row(
    "close-bad-value",
    "A bad value on a closed port: the port is what is wrong",
    source="browsers differ: Chrome is silent, Firefox refuses the value",
    expected=Raised(PortClosedError),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    one.close()
    one.post_message(print)


@row(
    "close-unanswered",
    "A request whose peer closes without an answer ends with that",
    source=THREE_ENDS,
    expected=Raised(PeerClosedError),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    asked = asyncio.ensure_future(outcome(one.request("anybody?")))
    await two.receive()
    two.close()
    return await asked


@row(
    "close-answered",
    "An answer that was sent before the end still comes",
    source="HTML 9.4.4, close(): what was sent is delivered",
    expected="answer",
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    asked = asyncio.ensure_future(one.request("question"))
    event = await two.receive_event()
    event.reply("answer")
    two.close()
    return await asked
