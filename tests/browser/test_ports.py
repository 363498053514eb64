"""Reading a port: order, tasks, listeners and events, and that nothing is lost on the way."""

from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_nothing_is_taken_before_somebody_asks(selenium):
    from pyodide_msgchan import MessageChannel

    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        for number in range(3):
            one.post_message(number)
        carrier.post_message("a fence")
        assert await far.receive() == "a fence"
        assert two.buffered == 0
        carrier.post_message({"port": two}, transfer=[two])
        async with (await far.receive())["port"] as moved:
            assert moved is not two
            assert [await moved.receive() for _ in range(3)] == [0, 1, 2]


@run_in_pyodide
async def test_untouched_messages_reach_javascript_with_their_port(selenium):
    from pyodide.code import run_js

    from pyodide_msgchan import MessageChannel, MessagePort

    carrier, far = run_js("const c = new MessageChannel(); [c.port1, c.port2]")
    one, two = MessageChannel()
    count = run_js("""carrier => new Promise(resolve => {
        carrier.onmessage = ({ ports: [port] }) => {
            const got = [];
            port.onmessage = ({ data }) => {
                got.push(data);
                if (got.length < 3) return;
                port.close();
                carrier.close();
                resolve(got.join());
            };
        };
    })""")(far)
    async with one, MessagePort(carrier) as port:
        for number in range(3):
            one.post_message(number)
        port.post_message(None, transfer=[two])
        assert await count == "0,1,2"


@run_in_pyodide
async def test_start_takes_messages_and_keeps_them(selenium):
    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        two.start()
        two.start()
        one.post_message("first")
        one.post_message("second")
        assert await two.receive() == "first"
        assert await two.receive() == "second"


