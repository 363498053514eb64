"""Rows: messages arrive in the order in which they were posted."""

import asyncio
from typing import Any

from pyodide_msgchan import MessageChannel, MessagePort, PortStateError

from .compare import Raised, attempt, outcome
from .rows import group, scenario
from .scene import KINDS
from .starting import fence

row = group("order", "Order")


@row(
    "order-two-posts",
    "Messages arrive in the order of their posting",
    source="HTML 9.4.4, message port post message steps; wpt webmessaging/message-channels",
    expected=[1, 2],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message(1)
        one.post_message(2)
        return [await two.receive(), await two.receive()]


@scenario
async def send_back(port: MessagePort, count: int) -> None:
    """Return every message, until so many have come."""
    async with port:
        for _ in range(count):
            port.post_message(await port.receive())


for kind in KINDS:

    @row(
        f"order-through-{kind}",
        f"500 messages to {KINDS[kind].lower()} and back keep their order",
        source="HTML 9.4.4, message port post message steps",
        expected=list(range(500)),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        one, two = MessageChannel()
        async with one:
            done = asyncio.ensure_future(
                getattr(scene, kind).run(send_back, two, 500, transfer=[two])
            )
            for number in range(500):
                one.post_message(number)
            got = [await one.receive() for _ in range(500)]
            await done
            return got


for kind in ("same", "cross", "sandbox", "worker"):

    @row(
        f"order-echo-{kind}",
        f"A port in JavaScript ({KINDS[kind].lower()}) sends everything back in order",
        source="HTML 9.4.4, message port post message steps",
        expected=["a", {"b": 1}, [2]],
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            one, two = MessageChannel()
            async with one:
                await peer.run("echo", two, transfer=[two])
                for message in ("a", {"b": 1}, [2]):
                    one.post_message(message)
                return [await one.receive() for _ in range(3)]


@row(
    "order-waiting",
    "Who waits first is served first, and who gave up is passed over",
    source="README, Ports: first come, first served",
    expected=[("a", 0), ("c", 1), ("d", 2)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[Any] = []

    async def take(name: str) -> None:
        got.append((name, await two.receive()))

    async with one, two:
        tasks = [asyncio.ensure_future(take(name)) for name in "abcd"]
        await fence()
        tasks[1].cancel()
        for number in range(3):
            one.post_message(number)
        await asyncio.wait(tasks)
        return got


@row(
    "order-mixed-reading",
    "Order holds across buffers, bursts and every kind of reading",
    source="HTML 9.4.4, port message queue; README, Ports: order is kept",
    expected=list(range(1000)),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(700):
            one.post_message(number)
        got = [await two.receive() for _ in range(100)]
        for number in range(700, 999):
            one.post_message(number)
        got += [(await two.receive_event()).data for _ in range(100)]
        got += two.take_buffered()
        waiting = [asyncio.ensure_future(two.receive()) for _ in range(1000 - len(got))]
        await fence()
        one.post_message(999)
        return got + [await task for task in waiting]


@row(
    "order-sizes",
    "A large message is not overtaken by small ones",
    source="HTML 9.4.4, message port post message steps",
    expected=[2_000_000, "small", 2_000_000, "small"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for _ in range(2):
            one.post_message(bytes(2_000_000))
            one.post_message("small")
        got = [await two.receive() for _ in range(4)]
        return [len(one) if isinstance(one, bytes) else one for one in got]


@row(
    "order-ports",
    "Messages with ports and without keep their order",
    source="HTML 9.4.4, message port post message steps",
    expected=[0, "port", 2, "port", 4],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(5):
            if number % 2:
                here, there = MessageChannel()
                one.post_message("port", transfer=[there])
                here.close()
            else:
                one.post_message(number)
        got = []
        for _ in range(5):
            event = await two.receive_event()
            got.append(event.data)
            for port in event.ports:
                port.close()
        return got


@row(
    "order-listeners",
    "Listeners are called in the order of their registration",
    source="DOM 2.9, inner invoke; README, Ports",
    expected=["first 1", "second 1", "first 2", "second 2"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[str] = []
    done = asyncio.Event()
    async with one, two:
        two.on_message(lambda event: got.append(f"first {event.data}"))
        two.on_message(
            lambda event: (got.append(f"second {event.data}"), event.data == 2 and done.set())
        )
        one.post_message(1)
        one.post_message(2)
        await done.wait()
        return got


@row(
    "order-listener-buffered",
    "The first listener gets what was buffered, then what is live",
    source="README, Ports: a first listener gets what was buffered",
    expected=[1, 2, "live"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[Any] = []
    done = asyncio.Event()
    async with one, two:
        for number in range(3):
            one.post_message(number)
        await two.receive()
        two.on_message(lambda event: (got.append(event.data), event.data == "live" and done.set()))
        one.post_message("live")
        await done.wait()
        return got


@row(
    "order-listener-cancels",
    "A listener that another has cancelled is not called for that message any more",
    source="DOM 2.9, inner invoke: removed listeners",
    expected=["canceller"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    got: list[str] = []
    async with one, two:
        two.on_message(lambda event: (got.append("canceller"), other.cancel()))
        other = two.on_message(lambda event: got.append("cancelled"))
        one.post_message(1)
        await fence()
        return got


@row(
    "order-one-reader",
    "receive() while a listener reads raises at once, instead of waiting for ever",
    source="README, Ports: a port is read by listeners or by tasks",
    expected=[Raised(PortStateError), Raised(PortStateError)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        listener = two.on_message(print)
        first = await outcome(two.receive())
        listener.cancel()
        task = asyncio.ensure_future(two.receive())
        await fence()
        second = attempt(two.on_message, print)
        task.cancel()
        return [first, second]


@row(
    "order-directions",
    "Both directions keep their own order at once",
    source="HTML 9.4.4, message port post message steps",
    expected=[list(range(300)), list(range(300, 0, -1))],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        for number in range(300):
            one.post_message(number)
            two.post_message(300 - number)
        got = [(await two.receive(), await one.receive()) for _ in range(300)]
        return [list(side) for side in zip(*got, strict=True)]
