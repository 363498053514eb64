"""What a port refuses, what its events tell, and what reads it after messages have come."""

import asyncio

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import (
    DataCloneError,
    MessagePort,
    PeerClosedError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    expose,
    wrap,
)
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan.testing import MessageChannel
from pyodide_msgchan.testing.endpoint import memory_pair


@pytest.mark.parametrize(
    "item, words",
    [
        (b"bytes", "bytes needs no transfer"),
        (bytearray(), "bytearray needs no transfer"),
        ({}, "a dict can't be transferred"),
        (None, "a NoneType can't be transferred"),
    ],
)
async def test_what_can_not_be_transferred_is_named(ends, item, words):
    with pytest.raises(DataCloneError, match=words) as caught:
        ends[0].post_message("with it", transfer=[item])
    assert caught.value.path == "transfer[0]"


async def test_a_port_goes_through_neither_itself_nor_its_partner(ends):
    for port, words in zip(ends, ("itself", "its own partner"), strict=True):
        with pytest.raises(DataCloneError, match=words):
            ends[0].post_message("with it", transfer=[port])
    ends[0].post_message("is open")
    assert await ends[1].receive() == "is open"


async def test_a_request_that_can_not_be_sent_leaves_no_port(ends):
    near, far = ends
    with pytest.raises(DataCloneError):
        await near.request(lambda: None)
    request = asyncio.ensure_future(near.request("can be sent"))
    (await far.receive_event()).reply("answer")
    assert await request == "answer"


async def test_a_closed_port_is_neither_started_nor_given_out(ends):
    ends[0].close()
    for use in (ends[0].start, lambda: ends[0].js):
        with pytest.raises(PortClosedError):
            use()


async def test_a_port_that_was_transferred_says_so(ends):
    moved, _ = MessageChannel()
    ends[0].post_message(None, transfer=[moved])
    with pytest.raises(PortDetachedError):
        moved.start()
    (await ends[1].receive_event()).ports[0].close()


async def test_an_event_in_memory_has_no_sender(ends):
    near, far = ends
    near.post_message("text")
    event = await far.receive_event()
    assert (event.data, event.ports, event.origin) == ("text", (), "")
    assert (event.source, event.last_event_id, event.js) == (None, "", None)


async def test_a_listener_must_be_callable_and_may_cancel_another(ends):
    near, far = ends
    with pytest.raises(TypeError, match="'text' can't be called"):
        far.on_message("text")
    seen = []
    far.on_message(lambda event: (seen.append(event.data), second.cancel()))
    second = far.on_message(lambda _: seen.append("cancelled"))
    near.post_message(1)
    near.post_message(2)
    await until(lambda: len(seen) >= 2)
    assert seen == [1, 2]


async def test_a_port_is_not_transferred_by_its_own_listener(ends, reports):
    near, far = ends
    other, _ = MessageChannel()
    far.on_message(lambda _: other.post_message(None, transfer=[far]))
    near.post_message("transfer yourself")
    await until(lambda: reports)
    assert [type(error) for error in reports] == [PortStateError]
    assert "its own listener" in str(reports[0])
    other.close()


async def test_calls_that_came_before_the_reader_run_before_those_after_it(ends):
    near, far = ends
    remote = wrap(near)
    log = []
    far.start()
    calls = [remote(1), remote(2)]
    await until(lambda: far.buffered == 2)
    expose(log.append, far)
    calls.append(remote(3))
    for call in calls:
        await call
    assert log == [1, 2, 3]
    assert await remote(4) is None
    assert log == [1, 2, 3, 4]


async def test_calls_that_came_before_a_closed_reader_do_not_run(ends):
    near, far = ends
    remote = wrap(near)
    log = []
    far.start()
    call = remote(1)
    await until(lambda: far.buffered)
    expose(log.append, far)
    far.close()
    with pytest.raises(PeerClosedError):
        await call
    assert log == []


async def test_taken_messages_leave_those_that_are_reserved(ends):
    near, far = ends
    receiving = [asyncio.ensure_future(far.receive()) for _ in range(2)]
    await settle()
    for number in range(4):
        near.post_message(number)
    await until(lambda: far._queue.served)
    assert far.take_buffered() == [2, 3]
    assert await asyncio.gather(*receiving) == [0, 1]


async def test_a_sink_of_callbacks_goes_on_after_an_error_until_it_is_stopped(reports):
    first, second = memory_pair()
    seen = []

    def handle(message, _events, _index):
        seen.append(message)
        if message == "fails":
            raise LookupError
        if message == "stops":
            sink.stop()

    sink = CallbackSink(second, handle)
    for message in ("fails", "goes on", "stops", "is ignored"):
        first.post(message, None)
    await until(lambda: "stops" in seen)
    await settle()
    assert seen == ["fails", "goes on", "stops"]
    assert [type(error) for error in reports] == [LookupError]
    assert sink.on_message("is ignored too") is None
    assert not sink.has_buffered()
    assert len(seen) == 3


async def test_a_notice_that_is_no_message_reaches_the_port_of_a_reader(ends):
    near, far = ends
    expose(lambda: "answer", far)
    sink = far._core.endpoint._sink
    sink.on_batch([Notice("another kind")], None)
    assert await wrap(near)() == "answer"
    assert not sink.has_buffered()


async def test_one_endpoint_has_one_port():
    first, _ = memory_pair()
    port = MessagePort._from_endpoint(first)
    assert MessagePort._from_endpoint(first) is port
    port.close()
