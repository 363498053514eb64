"""What ends by a BaseException ends whoever waits for it, and stops nobody else."""

import asyncio

import pytest
from tools.waiting import settle

from pyodide_msgchan import RemoteError, expose, register_converter, wrap
from pyodide_msgchan.testing import MessageChannel

pytestmark = pytest.mark.usefixtures("delivery")


class OwnError(BaseException):
    """Derived as a library does that wants to pass every `except Exception`."""


ENDS = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("cut"), OwnError("own")]
EXITS = [SystemExit, KeyboardInterrupt]
by_name = pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)


class Unsendable:
    def __init__(self, error):
        self.error = error


def raise_its_error(value):
    raise value.error


class Api:
    def plain(self, error):
        raise error

    async def at_once(self, error):
        raise error

    async def later(self, error):
        await asyncio.sleep(0)
        raise error

    def unsendable(self, error):
        return Unsendable(error)

    async def items(self, error, first=2):
        for number in range(first):
            yield number
        raise error

    def plain_items(self, error):
        yield 0
        yield 1
        raise error

    async def fails_when_closed(self, error):
        try:
            for number in range(100):
                yield number
        finally:
            raise error

    async def unsendable_items(self, error):
        yield 0
        yield 1
        yield Unsendable(error)


@pytest.fixture
async def exits(monkeypatch):
    """What the loop is asked for, as Pyodide's loop gets it."""
    seen = []
    loop = asyncio.get_running_loop()
    handlers = {
        "_system_exit_handler": lambda _: seen.append(SystemExit),
        "_keyboard_interrupt_handler": lambda: seen.append(KeyboardInterrupt),
    }
    for name, handler in handlers.items():
        monkeypatch.setattr(loop, name, handler, raising=False)
    return seen


@pytest.fixture
async def pair():
    near, far = MessageChannel()
    async with near, far:
        yield near, far


def asked_for(error):
    return [type(error)] if type(error) in EXITS else []


class Local:
    """Gives a method of `Api` the error itself: it would not survive the way."""

    def __init__(self, error):
        self.api, self.error = Api(), error

    def call(self, name):
        return getattr(self.api, name)(self.error)

    def add(self, a, b):
        return a + b


@by_name
@pytest.mark.parametrize("name", ["plain", "at_once", "later", "unsendable"])
async def test_a_call_that_ends_by_it_is_answered(pair, exits, reports, error, name):
    register_converter(Unsendable, raise_its_error)
    expose(Local(error), pair[1])
    remote = wrap(pair[0])
    with pytest.raises(RemoteError) as caught:
        await remote.call(name)
    assert caught.value.name == type(error).__name__
    assert exits == asked_for(error)
    assert await remote.add(1, 2) == 3
    told = [error] if name == "unsendable" and not exits else []
    assert reports == told


@by_name
@pytest.mark.parametrize("name", ["items", "plain_items", "unsendable_items"])
async def test_an_iteration_that_ends_by_it_never_looks_complete(pair, exits, error, name):
    register_converter(Unsendable, raise_its_error)
    expose(Local(error), pair[1])
    remote = wrap(pair[0])
    iterator = aiter(remote.call(name))
    assert [await anext(iterator), await anext(iterator)] == [0, 1]
    with pytest.raises(RemoteError) as caught:
        await anext(iterator)
    assert caught.value.name == type(error).__name__
    await asyncio.sleep(0)  # the reader may go on before the source has asked
    assert exits == asked_for(error)
    assert await remote.add(1, 2) == 3


async def test_a_generator_whose_task_is_cancelled_over_there_looks_cut_off(pair):
    tasks = asyncio.Queue()

    class Source:
        async def items(self):
            yield 0
            tasks.put_nowait(asyncio.current_task())
            await asyncio.Event().wait()

    expose(Source(), pair[1])
    iterator = aiter(wrap(pair[0]).items())
    assert await anext(iterator) == 0
    task = await tasks.get()
    task.cancel()
    with pytest.raises(RemoteError, match="CancelledError"):
        await anext(iterator)


