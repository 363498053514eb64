"""The memory channel passes the contract that the browser's channels pass; the README tells so."""

import asyncio
import gc
import re
import weakref
from pathlib import Path

import pytest

from pyodide_msgchan._port.core import core_of
from pyodide_msgchan.testing import CONTRACT, LINKED, MessageChannel, Window

pytestmark = pytest.mark.usefixtures("delivery")


async def make_pair():
    return tuple(MessageChannel())


async def connect_pair():
    """The two ends of a connection between pages of one origin, which speaks the packed lane."""
    host = Window("https://host.example")
    frame = Window("https://host.example", parent=host)
    far, near = await asyncio.gather(frame.accept(), host.connect(frame))
    assert near.lane == far.lane == "packed"
    return near, far


@pytest.mark.parametrize("make", [make_pair, connect_pair])
@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
async def test_contract(name, make):
    await (CONTRACT | LINKED)[name](make)


async def test_events_that_are_asked_for_late_fit_their_messages():
    near, far = MessageChannel()
    others = []
    async with near, far:
        for number in range(4):
            ours, theirs = MessageChannel()
            others.append(ours)
            near.post_message({"number": number, "port": theirs}, transfer=[theirs])
        assert (await far.receive())["number"] == 0
        for number in range(1, 4):
            event = await far.receive_event()
            assert event.data["number"] == number
            assert event.ports == (event.data["port"],)
    for port in others:
        port.close()


@pytest.mark.parametrize("name", ["test_greeting", "test_frame"])
async def test_the_readme(name):
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    [block] = re.findall(rf"```python\n((?:(?!```).)*{name}(?:(?!```).)*)```", text, re.DOTALL)
    code = {}
    exec(block, code)  # noqa: S102 - our own words
    await code[name]()


async def test_a_port_that_ended_is_freed_without_the_collector():
    near, far = MessageChannel()
    listener = far.on_message(lambda event: event.reply(event.data + 1))
    assert await near.request(1) == 2
    seen = [weakref.ref(core_of(port)) for port in (near, far)]
    gc.collect()
    gc.disable()
    try:
        near.close()
        assert far.closed
        del near, far, listener
        await asyncio.sleep(0)
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()
