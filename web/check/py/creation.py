"""Rows: making channels and ports."""

from typing import Any

import js

from pyodide_msgchan import MessageChannel, MessagePort

from .compare import Raised
from .rows import group, scenario
from .scene import KINDS

row = group("creation", "Creation")


@row(
    "create-two-ports",
    "A channel has two ports, which are not the same",
    source="HTML 9.4.2, new MessageChannel(); wpt webmessaging/message-channels",
    expected=["MessagePort", "MessagePort", False],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        return [type(one).__name__, type(two).__name__, one is two]


@row(
    "create-attributes",
    "port1 and port2 are the same ports at every reading",
    source="HTML 9.4.2, port1 and port2 getters",
    expected=[True, True, True],
)
async def _(scene: Any) -> Any:
    channel = MessageChannel()
    one, two = channel
    async with one, two:
        return [channel.port1 is one, channel.port2 is two, channel.port1 is channel.port1]


@row(
    "create-native",
    "Beneath a port lies the browser's own MessagePort",
    source="HTML 9.4.4, interface MessagePort",
    expected=["MessagePort", "MessagePort"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        return [str(port.js.constructor.name) for port in (one, two)]


@row(
    "create-adopt",
    "A native port can be adopted, and works with a native one at the other end",
    source="HTML 9.4.4; README, Ports: MessagePort(js_port) adopts one",
    expected="from JavaScript",
)
async def _(scene: Any) -> Any:
    native = js.MessageChannel.new()
    native.port2.postMessage("from JavaScript")
    async with MessagePort(native.port1) as port:
        return await port.receive()


@row(
    "create-adopt-twice",
    "A native port has one wrapper: adopting it again gives the same object",
    source="HTML 9.4.4; README, Ports: one proxy per port",
    expected=[True, True],
)
async def _(scene: Any) -> Any:
    native = js.MessageChannel.new()
    async with MessagePort(native.port1) as port:
        return [MessagePort(native.port1) is port, MessagePort(port.js) is port]


for name, make in {
    "object": lambda: js.Object.new(),
    "window": lambda: js.window,
    "channel": lambda: js.MessageChannel.new(),
    "none": lambda: None,
    "text": lambda: "port",
}.items():

    @row(
        f"create-adopt-{name}",
        f"What is no port can't be adopted ({name})",
        source="HTML 9.4.4, interface MessagePort; Web IDL, interface types",
        expected=Raised(TypeError),
    )
    async def _(scene: Any, make: Any = make) -> Any:
        return MessagePort(make())


@row(
    "create-open",
    "A new port is open and holds nothing",
    source="HTML 9.4.4, port message queue, initially empty",
    expected=[False, 0, []],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        return [one.closed, one.buffered, one.take_buffered()]


@row(
    "create-independent",
    "Two channels do not mix",
    source="HTML 9.4.2; wpt webmessaging/message-channels",
    expected=["first", "second"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    three, four = MessageChannel()
    async with one, two, three, four:
        three.post_message("second")
        one.post_message("first")
        return [await two.receive(), await four.receive()]


@row(
    "create-plain",
    "Ports without stack switching carry messages just as well",
    source="README, Ports: stack_switching=False",
    expected=["there", "back"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel(stack_switching=False)
    async with one, two:
        one.post_message("there")
        two.post_message("back")
        return [await two.receive(), await one.receive()]


@scenario
async def channel_there() -> list[Any]:
    """Make a channel here, and use it in both directions."""
    one, two = MessageChannel()
    async with one, two:
        one.post_message("there")
        two.post_message("back")
        return [await two.receive(), await one.receive()]


for kind in KINDS:

    @row(
        f"create-in-{kind}",
        f"Channels are made and used in other pages just as here ({KINDS[kind].lower()})",
        source="HTML 9.4.2, exposed in every window and worker",
        expected=["there", "back"],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        return await getattr(scene, kind).run(channel_there)