@run_in_pyodide
async def test_cancelled_receive_loses_nothing(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        task = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        one.post_message(1)
        assert await two.receive() == 1

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await two.receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(two.receive(), 0.01)
        one.post_message(2)
        async with asyncio.timeout(5):
            assert await two.receive() == 2
        one.post_message(3)
        assert await asyncio.wait_for(two.receive(), 5) == 3


@run_in_pyodide
async def test_task_group_that_fails_loses_nothing(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()

    async def fail():
        raise KeyError("sibling")

    async with one, two:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group is what raises
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(two.receive())
                group.create_task(fail())
        assert waiting.cancelled()
        assert caught.group_contains(KeyError)
        one.post_message("kept")
        assert await two.receive() == "kept"


@run_in_pyodide
async def test_waiting_tasks_are_served_first_come_first_served(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    got = []

    async def take(name):
        got.append((name, await two.receive()))

    async with one, two:
        tasks = [asyncio.create_task(take(name)) for name in "abcde"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        for number in range(4):
            one.post_message(number)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert got == [("a", 0), ("c", 1), ("d", 2), ("e", 3)]


@run_in_pyodide
async def test_order_holds_across_bursts_buffers_and_kinds_of_reading(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        for number in range(700):  # more than two batches
            one.post_message(number)
        got = [await two.receive() for _ in range(100)]
        for number in range(700, 1000):
            one.post_message(number)
        for _ in range(100):
            event = await two.receive_event()
            assert event.data == event.js.data  # each with the event that brought it
            got.append(event.data)
        got += two.take_buffered()
        waiting = [asyncio.create_task(two.receive()) for _ in range(1001 - len(got))]
        await asyncio.sleep(0)
        one.post_message(1000)
        got += await asyncio.gather(*waiting)
        assert got == list(range(1001))
        assert two.buffered == 0


@run_in_pyodide
async def test_one_kind_of_reader_at_a_time(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PortStateError

    one, two = MessageChannel()
    async with one, two:
        task = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        with pytest.raises(PortStateError, match="task waits"):
            two.on_message(print)
        one.post_message("for the task")
        assert await task == "for the task"

        got = []
        listener = two.on_message(got.append)
        for read in (two.receive, two.receive_event, two.__anext__, two.events().__anext__):
            with pytest.raises(PortStateError, match="listener reads"):
                await read()
        listener.cancel()
        one.post_message("for a task again")
        assert await two.receive() == "for a task again"
        assert got == []


@run_in_pyodide
async def test_first_listener_gets_what_was_buffered(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    done = asyncio.Event()
    first, second = [], []

    def listen(event):
        first.append(event.data)
        if event.data == "live":
            done.set()

    async with one, two:
        for number in range(3):
            one.post_message(number)
        assert await two.receive() == 0
        listener = two.on_message(listen)
        also = two.on_message(lambda event: second.append(event.data))
        assert first == []  # a later turn
        one.post_message("live")
        await done.wait()
        assert first == [1, 2, "live"]
        listener.cancel()
        listener.cancel()
        also.cancel()
        one.post_message("kept")
        one.post_message("kept too")
        assert [await two.receive(), await two.receive()] == ["kept", "kept too"]
        assert first == second == [1, 2, "live"]


@run_in_pyodide
async def test_listeners_in_order_and_a_failing_one_stops_nobody(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    loop = asyncio.get_running_loop()
    handled, calls, done = [], [], asyncio.Event()

    def fail(event):
        calls.append(("fail", event.data))
        raise ValueError(event.data)

    def cancel_third(event):
        calls.append(("second", event.data))
        third.cancel()

    def last(event):
        calls.append(("last", event.data))
        if event.data == 2:
            done.set()

    loop.set_exception_handler(lambda _, context: handled.append(context))
    try:
        async with one, two:
            two.on_message(fail)
            two.on_message(cancel_third)
            third = two.on_message(lambda event: calls.append(("third", event.data)))
            two.on_message(last)
            one.post_message(1)
            one.post_message(2)
            await done.wait()
    finally:
        loop.set_exception_handler(None)
    assert calls == [(name, n) for n in (1, 2) for name in ("fail", "second", "last")]
    assert [str(context["exception"]) for context in handled] == ["1", "2"]
    assert "listener" in handled[0]["message"]
    assert "fail" in handled[0]["message"]


@run_in_pyodide
async def test_coroutine_listeners_run_side_by_side(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    loop = asyncio.get_running_loop()
    handled, entered = [], []
    all_there, failed = asyncio.Event(), asyncio.Event()

    def handle(_, context):
        handled.append(context["exception"])
        failed.set()

    async def listen(event):
        entered.append(event.data)
        if len(entered) == 3:
            all_there.set()
        await all_there.wait()
        if event.data == "bad":
            raise ValueError("of a coroutine")

    loop.set_exception_handler(handle)
    try:
        async with one, two:
            two.on_message(listen)
            for message in ("bad", "good", "fine"):
                one.post_message(message)
            await failed.wait()
    finally:
        loop.set_exception_handler(None)
    assert entered == ["bad", "good", "fine"]
    assert [str(error) for error in handled] == ["of a coroutine"]


@run_in_pyodide
async def test_events_bring_their_ports(selenium):
    import pytest
    from js import MessageChannel as NativeChannel

    from pyodide_msgchan import MessageChannel, MessagePort

    one, two = MessageChannel()
    inner, moved = MessageChannel()
    async with one, two, inner:
        one.post_message({"to": [moved]}, transfer=[moved])
        one.post_message("plain")
        events = two.events()
        event = await anext(events)
        assert event.data["to"][0] is event.ports[0]
        assert MessagePort(event.js.ports[0]) is event.ports[0]
        assert (event.origin, event.source, event.last_event_id) == ("", None, "")
        async with event.ports[0] as port:
            inner.post_message("through")
            assert await port.receive() == "through"
        event = await anext(events)
        assert (event.data, event.ports) == ("plain", ())
        assert repr(event) == "<MessageEvent data='plain'>"
        native = NativeChannel.new()
        one.post_message({"to": native.port1}, transfer=[native.port1])
        event = await anext(events)
        async with event.ports[0] as port:
            assert event.data["to"] is port
            native.port2.postMessage("through")
            assert await port.receive() == "through"
        one.close()
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@run_in_pyodide
async def test_take_buffered_without_waiting(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        assert two.take_buffered() == []
        for number in range(5):
            one.post_message(number)
        assert await two.receive() == 0
        one.post_message(5)
        while two.buffered < 5:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)
        assert two.take_buffered() == [1, 2, 3, 4, 5]
        assert (two.buffered, two.take_buffered()) == (0, [])


@run_in_pyodide
async def test_receive_that_yields_for_the_page_keeps_its_place(selenium):
    import asyncio
    from time import monotonic

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        for number in range(4):
            one.post_message(number)
        assert await two.receive() == 0
        while two.buffered < 3:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)
        assert await two.receive() == 1  # and takes over what came with it
        start = monotonic()
        while monotonic() - start < 0.02:  # longer than a task may go on without yielding
            pass
        first = asyncio.create_task(two.receive())
        second = asyncio.create_task(two.receive())
        assert await asyncio.gather(first, second) == [2, 3]


@run_in_pyodide
async def test_a_message_that_was_dropped_is_gone_at_once(selenium):
    import weakref

    from pyodide_msgchan import MessageChannel

    here, there = MessageChannel()
    async with here, there:
        for often in (1, 3):
            for _ in range(often):
                here.post_message({1, 2})
            for _ in range(often):
                message = await there.receive()
                known = weakref.ref(message)
                del message
                assert known() is None
