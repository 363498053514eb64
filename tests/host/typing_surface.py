"""What a type checker has to make of the public surface; checked by mypy, never run."""

from typing import Any, assert_type

from pyodide_msgchan import (
    Call,
    Listener,
    MessageChannel,
    MessageEvent,
    MessagePort,
    Remote,
    WindowMessages,
    accept,
    assign,
    connect,
    create_endpoint,
    expose,
    listen,
    new,
    penpal,
    post_to_window,
    proxy,
    register_converter,
    register_error,
    register_type,
    release,
    transfer,
    window_messages,
    wrap,
)


async def ports() -> None:
    channel = MessageChannel(stack_switching=False)
    port1, port2 = channel
    assert_type(port1, MessagePort)
    assert_type(channel.port2, MessagePort)
    port1.post_message({"reply": port2}, transfer=[port2])
    assert_type(await port1.receive_event(), MessageEvent)
    assert_type(port1.on_message(lambda event: event.reply(1)), Listener)
    assert_type(port1.buffered, int)
    assert_type(port1.closed, bool)
    async with port1 as entered:
        assert_type(entered, MessagePort)
    async for event in port1.events():
        assert_type(event, MessageEvent)
        assert_type(event.origin, str)


async def windows(frame: object) -> None:
    post_to_window(frame, 1, origin="https://app.example")
    messages = window_messages(origin=["https://app.example"])
    assert_type(messages, WindowMessages)
    async for event in messages:
        assert_type(event, MessageEvent)


@register_error
class AppError(Exception):
    pass


assert_type(AppError("text"), AppError)


async def calls(port: MessagePort) -> None:
    expose({"add": lambda a, b: a + b}, port, nested=["a.b"], writable=("c",), tracebacks=True)
    remote = wrap(port, kwargs="object", prefetch=4)
    assert_type(remote, Remote)
    assert_type(remote.settings.theme, Remote)
    assert_type(remote["any name"], Remote)
    assert_type(remote.add(1, b=2), Call)
    total: int = await remote.add(1, 2)
    theme: str = await remote.settings.theme
    assert_type(await remote.each([total], print, proxy(object(), nested=["x"])), Any)
    assert_type(await assign(remote.settings.theme, theme), Any)
    assert_type(new(remote.Counter, 1, step=2), Call)
    assert_type(create_endpoint(remote), Call)
    await release(await remote.counter())
    await remote.draw(transfer(b"", [port]))
    async for item in remote.items():
        assert_type(item, Any)


@register_type
class Thing:
    pass


assert_type(Thing(), Thing)
register_type(Thing, lambda thing: [thing], lambda state: Thing(), name="thing")


async def lanes(frame: object) -> None:
    async with connect(frame, lane="packed") as connection:
        assert_type(connection.lane, str)
    await accept(lane="clone")
    listen(lane=None)


def wrong(port: MessagePort) -> None:
    port.post_message(1, transfer=3)  # type: ignore[arg-type]
    port.on_message("not callable")  # type: ignore[arg-type]
    post_to_window(port, 1)  # type: ignore[call-arg]
    register_type(Thing, 3)  # type: ignore[arg-type]
    listen(lane="fast")  # type: ignore[arg-type]
    register_converter(str, 3)  # type: ignore[arg-type]
    wrap(port, kwargs="dict")  # type: ignore[arg-type]
    expose(port)  # type: ignore[call-arg]
    assign("name", 3)  # type: ignore[arg-type]
    register_error(KeyboardInterrupt)  # type: ignore[type-var]


async def over_penpal(frame: Any) -> None:
    remote = await penpal.connect(frame, origin="https://app.example", methods={"log": print})
    assert_type(remote, Remote)
    assert_type(await remote.add(1, 2), Any)
    async with penpal.accept(channel="side", timeout=3) as entered:
        assert_type(entered, Remote)
    async for again in penpal.connect(frame):
        assert_type(again, Remote)
