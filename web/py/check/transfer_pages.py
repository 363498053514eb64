"""Rows: ports that go through other ports and pages."""

import asyncio
from typing import Any

from pyodide_msgchan import (
    MessageChannel,
    MessagePort,
)

from .rows import group, scenario
from .scene import KINDS
from .starting import fence
from .transfer import PORTS

row = group("transfer", "Transfer")


@row(
    "transfer-through-moved",
    "A port can be sent through a port that was itself sent",
    source=PORTS,
    expected="deep",
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    inner, deep = MessageChannel()
    async with carrier, far, inner, one:
        one.post_message(deep, transfer=[deep])
        carrier.post_message(two, transfer=[two])
        async with await far.receive() as moved, await moved.receive() as arrived_port:
            inner.post_message("deep")
            return await arrived_port.receive()


@scenario
async def give_port(carrier: MessagePort) -> None:
    """Make a channel here, and send one end away; the other greets and answers."""
    here, there = MessageChannel()
    carrier.post_message(there, transfer=[there])
    carrier.close()
    async with here:
        here.post_message("hello")
        here.post_message(["you said", await here.receive()])


for kind in KINDS:

    @row(
        f"transfer-from-{kind}",
        f"A port made elsewhere comes here and works ({KINDS[kind].lower()})",
        source=f"{PORTS}; wpt webmessaging/message-channels",
        expected=["hello", ["you said", "yes?"]],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        near, carrier = MessageChannel()
        async with near:
            giving = asyncio.ensure_future(
                getattr(scene, kind).run(give_port, carrier, transfer=[carrier])
            )
            async with await near.receive() as port:
                first = await port.receive()
                port.post_message("yes?")
                got = [first, await port.receive()]
                await giving
                return got


@scenario
async def pass_on(source: MessagePort, target: MessagePort) -> None:
    """Pass the next port that comes on to the next page."""
    async with source, target:
        event = await source.receive_event()
        source.post_message("taken")
        target.post_message("passed on", transfer=event.ports)
        await target.receive()  # Firefox loses what is sent before a close while the end moves


@scenario
async def gather(source: MessagePort, last: Any) -> list[Any]:
    """Take the port that comes, and all that arrives on it, until the last."""
    async with source:
        [port] = (await source.receive_event()).ports
        source.post_message("taken")
        got = []
        async with port:
            while not got or got[-1] != last:
                got.append(await port.receive())
        return got


async def through_four(run: Any, stages: list[Any]) -> Any:
    """Send a port through pages, and messages after it all the while; give what the last got.

    Args:
        run: makes the call of `pass_on` or `gather` in a page.
        stages: the pages.
    """
    count = 400
    start, entry = MessageChannel()
    tasks = []
    for stage in stages[:-1]:
        out, entry_of_next = MessageChannel()
        tasks.append(asyncio.ensure_future(run(stage, "pass_on", entry, out)))
        entry = entry_of_next
    tasks.append(asyncio.ensure_future(run(stages[-1], "gather", entry, count - 1)))
    one, two = MessageChannel()
    async with start, one:
        for number in range(count):
            if number == 50:
                start.post_message("passed on", transfer=[two])
            one.post_message(number)
            if number % 20 == 0:
                await fence()
        *_, got = await asyncio.gather(*tasks)
        return got


@row(
    "transfer-four-pages",
    "A port passed on through four Pythons with messages in flight loses none of them",
    source=f"{PORTS}, [[PortMessageQueue]] moves with it; wpt webmessaging/message-channels",
    expected=list(range(400)),
    needs="same cross sandbox worker",
)
async def _(scene: Any) -> Any:
    functions = {"pass_on": pass_on, "gather": gather}

    async def run(peer: Any, name: str, *args: Any) -> Any:
        ports = [arg for arg in args if isinstance(arg, MessagePort)]
        return await peer.run(functions[name], *args, transfer=ports)

    return await through_four(run, [scene.same, scene.cross, scene.sandbox, scene.worker])


@row(
    "transfer-four-frames",
    "Nor through four frames in plain JavaScript",
    source=f"{PORTS}, [[PortMessageQueue]] moves with it; wpt webmessaging/message-channels",
    expected=list(range(400)),
)
async def _(scene: Any) -> Any:
    async def run(peer: Any, name: str, *args: Any) -> Any:
        ports = [arg for arg in args if isinstance(arg, MessagePort)]
        return await peer.run(name, *args, transfer=ports)

    async with (
        scene.light("same") as first,
        scene.light("cross") as second,
        scene.light("sandbox") as third,
        scene.light("same") as fourth,
    ):
        return await through_four(run, [first, second, third, fourth])


@row(
    "transfer-there-and-back",
    "A port that went to another page and came back works as before",
    source=PORTS,
    expected=["before", "after"],
    needs="cross",
)
async def _(scene: Any) -> Any:
    near, far = MessageChannel()
    back, entry = MessageChannel()
    one, two = MessageChannel()
    async with near, back, one:
        passing = asyncio.ensure_future(scene.cross.run(pass_on, far, entry, transfer=[far, entry]))
        one.post_message("before")
        near.post_message(None, transfer=[two])
        [moved] = (await back.receive_event()).ports
        back.post_message("taken")
        async with moved:
            one.post_message("after")
            await passing
            return [await moved.receive(), await moved.receive()]


@row(
    "transfer-closed-there",
    "A port that was closed over there gets no message, and posting to it is no error here",
    source="HTML 9.4.4, close(); wpt webmessaging/message-channels/close",
    expected=[None, False],
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        one, two = MessageChannel()
        async with one:
            await peer.run("close", two, transfer=[two])
            return [one.post_message("to nobody"), one.closed]
