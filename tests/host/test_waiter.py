"""A waiter is what `asyncio` expects of a future, and stepping a task never loses its wake-up."""

import asyncio
import contextvars

import pytest
from tools.waiting import settle, until

from pyodide_msgchan._port.waiter import Waiter, wake_together


@pytest.fixture
async def waiter():
    return Waiter(asyncio.get_running_loop())


async def wait_for(waiter):
    """A task that waits, once it does."""
    task = asyncio.ensure_future(asyncio.wait_for(waiter, None))
    await until(lambda: waiter._callbacks)
    return task


def step(function, *args):
    """Call a function where no task runs, as a browser calls Python."""
    asyncio.get_running_loop().call_soon(function, *args)


async def test_results_before_and_after_it_is_woken(waiter):
    with pytest.raises(asyncio.InvalidStateError):
        waiter.result()
    assert waiter.get_loop() is asyncio.get_running_loop()
    waiter.wake_soon()
    assert (waiter.done(), waiter.cancelled()) == (True, False)
    assert (waiter.result(), waiter.exception()) == (None, None)
    assert not waiter.cancel()
    assert not waiter.cancelled()


async def test_cancelling_keeps_the_message(waiter):
    assert waiter.cancel("why")
    assert (waiter.done(), waiter.cancelled()) == (True, True)
    with pytest.raises(asyncio.CancelledError) as caught:
        waiter.result()
    assert caught.value.args == ("why",)


async def test_callbacks_are_called_once_or_removed(waiter):
    calls = []

    def kept(done):
        calls.append(("kept", done))

    def removed(done):
        calls.append(("removed", done))

    for callback in (removed, kept, removed):
        waiter.add_done_callback(callback)
    assert waiter.remove_done_callback(removed) == 2
    assert waiter.remove_done_callback(removed) == 0
    waiter.wake_soon()
    waiter.wake_soon()
    assert calls == []
    await settle()
    assert calls == [("kept", waiter)]


async def test_a_callback_added_too_late_is_called_in_its_context(waiter):
    variable = contextvars.ContextVar("variable", default="outside")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    seen = []
    waiter.wake_soon()
    waiter.add_done_callback(lambda _: seen.append(variable.get()), context=context)
    assert seen == []
    await settle()
    assert seen == ["inside"]


async def test_a_task_is_stepped_at_once_where_none_runs(waiter):
    task = await wait_for(waiter)
    seen = []

    def wake():
        waiter.wake_now()
        seen.append(waiter.done())
        waiter.wake_now()  # the second time it does nothing

    step(wake)
    await task
    assert seen == [True]


async def test_a_task_is_woken_through_the_loop_where_another_runs(waiter):
    calls = []
    waiter.add_done_callback(calls.append)
    waiter.wake_now()  # called by the task of this test
    assert (waiter.done(), calls) == (True, [])
    await settle()
    assert calls == [waiter]


WAKE = {"alone": Waiter.wake_now, "together": lambda waiter: wake_together([waiter])}


@pytest.mark.parametrize("wake", WAKE.values(), ids=WAKE)
async def test_a_task_that_can_not_be_entered_continues_in_a_later_turn(waiter, wake):
    calls = []

    def callback(_):
        calls.append(len(calls))
        if len(calls) == 1:
            raise RuntimeError("cannot enter context: it is already entered")

    waiter.add_done_callback(callback)
    step(wake, waiter)
    await until(lambda: len(calls) == 2)


@pytest.mark.parametrize("wake", WAKE.values(), ids=WAKE)
async def test_an_error_of_a_step_is_reported_and_stops_nobody(waiter, wake, reports):
    calls, error = [], KeyError("of a callback")

    def fail(_):
        raise error

    waiter.add_done_callback(fail)
    waiter.add_done_callback(calls.append)
    waiter.add_done_callback(calls.append, context=contextvars.copy_context())
    step(wake, waiter)
    await until(lambda: len(calls) == 2)
    assert reports == [error]


async def test_those_woken_together_run_in_their_order(reports):
    loop = asyncio.get_running_loop()
    waiters = [Waiter(loop) for _ in range(5)]
    calls = []
    for waiter in waiters:
        waiter.add_done_callback(calls.append)
    waiters[2].cancel()
    wake_together(waiters)
    assert all(waiter.done() for waiter in waiters)
    await until(lambda: len(calls) == 5)
    assert [one for one in calls if one is not waiters[2]] == [*waiters[:2], *waiters[3:]]
    assert reports == []
