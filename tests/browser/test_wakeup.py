"""The message wakes the task itself: what a task woken so can do, and what it can't break."""

import pytest
from pytest_pyodide import run_in_pyodide

both_ways = pytest.mark.parametrize("stack_switching", [True, False])


@run_in_pyodide
async def test_woken_task_may_block_while_others_are_woken(selenium):
    import asyncio

    import pytest
    from pyodide.code import run_js
    from pyodide.ffi import can_run_sync, run_sync

    from pyodide_msgchan import MessageChannel

    if not run_js("'Suspending' in WebAssembly"):
        pytest.skip("this engine can't suspend: it has no WebAssembly.Suspending")
    one, two = MessageChannel()
    three, four = MessageChannel()
    log, gate = [], asyncio.Event()

    async def block():
        message = await two.receive()
        assert can_run_sync()
        run_sync(gate.wait())
        log.append(message)
        log.append(run_sync(two.receive()))

    async def same_port():
        log.append(await two.receive())
        three.post_message("on another port")

    async def other_port():
        log.append(await four.receive())
        gate.set()

    async with one, two, three, four:
        tasks = [asyncio.create_task(block()), asyncio.create_task(same_port())]
        tasks.append(asyncio.create_task(other_port()))
        await asyncio.sleep(0)
        one.post_message("blocks")
        one.post_message("on the same port")
        await asyncio.gather(*tasks[1:])
        one.post_message("inside run_sync")
        await tasks[0]
    assert log == ["on the same port", "on another port", "blocks", "inside run_sync"]


@run_in_pyodide
async def test_listener_may_block_where_the_engine_can(selenium):
    import asyncio

    import pytest
    from pyodide.code import run_js
    from pyodide.ffi import run_sync

    from pyodide_msgchan import MessageChannel

    if not run_js("'Suspending' in WebAssembly"):
        pytest.skip("this engine can't suspend: it has no WebAssembly.Suspending")
    one, two = MessageChannel()
    log, gate, done = [], asyncio.Event(), asyncio.Event()

    def listen(event):
        if event.data == "blocks":
            run_sync(gate.wait())
        else:
            gate.set()
        log.append(event.data)
        if len(log) == 2:
            done.set()

    async with one, two:
        two.on_message(listen)
        one.post_message("blocks")
        one.post_message("meanwhile")
        await done.wait()
    assert log == ["meanwhile", "blocks"]


@run_in_pyodide
async def test_without_stack_switching_a_woken_task_can_not_block(selenium):
    import asyncio

    import pytest
    from pyodide.ffi import can_run_sync, run_sync

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=False)

    async def block():
        await two.receive()
        assert not can_run_sync()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="stack switch"):
            run_sync(coroutine)
        coroutine.close()

    async with one, two:
        task = asyncio.create_task(block())
        await asyncio.sleep(0)
        one.post_message("go")
        await task


@both_ways
@run_in_pyodide
async def test_message_needs_no_turn_of_the_loop(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    loop = asyncio.get_running_loop()
    call_soon, turns = loop.call_soon, []

    def count(*args, **kwargs):
        turns.append(args)
        return call_soon(*args, **kwargs)

    async def echo():
        async for message in two:
            two.post_message(message)

    async def ask():
        for number in range(100):
            one.post_message(number)
            assert await one.receive() == number

    async with one, two:
        echoing = asyncio.create_task(echo())
        await asyncio.sleep(0)
        loop.call_soon = count
        try:
            await asyncio.create_task(ask())
        finally:
            del loop.call_soon
        one.close()
        await echoing
    assert len(turns) < 10


@both_ways
@run_in_pyodide
async def test_tasks_and_listeners_keep_their_context(selenium, stack_switching):
    import asyncio
    from contextvars import ContextVar

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    name = ContextVar("name", default="nobody")
    seen = []

    async def take():
        name.set("task")
        await two.receive()
        seen.append((name.get(), asyncio.current_task().get_name()))
        await two.receive()
        seen.append((name.get(), asyncio.current_task().get_name()))

    async with one, two:
        task = asyncio.create_task(take(), name="taker")
        await asyncio.sleep(0)
        name.set("main")
        one.post_message(1)
        one.post_message(2)
        await task
        assert seen == [("task", "taker")] * 2
        assert name.get() == "main"
        done = asyncio.Event()
        two.on_message(lambda _: (seen.append(name.get()), done.set()))
        name.set("later")
        one.post_message(3)
        await done.wait()
        assert seen[2:] == ["main"]


@both_ways
@run_in_pyodide
async def test_cancelled_while_marked_passes_the_message_on(selenium, stack_switching):
    import asyncio
    from time import monotonic

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    async with one, two:
        for number in range(5):
            one.post_message(number)
        assert await two.receive() == 0
        while two.buffered < 4:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)
        assert await two.receive() == 1
        start = monotonic()
        while monotonic() - start < 0.02:  # the next one yields first, so that all can line up
            pass
        tasks = [asyncio.create_task(two.receive()) for _ in range(3)]
        await asyncio.sleep(0)
        assert [task.cancel() for task in tasks[:2]] == [True, True]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2 + [int]
        assert outcomes[2] == 2
        assert [await two.receive(), await two.receive()] == [3, 4]


