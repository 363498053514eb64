"""The contract of a channel: checks that run over every kind of channel."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pyodide_msgchan.errors import (
    DataCloneError,
    PeerClosedError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    RemoteError,
)
from pyodide_msgchan.testing.checks import (
    MakePair,
    assert_raises,
    assert_refused,
    is_connection,
    is_packed,
    make_transferable,
)
from pyodide_msgchan.testing.round_trips import PACKED_TRIPS, ROUND_TRIPS, same

__all__ = ["CONTRACT", "LINKED", "Check"]


type Check = Callable[[MakePair], Awaitable[None]]
"""A check: it raises AssertionError if a channel breaks the contract."""


CONTRACT: Final[dict[str, Check]] = {}
"""The checks for every kind of channel, by name."""


LINKED: Final[dict[str, Check]] = {}
"""The checks for channels with both ends in one interpreter, which end together; by name."""


def _check(check: Check) -> Check:
    CONTRACT[check.__name__] = check
    return check


def _check_linked(check: Check) -> Check:
    LINKED[check.__name__] = check
    return check


@_check
async def values_arrive_as_listed(make: MakePair) -> None:
    """Every kind of value arrives as its table says, alone and in a list."""
    near, far = await make()
    async with near, far:
        packed = [(value, value) for value in PACKED_TRIPS]
        for value, expected in packed if is_packed(near) else ROUND_TRIPS:
            near.post_message(value)
            near.post_message([value])
            alone, [inside] = await far.receive(), await far.receive()
            assert same(alone, expected), (value, alone)
            assert same(inside, expected), (value, inside)


@_check
async def shared_references_and_cycles_survive(make: MakePair) -> None:
    """An object that is referred to twice arrives as one object, also within itself."""
    near, far = await make()
    async with near, far:
        shared: list[Any] = [1]
        cyclic: dict[Any, Any] = {"twice": [shared, shared], 7: "makes it a Map"}
        cyclic["self"] = cyclic
        near.post_message(cyclic)
        got = await far.receive()
        assert got["self"] is got
        assert got["twice"][0] is got["twice"][1]


@_check
async def exceptions_arrive_as_exceptions(make: MakePair) -> None:
    """An exception arrives as the nearest built-in class, with its message."""
    near, far = await make()
    async with near, far:
        near.post_message([TypeError("one"), ValueError("two"), RuntimeError("three")])
        first, second, third = await far.receive()
        assert isinstance(first, TypeError), first
        assert isinstance(second, ValueError), second
        for error, message in ((first, "one"), (second, "two"), (third, "three")):
            assert isinstance(error, RemoteError), error
            assert error.message == message, error


@_check
async def order_is_kept_both_ways(make: MakePair) -> None:
    """Messages arrive in order, in both directions at once."""
    near, far = await make()
    async with near, far:
        for i in range(500):
            near.post_message({"i": i})
            far.post_message(i)
        assert [(await far.receive())["i"] for _ in range(500)] == list(range(500))
        assert [await near.receive() for _ in range(500)] == list(range(500))


@_check
async def nothing_is_consumed_before_the_first_receive(make: MakePair) -> None:
    """An unread port can be transferred together with the messages in its queue."""
    carrier_near, carrier_far = await make()
    near, far = await make_transferable(make)
    async with carrier_near, carrier_far, near:
        near.post_message("waiting in the browser")
        carrier_near.post_message({"port": far}, transfer=[far])
        moved = (await carrier_far.receive())["port"]
        async with moved:
            assert await moved.receive() == "waiting in the browser"


@_check
async def cancelled_receive_loses_no_message(make: MakePair) -> None:
    """A receive that is cancelled or times out loses no message."""
    near, far = await make()
    async with near, far:
        task = asyncio.ensure_future(far.receive())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        try:
            async with asyncio.timeout(0):
                await far.receive()
        except TimeoutError:
            pass
        near.post_message("first")
        near.post_message("second")
        assert [await far.receive(), await far.receive()] == ["first", "second"]


@_check
async def receivers_are_served_in_order(make: MakePair) -> None:
    """Receivers get messages in the order in which they wait, also if one is cancelled."""
    near, far = await make()
    async with near, far:
        tasks = [asyncio.ensure_future(far.receive()) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        for i in range(3):
            near.post_message(i)
        await asyncio.wait(tasks)
        assert [task.result() for task in tasks if not task.cancelled()] == [0, 1, 2]


@_check
async def listeners_are_called_in_order(make: MakePair) -> None:
    """The first listener gets the buffered messages, and after the last one the port buffers again.

    One listener that raises does not stop the next one.
    """
    near, far = await make()
    loop = asyncio.get_running_loop()
    handler, reports = loop.get_exception_handler(), list[Any]()
    loop.set_exception_handler(lambda _loop, context: reports.append(context["exception"]))
    try:
        async with near, far:
            near.post_message(0)
            near.post_message(1)
            assert await far.receive() == 0
            calls: list[Any] = []
            done = asyncio.Event()

            def fail(_event: Any) -> None:
                raise LookupError("raised by the listener")

            def record(event: Any) -> None:
                calls.append(event.data)
                if event.data == 2:  # noqa: PLR2004 - the last of three
                    done.set()

            listeners = [far.on_message(fail), far.on_message(record)]
            near.post_message(2)
            await done.wait()
            for listener in listeners:
                listener.cancel()
            near.post_message(3)
            assert calls == [1, 2]
            assert await far.receive() == 3  # noqa: PLR2004
            assert [type(report) for report in reports] == [LookupError, LookupError]
    finally:
        loop.set_exception_handler(handler)


@_check
async def tasks_and_listeners_exclude_each_other(make: MakePair) -> None:
    """A receive while a listener exists, or a listener while a task waits, raises at once."""
    near, far = await make()
    async with near, far:
        listener = far.on_message(print)
        await assert_raises(PortStateError, far.receive())
        listener.cancel()
        task = asyncio.ensure_future(far.receive())
        await asyncio.sleep(0)
        try:
            far.on_message(print)
        except PortStateError:
            pass
        else:
            raise AssertionError("a listener was accepted while a task waits")
        near.post_message("for the task")
        assert await task == "for the task"


@_check
async def ports_are_transferred(make: MakePair) -> None:
    """A transferred port is detached here and works at the other side.

    The port in the data is the port in the list of ports.
    """
    near, far = await make()
    partner, transferred = await make_transferable(make)
    async with near, far, partner:
        waiting = asyncio.ensure_future(transferred.receive())
        await asyncio.sleep(0)
        near.post_message({"transferred": transferred}, transfer=[transferred])
        event = await far.receive_event()
        async with event.ports[0] as arrived:
            assert event.data["transferred"] is arrived
            await assert_raises(PortDetachedError, waiting)
            await assert_raises(PortDetachedError, transferred.receive())
            assert_refused(PortDetachedError, transferred, 1)
            assert_refused(PortDetachedError, near, 1, transfer=[transferred])
            partner.post_message("hello")
            assert await arrived.receive() == "hello"
            arrived.post_message("and back")
            assert await partner.receive() == "and back"


@_check
async def port_with_buffered_messages_is_not_transferred(make: MakePair) -> None:
    """Transferring a port that holds messages raises an error with their number."""
    near, far = await make()
    partner, full = await make_transferable(make)
    async with near, far, partner:
        partner.post_message("read")
        assert await full.receive() == "read"
        got = full.on_message(print)
        got.cancel()
        partner.post_message("left")
        probe = asyncio.Event()
        partner_listener = partner.on_message(lambda _event: probe.set())
        full.post_message("arrives after the message before it")
        await probe.wait()
        partner_listener.cancel()
        while not full.buffered:  # noqa: ASYNC110 - no event reports a message that nobody awaits
            await asyncio.sleep(0)
        error = assert_refused(PortStateError, near, 1, transfer=[full])
        assert "1 received" in str(error), error
        assert full.take_buffered() == ["left"]
        near.post_message(1, transfer=[full])
        for port in (await far.receive_event()).ports:
            port.close()


@_check
async def requests_are_answered(make: MakePair) -> None:
    """Requests can be answered in any order; a plain message can't be answered."""
    near, far = await make()
    async with near, far:
        requests = [asyncio.ensure_future(near.request({"question": i})) for i in range(3)]
        events = [await far.receive_event() for _ in requests]
        for event in reversed(events):
            event.reply([event.data["question"], "answered"])
        assert await asyncio.gather(*requests) == [[i, "answered"] for i in range(3)]
        near.post_message("no request")
        event = await far.receive_event()
        try:
            event.reply(1)
        except PortStateError:
            return
        raise AssertionError("a plain message was answered")


