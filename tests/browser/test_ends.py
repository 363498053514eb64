"""How ports end: closed, transferred, left by the other side."""

from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_closed_port_says_so_and_wakes_who_waits(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PeerClosedError, PortClosedError

    one, two = MessageChannel()
    waiting = [asyncio.create_task(two.receive()) for _ in range(2)]
    closers = [asyncio.create_task(port.wait_closed()) for port in (one, two)]
    await asyncio.sleep(0)
    assert not two.closed
    two.close()
    two.close()
    assert two.closed
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert type(outcome) is PortClosedError
    await asyncio.gather(*closers)
    await two.wait_closed()
    with pytest.raises(PortClosedError) as mine:
        two.post_message(1)
    assert type(mine.value) is PortClosedError
    with pytest.raises(PortClosedError):
        await two.receive()
    with pytest.raises(PortClosedError):
        two.on_message(print)
    with pytest.raises(PortClosedError):
        two.start()
    with pytest.raises(PortClosedError):
        _ = two.js
    with pytest.raises(PeerClosedError):
        one.post_message(1)
    assert [message async for message in two] == []
    assert [event async for event in two.events()] == []


@run_in_pyodide
async def test_iteration_ends_when_its_own_side_closes(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()

    seen, arrived = [], asyncio.Event()

    async def read(messages):
        async for message in messages:
            seen.append(message)
            arrived.set()

    task = asyncio.create_task(read(two))
    one.post_message("something")
    await arrived.wait()
    two.close()
    await task
    assert seen == ["something"]


@run_in_pyodide
async def test_what_the_peer_sent_before_closing_is_delivered(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PeerClosedError

    one, two = MessageChannel()
    for number in range(600):
        one.post_message(number)
    one.close()
    assert [message async for message in two] == list(range(600))
    with pytest.raises(PeerClosedError):
        await two.receive()

    one, two = MessageChannel()
    waiting = asyncio.create_task(two.receive())
    late = asyncio.create_task(two.receive())
    await asyncio.sleep(0)
    one.post_message("last")
    one.close()
    assert await waiting == "last"
    with pytest.raises(PeerClosedError):
        await late
    await two.wait_closed()

    one, two = MessageChannel()
    got, all_there = [], asyncio.Event()
    one.post_message("to a listener")
    one.js.postMessage("past the wrapper")  # counted too
    one.close()
    two.on_message(lambda event: (got.append(event.data), len(got) == 2 and all_there.set()))
    await all_there.wait()
    assert got == ["to a listener", "past the wrapper"]

    one, two = MessageChannel()
    for number in range(3):
        one.post_message(number)
    assert await two.receive() == 0
    one.close()
    while two.buffered < 2:  # noqa: ASYNC110 - the browser does not tell
        await asyncio.sleep(0)
    all_there.clear()
    two.on_message(lambda event: (got.append(event.data), event.data == 2 and all_there.set()))
    await all_there.wait()
    assert got[2:] == [1, 2]
    with pytest.raises(PeerClosedError):
        two.on_message(print)


@run_in_pyodide
async def test_async_with_closes_both(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one as entered:
        assert entered is one
        reader = asyncio.create_task(two.wait_closed())
        await asyncio.sleep(0)
    assert one.closed
    await reader
    assert two.closed


@run_in_pyodide
async def test_transferred_port_says_so_and_wakes_who_waits(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PortDetachedError

    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        waiting = asyncio.create_task(two.receive())
        iterating = asyncio.create_task(anext(two))
        closing = asyncio.create_task(two.wait_closed())
        await asyncio.sleep(0)
        carrier.post_message(two, transfer=[two])
        assert two.closed
        for task in (waiting, iterating):
            with pytest.raises(PortDetachedError):
                await task
        await closing
        for use in (two.start, lambda: two.post_message(1), lambda: two.on_message(print)):
            with pytest.raises(PortDetachedError):
                use()
        with pytest.raises(PortDetachedError):
            await two.receive()
        with pytest.raises(PortDetachedError):
            _ = two.js
        two.close()  # no error, and no end for who has it now
        async with await far.receive() as moved:
            one.post_message("goes on")
            assert await moved.receive() == "goes on"
            moved.post_message("back")
            assert await one.receive() == "back"


@run_in_pyodide
async def test_adopting_twice_gives_the_same_port(selenium):
    from js import MessageChannel as NativeChannel

    from pyodide_msgchan import MessageChannel, MessagePort

    native = NativeChannel.new()
    async with MessagePort(native.port1) as port, MessagePort(native.port2) as other:
        assert MessagePort(native.port1) is port
        assert MessagePort(port.js) is port
        assert other is not port
        port.post_message("hello")
        assert await other.receive() == "hello"
    one, two = MessageChannel()
    async with one, two:
        assert MessagePort(one.js) is one


@run_in_pyodide
async def test_port_with_messages_is_not_moved_until_they_are_taken(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PortStateError

    carrier, far = MessageChannel()
    one, two = MessageChannel()
    async with carrier, far, one:
        for number in range(4):
            one.post_message(number)
        assert await two.receive() == 0
        while two.buffered < 3:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)
        with pytest.raises(PortStateError, match="holds 3 received messages") as caught:
            carrier.post_message(two, transfer=[two])
        assert "transfer[0]" in str(caught.value)
        assert two.take_buffered() == [1, 2, 3]
        carrier.post_message("only this", transfer=[two])
        event = await far.receive_event()
        assert event.data == "only this"
        async with event.ports[0] as moved:
            one.post_message("next")
            assert await moved.receive() == "next"


@run_in_pyodide
async def test_port_in_its_own_listener_is_not_moved(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PortStateError

    carrier, far = MessageChannel()
    one, two = MessageChannel()
    refused = asyncio.get_running_loop().create_future()

    def move(event):
        with pytest.raises(PortStateError, match="own listener") as caught:
            carrier.post_message(two, transfer=[two])
        refused.set_result(str(caught.value))

    async with carrier, far, one:
        two.on_message(move)
        one.post_message("now")
        assert "transfer[0]" in await refused
        carrier.post_message(two, transfer=[two])  # in a later turn
        async with await far.receive() as moved:
            one.post_message("goes on")
            assert await moved.receive() == "goes on"


@run_in_pyodide
async def test_port_is_moved_by_the_task_that_its_message_woke(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel

    carrier, far = MessageChannel()
    one, two = MessageChannel()

    async def forward():
        assert await two.receive() == "move on"
        carrier.post_message(two, transfer=[two])

    async with carrier, far, one:
        task = asyncio.create_task(forward())
        await asyncio.sleep(0)
        one.post_message("move on")
        async with await far.receive() as moved:
            one.post_message("there")
            assert await moved.receive() == "there"
        await task


@run_in_pyodide
async def test_native_close_event_ends_the_port(selenium):
    import asyncio

    import pytest
    from js import Event
    from js import MessageChannel as NativeChannel

    from pyodide_msgchan import MessagePort, PeerClosedError

    native = NativeChannel.new()
    port = MessagePort(native.port1)
    waiting = asyncio.create_task(port.receive())
    await asyncio.sleep(0)
    native.port1.dispatchEvent(Event.new("close"))
    with pytest.raises(PeerClosedError):
        await waiting
    assert port.closed
    native.port2.close()


@run_in_pyodide
async def test_message_error_is_told_and_reading_goes_on(selenium):
    import asyncio

    from js import Event

    from pyodide_msgchan import MessageChannel, MessageError

    one, two = MessageChannel()
    loop = asyncio.get_running_loop()
    errors, handled = [], []
    loop.set_exception_handler(lambda _, context: handled.append(context["exception"]))
    try:
        async with one, two:
            two.start()
            listener = two.on_message_error(errors.append)
            two.js.dispatchEvent(Event.new("messageerror"))
            one.post_message("after it")
            assert await two.receive() == "after it"
            assert [type(error) for error in errors] == [MessageError]
            listener.cancel()
            two.js.dispatchEvent(Event.new("messageerror"))
            one.post_message("after the second")
            assert await two.receive() == "after the second"
    finally:
        loop.set_exception_handler(None)
    assert len(errors) == 1
    assert [type(error) for error in handled] == [MessageError]
