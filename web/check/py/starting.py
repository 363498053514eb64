"""Rows: ports take nothing before somebody asks, and lose nothing afterwards."""

import asyncio
from typing import Any

from pyodide_msgchan import MessageChannel, MessagePort, PortClosedError

from .compare import Raised
from .rows import group

row = group("starting", "Starting and queueing")

START = "HTML 9.4.4, start() and the port message queue"


async def fence() -> None:
    """Wait until tasks made before have begun, and a message that is posted now has come."""
    await asyncio.sleep(0)
    one, two = MessageChannel()
    async with one, two:
        one.post_message("fence")
        await two.receive()


async def arrived(port: MessagePort, count: int) -> None:
    """Wait until a port that was started holds so many messages."""
    while port.buffered < count:
        await fence()


@row(
    "start-disabled",
    "A port that nobody reads takes nothing out of the browser's queue",
    source="HTML 9.4.4; wpt webmessaging/Channel_MessagePort_initial_disabled, "
    "message-channels/002",
    expected=0,
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message("waits")
        await fence()
        return two.buffered


@row("start-explicit", "start() takes what was queued, and keeps it", source=START, expected=[1, 2])
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message(1)
        two.start()
        one.post_message(2)
        await arrived(two, 2)
        return two.take_buffered()


@row("start-twice", "A second start() does nothing", source=START, expected=["only once"])
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        two.start()
        two.start()
        one.post_message("only once")
        await arrived(two, 1)
        return two.take_buffered()


@row("start-receive", "receive() starts the port", source=START, expected="queued before")
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message("queued before")
        return await two.receive()


@row("start-iteration", "Iterating starts the port", source=START, expected=[0, 1, 2])
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(3):
            one.post_message(number)
        got = []
        async for message in two:
            got.append(message)
            if len(got) == 3:
                return got


@row(
    "start-listener",
    "A listener starts the port, as onmessage does",
    source="HTML 9.4.4, onmessage; wpt webmessaging/Channel_MessagePort_onmessage_start, "
    "message-channels/003",
    expected=["queued", "live"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[Any] = []
    done = asyncio.Event()

    def note(event: Any) -> None:
        got.append(event.data)
        if len(got) == 2:
            done.set()

    async with one, two:
        one.post_message("queued")
        two.on_message(note)
        one.post_message("live")
        await done.wait()
        return got


@row(
    "start-both",
    "Both ends may post before either is read",
    source="HTML 9.4.4, message port post message steps",
    expected=["to two", "to one"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message("to two")
        two.post_message("to one")
        return [await two.receive(), await one.receive()]


@row(
    "start-thousand",
    "A thousand messages wait in the queue until they are asked for",
    source="HTML 9.4.4, port message queue",
    expected=list(range(1000)),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(1000):
            one.post_message(number)
        await fence()
        return [await two.receive() for _ in range(1000)]


@row(
    "start-moved",
    "What a port holds unread moves with it",
    source="HTML 9.4.4, transfer steps, [[PortMessageQueue]]",
    expected=["first", "second"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        one.post_message("first")
        one.post_message("second")
        carrier.post_message(two, transfer=[two])
        async with await far.receive() as moved:
            return [await moved.receive(), await moved.receive()]


@row(
    "start-moved-unstarted",
    "A port that was moved is not started there either",
    source="HTML 9.4.4, transfer-receiving steps; wpt webmessaging/Channel_postMessage_clone_port",
    expected=0,
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        one.post_message("waits")
        carrier.post_message(two, transfer=[two])
        async with await far.receive() as moved:
            await fence()
            return moved.buffered


@row(
    "start-closed", "A closed port can't be started", source=START, expected=Raised(PortClosedError)
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    two.close()
    two.start()


@row(
    "start-cancelled",
    "A receive() that is cancelled loses no message",
    source="README, Ports: nothing is lost",
    expected=["cancelled", "kept"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        task = asyncio.ensure_future(two.receive())
        await fence()
        task.cancel()
        one.post_message("kept")
        await asyncio.wait([task])
        return ["cancelled" if task.cancelled() else "done", await two.receive()]


@row(
    "start-timeout",
    "Nor does one whose time ran out",
    source="README, Ports: nothing is lost",
    expected=["timed out", "kept"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        got = []
        try:
            async with asyncio.timeout(0.01):
                await two.receive()
        except TimeoutError:
            got.append("timed out")
        one.post_message("kept")
        return [*got, await two.receive()]


@row(
    "start-group",
    "A failing task group loses no message",
    source="README, Ports: nothing is lost",
    expected="kept",
)
async def _(scene: Any) -> Any:
    async def fail() -> None:
        raise LookupError

    one, two = MessageChannel()
    async with one, two:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(two.receive())
                tasks.create_task(fail())
        except* LookupError:
            one.post_message("kept")
        return await two.receive()


@row(
    "start-listener-gone",
    "After the last listener has gone messages are kept again",
    source="README, Ports: after the last is cancelled the port buffers again",
    expected=[["heard"], "kept"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    heard: list[Any] = []
    async with one, two:
        listener = two.on_message(lambda event: (heard.append(event.data), listener.cancel()))
        one.post_message("heard")
        one.post_message("kept")
        await arrived(two, 1)
        return [heard, await two.receive()]


@row(
    "start-take",
    "What came and was not asked for can be taken without waiting",
    source="README, Ports: take_buffered()",
    expected=[0, [1, 2, 3], 0],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(4):
            one.post_message(number)
        two.start()
        await arrived(two, 4)
        return [await two.receive(), two.take_buffered(), two.buffered]