@by_name
async def test_aclose_ends_although_the_generator_raises_it(pair, exits, error):
    expose(Local(error), pair[1])
    iterator = await wrap(pair[0], prefetch=1).call("fails_when_closed")
    assert await anext(iterator) == 0
    if isinstance(error, asyncio.CancelledError):
        await iterator.aclose()  # what the reader has asked for is no failure
    else:
        with pytest.raises(RemoteError, match=type(error).__name__):
            await iterator.aclose()
    await asyncio.sleep(0)
    assert exits == asked_for(error)


class DeceivingError(Exception):
    """Raises whatever it is asked for."""

    __notes__ = 5

    def __str__(self):
        raise OwnError


async def test_an_error_that_can_not_be_described_still_answers(pair):
    expose(Local(DeceivingError()), pair[1])
    with pytest.raises(RemoteError) as caught:
        await wrap(pair[0]).call("plain")
    assert caught.value.name == "DeceivingError"


async def test_an_error_whose_field_can_not_be_converted_still_answers(pair, reports):
    register_converter(Unsendable, raise_its_error)
    error = ValueError("bad")
    error.field = Unsendable(OwnError())
    expose(Local(error), pair[1])
    with pytest.raises(RemoteError, match="bad"):
        await wrap(pair[0]).call("later")
    assert reports == []


@by_name
async def test_a_listener_that_raises_it_stops_neither_the_next_nor_a_message(
    pair, exits, reports, error
):
    near, far = pair
    seen, all_seen = [], asyncio.Event()

    def fail(_):
        raise error

    async def fail_later(_):
        await asyncio.sleep(0)
        raise error

    def see(event):
        seen.append(event.data)
        if len(seen) == 3:
            all_seen.set()

    far.on_message(fail)
    far.on_message(fail_later)
    far.on_message(see)
    for number in range(3):
        near.post_message(number)
    await all_seen.wait()
    assert seen == [0, 1, 2]
    await settle()  # until the coroutines have failed too
    assert exits == asked_for(error) * 6
    assert reports == ([] if exits else [error] * 6)
    assert far.buffered == 0


async def test_a_task_of_a_listener_that_is_cancelled_is_no_failure(pair, reports):
    near, far = pair
    tasks = asyncio.Queue()

    async def wait(_):
        tasks.put_nowait(asyncio.current_task())
        await asyncio.Event().wait()

    far.on_message(wait)
    near.post_message(1)
    task = await tasks.get()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert reports == []


def test_without_a_handler_the_loop_itself_ends_and_all_listeners_were_called():
    seen = []

    def leave(event):
        if event.data == 7:
            raise SystemExit(event.data)

    async def main():
        near, far = MessageChannel()
        async with near, far:
            far.on_message(leave)
            far.on_message(lambda event: seen.append(event.data))
            near.post_message(7)
            near.post_message(8)
            await asyncio.Event().wait()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 7
    assert seen == [7, 8]


@pytest.mark.parametrize("name", ["plain", "at_once", "later"])
def test_without_a_handler_an_exit_of_what_is_exposed_ends_the_loop(name):
    async def main():
        near, far = MessageChannel()
        async with near, far:
            expose(Local(SystemExit(5)), far)
            with pytest.raises(RemoteError, match="SystemExit"):
                await wrap(near).call(name)
            await asyncio.Event().wait()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 5


async def test_the_users_exception_handler_may_raise_as_well(pair, exits):
    near, far = pair
    seen, both = [], asyncio.Event()

    def fail(_):
        raise ValueError

    def handle(*_):
        raise SystemExit

    def see(event):
        seen.append(event.data)
        if len(seen) == 2:
            both.set()

    asyncio.get_running_loop().set_exception_handler(handle)
    far.on_message(fail)
    far.on_message(see)
    near.post_message(1)
    near.post_message(2)
    await both.wait()
    asyncio.get_running_loop().set_exception_handler(None)
    assert exits == [SystemExit] * 2