@_check
async def errors_name_the_place_of_bad_values(make: MakePair) -> None:
    """A message that can't be sent raises, names the place, transfers nothing; the port goes on."""
    near, far = await make()
    partner, kept = await make_transferable(make)
    async with near, far, partner, kept:
        cases: list[tuple[Any, str]] = [
            ({"rows": [0, {"callback": print}]}, "message['rows'][1]['callback']"),
            ([1, object()], "message[1]"),
            ({"port": kept}, "message['port']"),
        ]
        if not is_packed(near):
            cases.append(([dt.datetime(2026, 1, 1)], "message[0]"))  # noqa: DTZ001 - naive on purpose
        for value, path in cases:
            error = assert_refused(DataCloneError, near, value)
            assert error.path == path, error
        error = assert_refused(DataCloneError, near, [kept, object()], transfer=[kept])
        assert error.path == "message[1]", error
        for transfer, path in (
            ([near], "transfer[0]"),
            ([kept, kept], "transfer[1]"),
            ([b""], "transfer[0]"),
        ):
            error = assert_refused(DataCloneError, near, 1, transfer=transfer)
            assert error.path == path, error
        partner.post_message("kept")
        assert await kept.receive() == "kept"
        near.post_message("goes on")
        assert await far.receive() == "goes on"


