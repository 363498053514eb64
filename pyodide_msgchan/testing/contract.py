"""The contract of a channel, as checks that run over anything that makes a pair of ports."""

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
    is_connection,
    is_packed,
    make_movable,
    raises,
    refused,
)
from pyodide_msgchan.testing.round_trips import PACKED_TRIPS, ROUND_TRIPS, same

__all__ = ["CONTRACT", "LINKED", "Check"]


type Check = Callable[[MakePair], Awaitable[None]]
"""Raises AssertionError where a channel breaks its contract."""


CONTRACT: Final[dict[str, Check]] = {}
"""Every check that holds for any channel, by name."""


LINKED: Final[dict[str, Check]] = {}
"""Checks for channels with both ends in one interpreter, which end together."""


def _check(check: Check) -> Check:
    CONTRACT[check.__name__] = check
    return check


def _check_linked(check: Check) -> Check:
    LINKED[check.__name__] = check
    return check


@_check
async def values_arrive_as_the_table_says(make: MakePair) -> None:
    """Every kind of value, alone and in a list."""
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
    """One object stays one, and may hold itself."""
    near, far = await make()
    async with near, far:
        shared: list[Any] = [1]
        loop: dict[Any, Any] = {"twice": [shared, shared], 7: "makes it a Map"}
        loop["self"] = loop
        near.post_message(loop)
        got = await far.receive()
        assert got["self"] is got
        assert got["twice"][0] is got["twice"][1]


@_check
async def exceptions_arrive_as_exceptions(make: MakePair) -> None:
    """By their nearest name, with their message."""
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
    """Also when many are on their way."""
    near, far = await make()
    async with near, far:
        for i in range(500):
            near.post_message({"i": i})
            far.post_message(i)
        assert [(await far.receive())["i"] for _ in range(500)] == list(range(500))
        assert [await near.receive() for _ in range(500)] == list(range(500))


@_check
async def nothing_is_taken_before_somebody_asks(make: MakePair) -> None:
    """A port that nobody read can be passed on with what it holds."""
    carrier_near, carrier_far = await make()
    near, far = await make_movable(make)
    async with carrier_near, carrier_far, near:
        near.post_message("waiting in the browser")
        carrier_near.post_message({"port": far}, transfer=[far])
        moved = (await carrier_far.receive())["port"]
        async with moved:
            assert await moved.receive() == "waiting in the browser"


@_check
async def a_cancelled_receive_loses_nothing(make: MakePair) -> None:
    """Nor does one whose time ran out."""
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
async def who_waits_first_is_served_first(make: MakePair) -> None:
    """Also when one between them gives up."""
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
    """The first gets what was buffered; one that raises stops nobody; the last leaves a buffer."""
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
                raise LookupError("of the listener")

            def note(event: Any) -> None:
                calls.append(event.data)
                if event.data == 2:  # noqa: PLR2004 - the last of three
                    done.set()

            listeners = [far.on_message(fail), far.on_message(note)]
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
    """At once, instead of waiting for ever."""
    near, far = await make()
    async with near, far:
        listener = far.on_message(print)
        await raises(PortStateError, far.receive())
        listener.cancel()
        task = asyncio.ensure_future(far.receive())
        await asyncio.sleep(0)
        try:
            far.on_message(print)
        except PortStateError:
            pass
        else:
            raise AssertionError("a listener was taken while a task waits")
        near.post_message("for the task")
        assert await task == "for the task"


@_check
async def ports_travel(make: MakePair) -> None:
    """The same one in the data and in the list; used up here; live there."""
    near, far = await make()
    mine, gift = await make_movable(make)
    async with near, far, mine:
        waiting = asyncio.ensure_future(gift.receive())
        await asyncio.sleep(0)
        near.post_message({"gift": gift}, transfer=[gift])
        event = await far.receive_event()
        async with event.ports[0] as arrived:
            assert event.data["gift"] is arrived
            await raises(PortDetachedError, waiting)
            await raises(PortDetachedError, gift.receive())
            refused(PortDetachedError, gift, 1)
            refused(PortDetachedError, near, 1, transfer=[gift])
            mine.post_message("hello")
            assert await arrived.receive() == "hello"
            arrived.post_message("and back")
            assert await mine.receive() == "and back"


