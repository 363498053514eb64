"""What a type checker has to make of the public surface; checked by mypy, never run."""

from typing import assert_type

from pyodide_msgchan import (
    Listener,
    MessageChannel,
    MessageEvent,
    MessagePort,
    WindowMessages,
    post_to_window,
    register_converter,
    window_messages,
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


def wrong(port: MessagePort) -> None:
    port.post_message(1, transfer=3)  # type: ignore[arg-type]
    port.on_message("not callable")  # type: ignore[arg-type]
    post_to_window(port, 1)  # type: ignore[call-arg]
    register_converter(str, 3)  # type: ignore[arg-type]