@_check
async def depth_is_limited(make: MakePair) -> None:
    """A message of 500 levels arrives; one of 501 or 100,000 levels raises DataCloneError."""
    near, far = await make()
    async with near, far:
        for levels, fits in ((500, True), (501, False), (100_000, False)):
            deep: list[Any] = []
            for _ in range(levels - 1):
                deep = [deep]
            if fits:
                near.post_message(deep)
                got = await far.receive()
                for _ in range(levels - 1):
                    [got] = got
                assert got == []
            else:
                assert_refused(DataCloneError, near, deep)
            while deep:  # dropping a deep list at once would overflow the stack of Pyodide
                [deep] = deep


@_check
async def closed_port_raises(make: MakePair) -> None:
    """Closing a port raises in tasks that wait and in later calls, and ends iteration."""
    near, far = await make()
    async with far:
        task = asyncio.ensure_future(near.receive())
        await asyncio.sleep(0)
        near.close()
        near.close()
        assert near.closed
        await assert_raises(PortClosedError, task)
        await assert_raises(PortClosedError, near.receive())
        assert [message async for message in near] == []
        assert_refused(PortClosedError, near, 1)
        if not is_connection(near):
            assert_refused(PortClosedError, far, 1, transfer=[near])
        await near.wait_closed()


@_check_linked
async def closing_one_end_ends_the_other(make: MakePair) -> None:
    """Messages that were sent before the close are delivered first."""
    near, far = await make()
    for i in range(3):
        near.post_message(i)
    waiting = asyncio.ensure_future(far.wait_closed())
    await asyncio.sleep(0)
    near.close()
    await waiting
    assert [message async for message in far] == [0, 1, 2]
    await assert_raises(PeerClosedError, far.receive())
    assert_refused(PeerClosedError, far, 1)


@_check_linked
async def pending_request_fails_when_its_port_closes(make: MakePair) -> None:
    """A pending request raises at once when either side closes the port."""
    near, far = await make()
    request = asyncio.ensure_future(near.request("question"))
    await far.receive()
    far.close()
    await assert_raises(PeerClosedError, request)
    near, far = await make()
    async with far:
        request = asyncio.ensure_future(near.request("question"))
        await asyncio.sleep(0)
        near.close()
        await assert_raises(PortClosedError, request)