@_check
async def a_port_with_messages_is_not_moved(make: MakePair) -> None:
    """It says how many it holds, and gives them."""
    near, far = await make()
    mine, full = await make_movable(make)
    async with near, far, mine:
        mine.post_message("read")
        assert await full.receive() == "read"
        got = full.on_message(print)
        got.cancel()
        mine.post_message("left")
        probe = asyncio.Event()
        mine_listener = mine.on_message(lambda _event: probe.set())
        full.post_message("this has passed when that has arrived")
        await probe.wait()
        mine_listener.cancel()
        while not full.buffered:  # noqa: ASYNC110 - no event tells of what nobody asked for
            await asyncio.sleep(0)
        error = refused(PortStateError, near, 1, transfer=[full])
        assert "1 received" in str(error), error
        assert full.take_buffered() == ["left"]
        near.post_message(1, transfer=[full])
        for port in (await far.receive_event()).ports:
            port.close()


@_check
async def requests_are_answered(make: MakePair) -> None:
    """On a channel of their own, in any order; what is no request can't be answered."""
    near, far = await make()
    async with near, far:
        asked = [asyncio.ensure_future(near.request({"question": i})) for i in range(3)]
        events = [await far.receive_event() for _ in asked]
        for event in reversed(events):
            event.reply([event.data["question"], "answered"])
        assert await asyncio.gather(*asked) == [[i, "answered"] for i in range(3)]
        near.post_message("no request")
        event = await far.receive_event()
        try:
            event.reply(1)
        except PortStateError:
            return
        raise AssertionError("a plain message was answered")


@_check
async def bad_values_name_their_place(make: MakePair) -> None:
    """Nothing is sent, nothing is moved, and the port goes on."""
    near, far = await make()
    mine, kept = await make_movable(make)
    async with near, far, mine, kept:
        cases: list[tuple[Any, str]] = [
            ({"rows": [0, {"callback": print}]}, "message['rows'][1]['callback']"),
            ([1, object()], "message[1]"),
            ({"port": kept}, "message['port']"),
        ]
        if not is_packed(near):
            cases.append(([dt.datetime(2026, 1, 1)], "message[0]"))  # noqa: DTZ001 - naive on purpose
        for value, path in cases:
            error = refused(DataCloneError, near, value)
            assert error.path == path, error
        error = refused(DataCloneError, near, [kept, object()], transfer=[kept])
        assert error.path == "message[1]", error
        for transfer, path in (
            ([near], "transfer[0]"),
            ([kept, kept], "transfer[1]"),
            ([b""], "transfer[0]"),
        ):
            error = refused(DataCloneError, near, 1, transfer=transfer)
            assert error.path == path, error
        mine.post_message("kept")
        assert await kept.receive() == "kept"
        near.post_message("goes on")
        assert await far.receive() == "goes on"


@_check
async def depth_has_one_limit(make: MakePair) -> None:
    """500 levels go everywhere, 501 nowhere, and 100,000 harm nobody."""
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
                refused(DataCloneError, near, deep)
            while deep:  # Pyodide overflows its stack where a deep list is dropped whole
                [deep] = deep


@_check
async def a_closed_port_says_so(make: MakePair) -> None:
    """To who waits, at once; iteration ends; everything else raises."""
    near, far = await make()
    async with far:
        task = asyncio.ensure_future(near.receive())
        await asyncio.sleep(0)
        near.close()
        near.close()
        assert near.closed
        await raises(PortClosedError, task)
        await raises(PortClosedError, near.receive())
        assert [message async for message in near] == []
        refused(PortClosedError, near, 1)
        if not is_connection(near):
            refused(PortClosedError, far, 1, transfer=[near])
        await near.wait_closed()


@_check_linked
async def both_ends_end_together(make: MakePair) -> None:
    """What was sent is delivered first."""
    near, far = await make()
    for i in range(3):
        near.post_message(i)
    waiting = asyncio.ensure_future(far.wait_closed())
    await asyncio.sleep(0)
    near.close()
    await waiting
    assert [message async for message in far] == [0, 1, 2]
    await raises(PeerClosedError, far.receive())
    refused(PeerClosedError, far, 1)


@_check_linked
async def a_request_ends_with_its_port(make: MakePair) -> None:
    """Whichever side closes it."""
    near, far = await make()
    asked = asyncio.ensure_future(near.request("question"))
    await far.receive()
    far.close()
    await raises(PeerClosedError, asked)
    near, far = await make()
    async with far:
        asked = asyncio.ensure_future(near.request("question"))
        await asyncio.sleep(0)
        near.close()
        await raises(PortClosedError, asked)
