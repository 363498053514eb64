"""Rows: messages arrive in the order in which they were posted."""

import asyncio
from typing import Any

from pyodide_msgchan import MessageChannel, MessagePort

from .rows import group, scenario
from .scene import KINDS

row = group("order", "Order")


@row(
    "order-two-posts",
    "Messages arrive in the order of their posting",
    source="HTML 9.4.4, message port post message steps; wpt webmessaging/with-ports",
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
