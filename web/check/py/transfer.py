"""Rows: ports and buffers that move, and what is left of them here."""

import asyncio
from typing import Any

import js

from pyodide_msgchan import (
    DataCloneError,
    MessageChannel,
    MessagePort,
    PortDetachedError,
    PortStateError,
)

from .compare import Raised, attempt, outcome
from .rows import group, scenario
from .scene import KINDS
from .starting import arrived, fence

row = group("transfer", "Transfer")

PORTS = "HTML 9.4.4, transfer steps of MessagePort"
LIST = "HTML 2.7.7 StructuredSerializeWithTransfer"
ERRORS = f"{LIST}; wpt safe-passing-of-structured-data/transfer-errors.window.js"


@row(
    "transfer-port",
    "A port in the message and in the list arrives as one port, which works",
    source=f"{PORTS}; wpt webmessaging/Channel_postMessage_clone_port",
    expected=[True, "through", "back"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        carrier.post_message({"port": two}, transfer=[two])
        event = await far.receive_event()
        async with event.ports[0] as moved:
            one.post_message("through")
            got = await moved.receive()
            moved.post_message("back")
            return [event.data["port"] is moved, got, await one.receive()]


@row(
    "transfer-list-only",
    "A port that is only in the list arrives among the event's ports",
    source="HTML 9.4.4, newPorts",
    expected=["no port in here", 1],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        carrier.post_message("no port in here", transfer=[two])
        event = await far.receive_event()
        for port in event.ports:
            port.close()
        return [event.data, len(event.ports)]


@row(
    "transfer-ports-order",
    "Several ports arrive in the order of the list",
    source="HTML 9.4.4, newPorts, maintaining their relative order; wpt webmessaging/event.ports",
    expected=["first", "second", "third"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    pairs = [tuple(MessageChannel()) for _ in range(3)]
    async with carrier, far:
        carrier.post_message("ports", transfer=[there for _, there in pairs])
        event = await far.receive_event()
        for (here, _), words in zip(pairs, ("first", "second", "third"), strict=True):
            here.post_message(words)
        got = [await port.receive() for port in event.ports]
        for port in [*event.ports, *(here for here, _ in pairs)]:
            port.close()
        return got


@row(
    "transfer-detached",
    "A port that was moved says so, whatever is asked of it",
    source="HTML 9.4.4, [[Detached]]; wpt webmessaging/Transferred_objects_unusable",
    expected=[Raised(PortDetachedError)] * 4,
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        carrier.post_message(two, transfer=[two])
        got = [
            attempt(two.post_message, 1),
            attempt(two.start),
            attempt(two.on_message, print),
            await outcome(two.receive()),
        ]
        (await far.receive()).close()
        return got


@row(
    "transfer-again",
    "A port that was moved can't be moved again",
    source=f"{ERRORS}",
    expected=Raised(PortDetachedError),
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        carrier.post_message(None, transfer=[two])
        got = attempt(carrier.post_message, None, transfer=[two])
        for port in (await far.receive_event()).ports:
            port.close()
        return got


@row(
    "transfer-not-listed",
    "A port in the message must be in the list, and the error names its place",
    source="HTML 2.7.3, step for transferable objects; wpt webmessaging/with-ports; "
    "browsers differ: WebKit raises TypeError",
    expected=Raised(DataCloneError, path="message['port']"),
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one, two:
        carrier.post_message({"port": two})


@row(
    "transfer-itself",
    "A port can't be sent through itself",
    source="HTML 9.4.4, message port post message steps, step 1; "
    "wpt webmessaging/Channel_postMessage_clone_port_error",
    expected=Raised(DataCloneError, path="transfer[0]"),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        one.post_message("ports", transfer=[one])


@row(
    "transfer-partner",
    "Nor through its partner; both stay usable",
    source="HTML 9.4.4, message port post message steps, doomed; browsers differ",
    expected=[Raised(DataCloneError, path="transfer[0]"), "usable"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        refused = attempt(one.post_message, "ports", transfer=[two])
        one.post_message("usable")
        return [refused, await two.receive()]


@row(
    "transfer-same-twice",
    "A port can't be in the list twice",
    source=f"{ERRORS}; wpt webmessaging/postMessage_dup_transfer_objects",
    expected=Raised(DataCloneError, path="transfer[1]"),
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one, two:
        carrier.post_message(None, transfer=[two, two])


@row(
    "transfer-buffer-twice",
    "Nor can a JavaScript buffer",
    source=f"{ERRORS}; wpt webmessaging/postMessage_dup_transfer_objects",
    expected=Raised(DataCloneError),
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    buffer = js.ArrayBuffer.new(8)
    async with carrier, far:
        carrier.post_message(None, transfer=[buffer, buffer])


for name, make in {
    "object": lambda: js.Object.new(),
    "window": lambda: js.window,
    "document": lambda: js.document,
    "image": lambda: js.Image.new(),
    "bytes": lambda: b"bytes",
    "list": list,
}.items():

    @row(
        f"transfer-{name}",
        f"What can't be moved can't stand in the list ({name})",
        source=f"{ERRORS} (cannot transfer all objects)",
        expected=Raised(DataCloneError),
    )
    async def _(scene: Any, make: Any = make) -> Any:
        carrier, far = MessageChannel()
        async with carrier, far:
            carrier.post_message(None, transfer=[make()])


@row(
    "transfer-half-bad",
    "Where one thing in the list can't be moved nothing is: the others stay usable",
    source=f"{LIST}, first loop before any transfer; Firefox alone detaches them",
    expected=[Raised(DataCloneError, path="transfer[1]"), "still here", 8],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    buffer = js.ArrayBuffer.new(8)
    async with carrier, far, one, two:
        refused = attempt(carrier.post_message, None, transfer=[two, b"", buffer])
        one.post_message("still here")
        return [refused, await two.receive(), buffer.byteLength]


@row(
    "transfer-bad-value",
    "Where the message can't be cloned nothing is moved",
    source=f"{ERRORS} (serialize throws before)",
    expected=[Raised(DataCloneError, path="message[1]"), "still here"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one, two:
        refused = attempt(carrier.post_message, [two, print], transfer=[two])
        one.post_message("still here")
        return [refused, await two.receive()]


for name, make, left in (
    ("ArrayBuffer", lambda: js.ArrayBuffer.new(8), lambda buffer: buffer.byteLength),
    ("OffscreenCanvas", lambda: js.OffscreenCanvas.new(2, 3), lambda canvas: canvas.width),
):

    @row(
        f"transfer-{name.lower()}",
        f"JavaScript's {name} is moved, and empty here afterwards",
        source=f"{LIST}; wpt webmessaging/Transferred_objects_unusable",
        expected=[0, name],
    )
    async def _(scene: Any, name: str = name, make: Any = make, left: Any = left) -> Any:
        one, two = MessageChannel()
        thing = make()
        async with one, two:
            one.post_message("moved", transfer=[thing])
            got = await two.receive_event()
            del got
            return [attempt(left, thing), str(thing.constructor.name)]


@row(
    "transfer-imagebitmap",
    "An ImageBitmap is moved with its picture",
    source="HTML 8.10, transfer steps of ImageBitmap; wpt transfer-errors.window.js",
    expected=[(3, 2), (0, 0)],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    bitmap = await js.createImageBitmap(js.ImageData.new(3, 2))
    async with one, two:
        one.post_message(bitmap, transfer=[bitmap])
        moved = await two.receive()
        return [(moved.width, moved.height), (bitmap.width, bitmap.height)]


@row(
    "transfer-bytes-stay",
    "Python's own bytes stay usable: what is moved is a copy of theirs",
    source="README, Values: copied out of Wasm memory exactly once",
    expected=[b"stay", b"stay"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    data = bytearray(b"stay")
    async with one, two:
        one.post_message(data)
        got = await two.receive()
        return [got, bytes(data)]


@row(
    "transfer-full",
    "A port that holds messages nobody took is not moved, and says how many",
    source="README, Ports: nothing is lost",
    expected=[Raised(PortStateError), True, [1, 2]],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one, two:
        two.start()
        one.post_message(1)
        one.post_message(2)
        await arrived(two, 2)
        refused = attempt(carrier.post_message, None, transfer=[two])
        return [refused, "2 received" in repr(refused), two.take_buffered()]


@row(
    "transfer-wakes",
    "Who waits on a port that is moved is told",
    source="HTML 9.4.4, [[Detached]]; README, Ports: wakes whoever waits",
    expected=[Raised(PortDetachedError), Raised(PortDetachedError), None],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        waiting = [
            asyncio.ensure_future(outcome(wait))
            for wait in (two.receive(), anext(two), two.wait_closed())
        ]
        await fence()
        carrier.post_message(two, transfer=[two])
        (await far.receive()).close()
        return [await task for task in waiting]


@row(
    "transfer-in-listener",
    "A port is not moved by its own listener, which is told so",
    source="browsers differ: WebKit 2.50 would crash; here it is one behaviour",
    expected=Raised(PortStateError),
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    refused = asyncio.get_running_loop().create_future()
    async with carrier, far, one, two:
        two.on_message(
            lambda event: refused.set_result(attempt(carrier.post_message, 1, transfer=[two]))
        )
        one.post_message("now")
        return await refused


@row(
    "transfer-by-woken",
    "It is moved by the task that its message has woken",
    source="browsers differ: WebKit 2.50 crashes where that is done in the handler",
    expected="there",
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()

    async def forward() -> None:
        await two.receive()
        carrier.post_message(two, transfer=[two])

    async with carrier, far, one:
        task = asyncio.ensure_future(forward())
        await fence()
        one.post_message("move on")
        async with await far.receive() as moved:
            one.post_message("there")
            await task
            return await moved.receive()


@row(
    "transfer-both-ends",
    "Both ends of a channel may move; what was sent meanwhile arrives",
    source=PORTS,
    expected=["sent before", "sent after"],
)
async def _(scene: Any) -> Any:
    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far:
        one.post_message("sent before")
        carrier.post_message([one, two], transfer=[one, two])
        first, second = await far.receive()
        async with first, second:
            first.post_message("sent after")
            return [await second.receive(), await second.receive()]


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
