"""The memory channel passes the contract that the browser's channels pass."""

import pytest

from pyodide_msgchan.testing import CONTRACT, LINKED, MessageChannel


async def make_pair():
    return tuple(MessageChannel())


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
async def test_contract(name):
    await (CONTRACT | LINKED)[name](make_pair)


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
