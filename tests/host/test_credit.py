"""Credit: the counting alone, and connections in memory whose sender waits for its reader."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.waiting import settle

from pyodide_msgchan import (
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortStateError,
    expose,
    wrap,
)
from pyodide_msgchan._connection.flow_control import (
    HIGH_WATER_BYTES,
    HIGH_WATER_MESSAGES,
    MAX_ACK_REQUESTS,
    AckRequests,
    Outstanding,
    SendWindow,
)
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan.testing import Window

ABSURD = [None, True, -1, 0, 1.0, 2**53, 2**60, -(2**60), 1e300, float("nan"), "1", [1], {}, b"1"]

HOST, APP = "https://host.example", "https://app.example"


@pytest.fixture
async def ends():
    host = Window(HOST)
    app = Window(APP, parent=host)
    accepting = asyncio.create_task(app.accept(origin=HOST))
    near = await host.connect(app, origin=APP)
    yield near, await accepting
    near.close()
    (await accepting).close()


def waiting_for(connection):
    return asyncio.create_task(connection.drain())


# The counting


def test_a_mark_is_due_with_every_quarter():
    credit = SendWindow()
    marks = [
        n
        for n in range(HIGH_WATER_MESSAGES * 2)
        if credit.request_ack(Outstanding(n, 0)) is not None
    ]
    assert marks == list(range(2500, 20000, 2500))
    credit = SendWindow()
    sizes = [n for n in range(40) if credit.request_ack(Outstanding(n, n * 2**20)) is not None]
    assert sizes == list(range(4, 40, 4))
    assert HIGH_WATER_BYTES == 16 * 2**20


@given(
    high=st.tuples(st.integers(1, 60), st.integers(1, 600)),
    steps=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 200), st.integers(0, 70))),
)
def test_who_waits_goes_on_once_all_is_taken(high, steps):
    credit, marks = SendWindow(), AckRequests()
    credit.high = Outstanding(*high)
    sent, taken, told = Outstanding(0, 0), 0, 0
    answers = []

    def tell():
        if marks.next is not None and taken >= marks.next:
            answers.append(marks.take_reached(taken))

    def look():
        if (mark := credit.request_ack(sent)) is not None:
            marks.add(mark)
            tell()

    for count, size, take in steps:
        sent = Outstanding(sent.messages + count, sent.bytes + size * count)
        look()
        taken = min(sent.messages, taken + take)
        tell()
        while answers:
            told = answers.pop(0)
            assert credit.on_consumed(told)
            assert told <= taken
            look()
        assert len(credit._requests) <= MAX_ACK_REQUESTS
        assert credit.outstanding(sent).messages == sent.messages - told >= 0
    taken = sent.messages
    tell()
    for _ in range(3):
        if answers:
            assert credit.on_consumed(answers.pop())
        look()
    assert not credit.is_used_up(sent)


@pytest.mark.parametrize("number", ABSURD, ids=repr)
def test_absurd_numbers_count_for_nothing(number):
    marks = AckRequests()
    marks.add(number)
    assert marks.next is None
    credit = SendWindow()
    assert credit.request_ack(Outstanding(5000, 0)) == 5000
    assert not credit.on_consumed(number)
    assert credit.outstanding(Outstanding(5000, 0)) == (5000, 0)
    assert credit.on_consumed(5000)
    assert not credit.on_consumed(5000)


def test_a_flood_of_marks_is_not_kept():
    marks = AckRequests()
    for n in itertools.chain(range(1, 100_000), [5] * 100_000):
        marks.add(n)
    assert len(marks._pending) == MAX_ACK_REQUESTS
    assert marks.take_reached(10) == 10
    assert marks.next == 11
    assert marks.take_reached(100_000) == MAX_ACK_REQUESTS
    assert marks.next is None


# Connections


async def test_a_sender_that_drains_stays_at_the_mark(ends):
    near, far = ends
    near.set_high_water(messages=40)
    waits = longest = 0

    async def send():
        nonlocal waits, longest
        for i in range(1000):
            waits += near.outstanding.messages >= 40
            await near.drain()
            near.post_message(i)
            longest = max(longest, far.buffered, near.outstanding.messages)

    sending = asyncio.create_task(send())
    for i in range(1000):
        assert await far.receive() == i
        await asyncio.sleep(0)
    await sending
    assert waits
    assert longest == 40


async def test_bytes_count_too(ends):
    near, far = ends
    near.set_high_water(bytes=3_000_000)
    for i in range(3):
        await near.drain()
        near.post_message([i, b"x" * 1_000_000])
    assert near.outstanding.messages == 3
    assert 3_000_000 <= near.outstanding.bytes < 3_000_100
    waiting = waiting_for(near)
    await settle()
    assert not waiting.done()
    await far.receive()
    await waiting
    assert near.outstanding.messages == 2


@pytest.mark.parametrize("high", [1, 2, 3, 1000])
@pytest.mark.parametrize("way", ["receive", "event", "iterate", "listen", "take", "calls"])
async def test_whoever_takes_lets_the_sender_go_on(ends, way, high):
    near, far = ends
    near.set_high_water(messages=high)
    if way == "calls":
        taken = []
        remote = wrap(near)
        calls = [remote.note(i) for i in range(high)]
        waiting = waiting_for(near)
        await settle()
        assert not waiting.done()
        expose({"note": taken.append}, far)
        await waiting
        await asyncio.gather(*calls)
        assert taken == list(range(high))
        return
    for i in range(high):
        near.post_message(i)
    far.start()
    waiting = waiting_for(near)
    await settle()
    assert not waiting.done()
    if way == "receive":
        assert [await far.receive() for _ in range(high)] == list(range(high))
    elif way == "event":
        assert [(await far.receive_event()).data for _ in range(high)] == list(range(high))
    elif way == "iterate":
        async for message in far:
            if message == high - 1:
                break
    elif way == "listen":
        far.on_message(lambda _event: None)
    else:
        assert far.take_buffered() == list(range(high))
    await waiting
    assert near.outstanding == (0, 0)


async def test_calls_that_come_apart_from_messages_count_too(ends):
    _, far = ends
    far._control.on_message({"type": "mark", "n": 1})
    assert far._control._ack_requests.next == 1
    far._core.count_received()  # as for the calls that js/calls.mjs hands over
    assert far._control._ack_requests.next is None


async def test_one_burst_and_then_drain(ends):
    near, far = ends
    for i in range(25_000):
        near.post_message(i)
    waiting = [waiting_for(near) for _ in range(3)]
    for _ in range(15_000):
        await far.receive()
    await settle()
    assert not any(task.done() for task in waiting)  # a mark stands where it was asked first
    for _ in range(10_000):
        await far.receive()
    await asyncio.gather(*waiting)


async def test_a_cancelled_drain_leaves_nothing(ends):
    near, far = ends
    near.set_high_water(messages=1)
    near.post_message(1)
    first, second = waiting_for(near), waiting_for(near)
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(near._control._drain_waiters) == len(near._core._close_waiters) == 1
    assert await far.receive() == 1
    await second
    assert not near._control._drain_waiters
    assert not near._core._close_waiters
    await near.drain()


async def test_the_mark_can_be_moved_meanwhile(ends):
    near, far = ends
    near.set_high_water(messages=5)
    for i in range(8):
        near.post_message(i)
    waiting = waiting_for(near)
    await settle()
    near.set_high_water(messages=9)
    await waiting
    near.set_high_water(messages=1)
    waiting = waiting_for(near)
    await settle()
    assert not waiting.done()
    for _ in range(8):
        await far.receive()
    await waiting


@pytest.mark.parametrize("how", ["near", "far", "page"])
async def test_the_end_ends_a_drain(how):
    host = Window(HOST)
    app = Window(APP, parent=host)
    accepting = asyncio.create_task(app.accept(origin=HOST))
    near = await host.connect(app, origin=APP)
    far = await accepting
    near.set_high_water(messages=1)
    near.post_message(1)
    waiting = [waiting_for(near) for _ in range(2)]
    await settle()
    if how == "page":
        app.leave()
    else:
        (near if how == "near" else far).close()
    error = {"near": PortClosedError, "far": PeerClosedError, "page": PeerLostError}[how]
    for task in (*waiting, waiting_for(near)):
        with pytest.raises(error) as caught:
            await task
        assert caught.type is error
    with pytest.raises(error):
        _ = near.outstanding
    near.close()


async def test_what_is_taken_after_the_end_is_all_that_was_sent(ends):
    near, far = ends
    near.set_high_water(messages=2)
    for i in range(2):
        near.post_message(i)
    waiting = waiting_for(near)
    far.start()
    await settle()
    near.close()
    with pytest.raises(PortClosedError):
        await waiting
    await far.wait_closed()
    assert [message async for message in far] == [0, 1]


async def test_a_message_that_can_not_be_read_counts_as_taken(ends):
    near, far = ends
    near.set_high_water(messages=1)
    far.on_message_error(lambda _error: None)
    near.post_message(1)
    far._core.endpoint._in_transit[0] = Notice("messageerror"), far._core.endpoint._in_transit[0][1]
    waiting = waiting_for(near)
    reading = asyncio.create_task(far.receive())
    await waiting
    near.post_message(2)
    assert await reading == 2


async def test_a_side_without_credit_can_not_be_waited_for(ends):
    near, far = ends
    near.peer = near.peer._replace(runtime="javascript", capabilities=frozenset({"clone"}))
    with pytest.raises(PortStateError, match=r"\(javascript\) does not acknowledge messages"):
        await near.drain()
    with pytest.raises(PortStateError, match="does not acknowledge"):
        _ = near.outstanding
    near.post_message(1)
    assert await far.receive() == 1


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "1"])
async def test_high_water_is_a_whole_number(ends, bad):
    for name in ("messages", "bytes"):
        with pytest.raises(ValueError, match="whole number"):
            ends[0].set_high_water(**{name: bad})
    assert ends[0]._control.send_window.high == (HIGH_WATER_MESSAGES, HIGH_WATER_BYTES)


async def test_a_hostile_peer_can_only_keep_itself_waiting(ends):
    near, far = ends
    near.set_high_water(messages=2)
    send = far._control.channels.send
    for n in [*ABSURD[:6], *range(1, 3000), *ABSURD[6:]]:
        for kind in ("mark", "taken"):
            send({"type": kind, "n": n})
    send({"type": "mark"})
    send({"type": "taken"})
    near.post_message(1)
    near.post_message(2)
    waiting = waiting_for(near)
    await settle()
    send({"type": "taken", "n": 1})
    await settle()
    assert not waiting.done()
    assert len(near._control._ack_requests._pending) == MAX_ACK_REQUESTS
    far.post_message("hello")
    assert await near.receive() == "hello"
    assert [await far.receive() for _ in range(2)] == [1, 2]
    await waiting
