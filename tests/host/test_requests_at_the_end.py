"""Requests that are open when the other side closes: which are answered, and when the rest ends."""

import asyncio

import pytest

from pyodide_msgchan import PeerClosedError, PeerLostError, expose, wrap
from pyodide_msgchan._port import requests as requests_module
from pyodide_msgchan.testing import MessageChannel, Window

pytestmark = pytest.mark.usefixtures("delivery")

HOST, APP = "https://host.example", "https://app.example"


@pytest.fixture
def no_grace(monkeypatch):
    """Let the graces take for ever: what ends, ends since it is known that nothing comes."""
    for name in ("REPLY_GRACE", "ANSWER_GRACE"):
        monkeypatch.setattr(requests_module, name, 3600)


async def connected():
    host = Window(HOST)
    app = Window(APP, parent=host)
    accepting = asyncio.create_task(app.accept(origin=HOST))
    near = await host.connect(app, origin=APP)
    return near, await accepting, app


async def bare():
    return *MessageChannel(), None


PAIRS = pytest.mark.parametrize("make", [connected, bare])


async def ask(near, far, count):
    asked = [asyncio.ensure_future(near.request(number)) for number in range(count)]
    return asked, [await far.receive_event() for _ in range(count)]


async def ends_of(asked):
    async with asyncio.timeout(5):
        return await asyncio.gather(*asked, return_exceptions=True)


@PAIRS
@pytest.mark.parametrize("answered", [0, 3, 1000])
@pytest.mark.usefixtures("no_grace")
async def test_answers_sent_before_the_close_arrive_and_the_rest_ends_at_once(make, answered):
    near, far, _ = await make()
    asked, events = await ask(near, far, 1000)
    for event in events[:answered]:
        event.reply(event.data)
    far.close()
    ends = await ends_of(asked)
    assert ends[:answered] == list(range(answered))
    assert {type(end) for end in ends[answered:]} <= {PeerClosedError}
    near.close()


@PAIRS
@pytest.mark.usefixtures("no_grace")
async def test_an_answer_by_hand_counts(make):
    near, far, _ = await make()
    asked, events = await ask(near, far, 2)
    events[0].ports[-1].post_message("by hand")
    far.close()
    ends = await ends_of(asked)
    assert ends[0] == "by hand"
    assert type(ends[1]) is PeerClosedError
    events[0].ports[-1].close()
    events[1].ports[-1].close()
    near.close()


@pytest.mark.usefixtures("no_grace")
async def test_a_page_that_goes_counts_its_answers_too():
    near, far, app = await connected()
    asked, events = await ask(near, far, 3)
    events[1].reply("sent")
    app.leave()
    ends = await ends_of(asked)
    assert ends[1] == "sent"
    assert [type(ends[0]), type(ends[2])] == [PeerLostError] * 2
    near.close()


@PAIRS
async def test_a_reply_port_that_was_passed_on_may_still_be_answered(make):
    near, far, _ = await make()
    carrier, other = MessageChannel()
    asked, events = await ask(near, far, 1)
    reply = events[0].ports[-1]
    carrier.post_message(None, transfer=[reply])
    far.close()
    (moved,) = (await other.receive_event()).ports
    moved.post_message("from elsewhere")
    assert await ends_of(asked) == ["from elsewhere"]
    for one in (near, carrier, other, moved):
        one.close()


@PAIRS
async def test_an_answer_to_a_request_that_was_given_up_does_not_stand_for_another(make):
    near, far, _ = await make()
    asked, events = await ask(near, far, 2)
    asked[0].cancel()
    await asyncio.sleep(0)
    for event in events:
        event.reply(event.data)
    far.close()
    assert (await ends_of(asked))[1] == 1
    near.close()


@pytest.mark.usefixtures("no_grace")
async def test_calls_end_with_the_connection():
    near, far, _ = await connected()

    async def never():
        await asyncio.Event().wait()

    expose({"never": never, "add": lambda a, b: a + b}, far)
    remote = wrap(near)
    assert await remote.add(1, 2) == 3
    calls = [remote.never() for _ in range(1000)]
    tasks = [asyncio.ensure_future(call) for call in calls]
    assert await remote.add(1, 2) == 3
    far.close()
    assert {type(end) for end in await ends_of(tasks)} == {PeerClosedError}
    near.close()


@pytest.mark.parametrize("answers", [-1, 1.5, "3", 2**60, True, [1], {}])
async def test_a_count_that_makes_no_sense_is_none(answers):
    near, far, _ = await connected()
    asked, _events = await ask(near, far, 2)
    far._control.channels.send(
        {"type": "goodbye", "sent": 0, "answers": answers, "reason": "close"}
    )
    ends = await ends_of(asked)
    assert [type(end) for end in ends] == [PeerClosedError] * 2
    far.close()
    near.close()
