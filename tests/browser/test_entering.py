"""What a task that a message steps finds in place, and one that can't be stepped at once."""

import pytest
from pytest_pyodide import run_in_pyodide

both_ways = pytest.mark.parametrize("stack_switching", [True, False])


@both_ways
@run_in_pyodide
async def test_async_generators_of_a_woken_task_are_closed(selenium, stack_switching):
    import asyncio
    import gc

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    async def leave_one_behind():
        await two.receive()
        generator = generate()
        assert await anext(generator) == 1
        assert generator in loop._asyncgens

    async with one, two:
        task = asyncio.create_task(leave_one_behind())
        await asyncio.sleep(0)
        one.post_message("go")
        await task
        gc.collect()
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize("known", [True, False])
@run_in_pyodide
async def test_task_that_can_not_be_entered_now_is_woken_by_the_loop(selenium, known):
    import asyncio

    import pytest

    from pyodide_msgchan._port.waiter import Waiter

    loop, handled = asyncio.get_running_loop(), []
    waiter = Waiter(loop)

    async def wait():
        await waiter
        return "woken"

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    loop.set_exception_handler(lambda _, context: handled.append(context))
    try:
        with pytest.MonkeyPatch.context() as patch:
            if not known:  # the task itself refuses then, since this one is being stepped
                patch.setattr(asyncio, "current_task", lambda _loop=None: None)
            waiter.wake_now()
        assert not task.done()
        assert await asyncio.wait_for(task, 5) == "woken"
    finally:
        loop.set_exception_handler(None)
    assert handled == []


@run_in_pyodide
async def test_plain_port_wakes_its_task_while_another_is_blocked(selenium):
    import asyncio

    import pytest
    from pyodide.code import run_js
    from pyodide.ffi import run_sync

    from pyodide_msgchan import MessageChannel

    if not run_js("'Suspending' in WebAssembly"):
        pytest.skip("this engine can't suspend: it has no WebAssembly.Suspending")
    one, two = MessageChannel()
    three, four = MessageChannel(stack_switching=False)
    log, gate = [], asyncio.Event()

    async def block():
        log.append(await two.receive())
        three.post_message("meanwhile")
        run_sync(gate.wait())
        log.append("on")

    async def take():
        log.append(await four.receive())
        gate.set()

    async with one, two, three, four:
        tasks = [asyncio.create_task(block()), asyncio.create_task(take())]
        await asyncio.sleep(0)
        one.post_message("blocks")
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert log == ["blocks", "meanwhile", "on"]