@both_ways
@run_in_pyodide
async def test_timeouts_around_a_woken_task(selenium, stack_switching):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)

    async def late():
        async with asyncio.timeout(5) as timeout:
            assert await two.receive() == "in time"
            timeout.reschedule(asyncio.get_running_loop().time())  # now
            await two.receive()

    async with one, two:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        one.post_message("in time")
        with pytest.raises(TimeoutError):
            await task
        one.post_message("kept")
        assert await two.receive() == "kept"


@both_ways
@run_in_pyodide
async def test_exit_or_error_in_a_woken_task_stops_nobody(selenium, stack_switching):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    loop = asyncio.get_running_loop()
    before, codes = loop._system_exit_handler, []

    async def take_and_raise(error):
        await two.receive()
        raise error

    async with one, two:
        tasks = [
            asyncio.create_task(take_and_raise(error))
            for error in (SystemExit(3), ValueError("bad"), asyncio.CancelledError())
        ]
        last = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        loop._system_exit_handler = codes.append
        try:
            for number in range(4):
                one.post_message(number)
            assert await last == 3
        finally:
            loop._system_exit_handler = before
        assert codes == [3]
        assert type(tasks[0].exception()) is SystemExit
        with pytest.raises(ValueError, match="bad"):
            await tasks[1]
        with pytest.raises(asyncio.CancelledError):
            await tasks[2]

        loop._system_exit_handler = codes.append
        try:  # the same from a listener
            got, done = [], asyncio.Event()

            def listen(event):
                got.append(event.data)
                if event.data == "last":
                    done.set()
                raise SystemExit(event.data)

            two.on_message(listen)
            one.post_message("first")
            one.post_message("last")
            await done.wait()
        finally:
            loop._system_exit_handler = before
        assert got == codes[1:] == ["first", "last"]


@both_ways
@run_in_pyodide
async def test_base_exceptions_of_listeners_stop_nobody(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    class OwnError(BaseException):
        pass

    one, two = MessageChannel(stack_switching=stack_switching)
    loop = asyncio.get_running_loop()
    before, codes, reports = loop._system_exit_handler, [], []
    handler = loop.get_exception_handler()
    errors = [asyncio.CancelledError(), OwnError(), SystemExit(7)]
    seen, done = [], asyncio.Event()

    def fail(event):
        raise errors[event.data]

    async def fail_later(event):
        await asyncio.sleep(0)
        raise errors[event.data]

    def see(event):
        seen.append(event.data)

    loop._system_exit_handler = codes.append
    loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
    try:
        async with one, two:
            two.on_message(fail)
            two.on_message(fail_later)
            two.on_message(see)
            two.on_message(lambda event: event.data == 2 and done.set())
            for number in range(3):
                one.post_message(number)
            await done.wait()
            for _ in range(5):
                await asyncio.sleep(0)
    finally:
        loop._system_exit_handler = before
        loop.set_exception_handler(handler)
    assert seen == [0, 1, 2]
    assert codes == [7, 7]
    assert sorted(reports, key=errors.index) == [errors[0]] * 2 + [errors[1]] * 2


@both_ways
@run_in_pyodide
async def test_long_full_buffer_lets_timers_go_on(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    count = 20_000
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async with one, two:
        two.start()
        for number in range(count):
            one.post_message(number)
        while two.buffered < count:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        ticks = 0
        for number in range(count):
            assert await two.receive() == number
        assert ticks > 0
        ticking.cancel()


@both_ways
@run_in_pyodide
async def test_messages_from_within_a_woken_task_arrive(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    first, second = MessageChannel(stack_switching=stack_switching)

    async def relay():
        async for message in two:  # stepped by a message, posts and waits within that step
            first.post_message(message)
            reply = await first.receive()
            two.post_message(reply)

    async def double():
        async for message in second:
            second.post_message(message * 2)

    async with one, two, first, second:
        tasks = [asyncio.create_task(relay()), asyncio.create_task(double())]
        for number in range(50):
            one.post_message(number)
        assert [await one.receive() for _ in range(50)] == [2 * number for number in range(50)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
