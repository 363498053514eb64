"""Asynchronous generators across a port: credit, the end, errors, and who lets go."""

import asyncio
import gc

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import (
    PeerClosedError,
    PortClosedError,
    PortStateError,
    RemoteError,
    RemoteIterator,
    expose,
    proxy,
    wrap,
)
from pyodide_msgchan._rpc.streams import MAX_CREDIT
from pyodide_msgchan.testing import MessageChannel

pytestmark = pytest.mark.usefixtures("delivery")

PREFETCH = 4


class Api:
    def __init__(self):
        self.made = 0
        self.closed = asyncio.Event()
        self.caught = []
        self.blocked = asyncio.Event()

    async def numbers(self, count):
        try:
            for i in range(count):
                self.made += 1
                yield i
        finally:
            self.closed.set()

    def plain(self, count):
        for i in range(count):
            self.made += 1
            yield i

    async def fails(self):
        yield 1
        yield 2
        raise KeyError("late")

    async def fails_on_close(self):
        try:
            while True:
                yield 1
        finally:
            raise ValueError("while closing")

    async def blocks(self):
        try:
            yield 1
            self.blocked.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def resilient(self):
        n = 0
        while True:
            try:
                yield n
                n += 1
            except (KeyError, ValueError) as error:
                self.caught.append(error)
                n = 100

    async def bad_item(self):
        yield {"a": print}

    async def callbacks(self):
        yield lambda: "called"

    async def total(self, numbers):
        return [n async for n in numbers]

    async def first(self, numbers):
        async for n in numbers:
            return n
        return None

    def rows(self):
        return [1, 2]

    @property
    def stream(self):
        return self.numbers(3)


@pytest.fixture
async def ends():
    here, there = MessageChannel()
    yield here, there
    here.close()
    there.close()


@pytest.fixture
async def api(ends):
    api = Api()
    expose(api, ends[1])
    return api


@pytest.fixture
async def remote(api, ends):
    return wrap(ends[0], prefetch=PREFETCH)


async def settled(*ends):
    """Wait until no port that was made for a proxy is left."""
    while any(end._core.queue.reader and end._core.queue.reader._children for end in ends):
        gc.collect()
        await asyncio.sleep(0)


@pytest.mark.parametrize("count", [0, 1, PREFETCH, 50])
async def test_all_items_come_in_order(remote, api, ends, count):
    assert [n async for n in remote.numbers(count)] == list(range(count))
    assert [n async for n in remote.plain(count)] == list(range(count))
    assert [n async for n in remote.stream] == [0, 1, 2]
    await settled(*ends)


async def test_no_more_is_made_than_there_is_credit_for(remote, api):
    iterator = await remote.numbers(100)
    assert isinstance(iterator, RemoteIterator)
    await settle()
    assert api.made == 0  # it is not iterated over yet
    assert await anext(iterator) == 0
    await settle()
    assert api.made == PREFETCH
    assert await anext(iterator) == 1
    await settle()
    assert api.made == PREFETCH + 2  # credit goes back in halves
    assert [await anext(iterator) for _ in range(4)] == [2, 3, 4, 5]
    await iterator.aclose()
    assert api.closed.is_set()
    assert api.made <= 2 * PREFETCH + 2


async def test_errors_come_after_the_items_before_them(remote):
    iterator = aiter(remote.fails())
    assert [await anext(iterator), await anext(iterator)] == [1, 2]
    with pytest.raises(KeyError) as caught:
        await anext(iterator)
    assert caught.value.args == ("late",)
    assert isinstance(caught.value, RemoteError)


async def test_an_item_that_cannot_be_sent(remote):
    with pytest.raises(RemoteError, match=r"the item\['a'\]: a function"):
        await anext(aiter(remote.bad_item()))


async def test_items_may_be_functions(remote):
    async for call in remote.callbacks():
        kept = call
    assert await kept() == "called"  # it outlives the iterator that brought it


async def test_leaving_early_closes_it(remote, api, ends):
    async for n in remote.numbers(1000):
        if n == 3:
            break
    await api.closed.wait()
    assert api.made < 20
    await settled(*ends)


async def test_aclose_waits_and_tells_what_went_wrong(remote, api):
    iterator = await remote.numbers(10)
    await iterator.aclose()  # never started
    assert api.made == 0
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    iterator = await remote.fails_on_close()
    await anext(iterator)
    with pytest.raises(ValueError, match="while closing"):
        await iterator.aclose()
    iterator = await remote.blocks()
    assert await anext(iterator) == 1
    await api.blocked.wait()
    await iterator.aclose()
    assert api.closed.is_set()


async def test_athrow(remote, api):
    iterator = await remote.resilient()
    assert [await anext(iterator) for _ in range(3)] == [0, 1, 2]
    assert await iterator.athrow(KeyError("thrown")) == 100
    assert api.caught[0].args == ("thrown",)
    assert isinstance(api.caught[0], RemoteError)
    assert [await anext(iterator) for _ in range(30)] == list(range(101, 131))
    with pytest.raises(ZeroDivisionError):
        await iterator.athrow(ZeroDivisionError())
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_a_cancelled_step_loses_no_item(remote, api):
    iterator = await remote.blocks()
    step = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    step.cancel()
    await asyncio.wait([step])
    assert await anext(iterator) == 1
    step = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await anext(iterator)
    step.cancel()
    await asyncio.wait([step])
    await iterator.aclose()


async def test_dropping_it_closes_it(remote, api, ends):
    iterator = await remote.numbers(100)
    assert await anext(iterator) == 0
    del iterator
    gc.collect()
    await api.closed.wait()
    await settled(*ends)


async def test_releasing_all_closes_it(remote, api, ends):
    iterator = await remote.blocks()
    assert await anext(iterator) == 1
    ends[0].close()
    with pytest.raises(PortClosedError):
        await anext(iterator)
    await api.closed.wait()


@pytest.mark.parametrize("far", [True, False])
async def test_the_end_of_the_port_ends_the_iteration(remote, api, ends, far):
    iterator = await remote.blocks()
    assert await anext(iterator) == 1
    waiting = asyncio.ensure_future(anext(iterator))
    await api.blocked.wait()
    ends[far].close()
    with pytest.raises(PeerClosedError if far else PortClosedError):
        await waiting
    await api.closed.wait()
    with pytest.raises((PortStateError, StopAsyncIteration)):
        await anext(iterator)
    await iterator.aclose()


async def test_generators_travel_as_arguments(remote, ends):
    closed = asyncio.Event()

    async def numbers():
        try:
            for i in range(40):
                yield i
        finally:
            closed.set()

    assert await remote.total(numbers()) == list(range(40))
    assert await remote.total(i for i in range(3)) == [0, 1, 2]
    assert await remote.total(proxy(numbers())) == list(range(40))
    closed.clear()
    assert await remote.first(numbers()) == 0
    await closed.wait()
    assert await remote.total(await remote.numbers(5)) == [0, 1, 2, 3, 4]  # and back again
    await settled(*ends)


async def test_what_is_no_iterator(remote):
    with pytest.raises(TypeError, match="list"):
        await anext(aiter(remote.rows()))
    with pytest.raises(AttributeError):
        await anext(aiter(remote.rows))


async def test_an_object_with_next_as_javascript_has_it(ends):
    left = [{"value": 1, "done": False}, {"value": 2, "done": False}, {"done": True}]
    returned = []

    class Iterator:
        def next(self):
            return left.pop(0)

    setattr(Iterator, "return", lambda self: returned.append(True))
    expose({"items": lambda: proxy(Iterator())}, ends[1])
    remote = wrap(ends[0])
    assert [n async for n in remote.items()] == [1, 2]
    left[:] = [{"value": 1, "done": False}] * 3
    async for _ in remote.items():
        break
    await settle(40)
    assert returned == [True]


async def test_as_javascript_asks_for_items(remote, api):
    link = remote._handle.client
    request = link.request
    seen = []

    def spy(kind, hold, path, *more):
        seen.append(path)
        return request(kind, hold, path, *more)

    link.request = spy
    call = remote.resilient()
    iterator = await call
    by_name = wrap_again(iterator)
    assert await by_name.next() == {"value": 0, "done": False}
    steps = [by_name.next(), by_name.next()]  # at once
    assert [(await step)["value"] for step in steps] == [1, 2]
    assert await by_name.throw(ValueError("x")) == {"value": 100, "done": False}
    assert await by_name["return"]("last") == {"value": "last", "done": True}
    assert await by_name.next() == {"value": None, "done": True}
    assert seen == [("resilient",)]


def wrap_again(iterator):
    """Give the Remote that a Comlink peer has in the place of an iterator."""
    from pyodide_msgchan import Remote

    return Remote(iterator._handle)


@pytest.mark.parametrize("credit", [None, "many", -1, 0, True, 1.5, [3], 10**400])
async def test_a_peer_that_asks_for_nonsense(remote, api, credit):
    iterator = await remote.numbers(50_000)
    iterator._reader.port.post({"type": "PULL", "credit": credit})
    iterator._reader.port.post({"type": "ITEM", "item": {"type": "RAW", "value": 1}})
    iterator._reader.port.post({"type": "END"})
    await settle()
    assert api.made <= MAX_CREDIT
    await iterator.aclose()


async def test_a_peer_that_asks_for_too_many_items_gets_a_few(remote, api):
    iterator = await remote.numbers(50_000)
    iterator._started = True  # so that only what is posted here asks for items
    for credit in (10**9, MAX_CREDIT, 10**400):
        iterator._reader.port.post({"type": "PULL", "credit": credit})
    await until(lambda: api.made >= MAX_CREDIT)
    await settle(100)
    assert api.made == MAX_CREDIT
    await iterator.aclose()


@pytest.mark.parametrize("prefetch", [0, -1, MAX_CREDIT + 1, 10**9, True, 1.5, "4", None])
async def test_no_more_items_can_be_asked_for_than_are_sent(ends, prefetch):
    with pytest.raises(ValueError, match="at least one item and at most 256"):
        wrap(ends[0], prefetch=prefetch)


async def test_the_largest_prefetch(api, ends):
    iterator = await wrap(ends[0], prefetch=MAX_CREDIT).numbers(1000)
    assert await anext(iterator) == 0
    await settle(100)
    assert api.made == MAX_CREDIT
    await iterator.aclose()


async def test_options_belong_to_the_remote(api, ends):
    slow = wrap(ends[0], prefetch=1)
    fast = wrap(ends[0])
    for remote, prefetch in ((slow, 1), (fast, 16), (slow, 1)):
        api.made = 0
        iterator = await remote.numbers(100)
        assert await anext(iterator) == 0
        await settle()
        assert api.made == prefetch + (prefetch == 1)  # one that was taken gives one credit back
        await iterator.aclose()


async def test_what_comes_by_a_remote_has_its_options(ends):
    made = []

    class Nested:
        async def numbers(self):
            for i in range(100):
                made.append(i)
                yield i

        def again(self):
            return proxy(Nested())

        async def several(self):
            yield proxy(Nested())

    expose(Nested(), ends[1])
    remote = wrap(ends[0], prefetch=3)
    wrap(ends[0], prefetch=50)
    nested = [await (await remote.again()).again()]
    async for item in remote.several():
        nested.append(item)  # noqa: PERF401 - an asynchronous loop
    for one in nested:
        made.clear()
        iterator = await one.numbers()
        assert await anext(iterator) == 0
        await settle()
        assert len(made) == 3
        await iterator.aclose()


async def test_keyword_options_belong_to_the_remote(ends):
    def answer(event):
        # As Comlink would: no path of ours has a value.
        reply = {"id": event.data["id"], "type": "RAW", "value": event.data.get("argumentList")}
        ends[1].post_message(reply)

    ends[1].on_message(answer)
    spread = wrap(ends[0], kwargs="object")
    python = wrap(ends[0])
    with pytest.raises(TypeError, match="b"):
        await python.f(1, b=2)
    assert await spread.f(1, b=2) == [
        {"type": "RAW", "value": 1},
        {"type": "RAW", "value": {"b": 2}},
    ]
    with pytest.raises(TypeError, match="b"):
        await python.f(1, b=2)


async def test_whoever_waits_is_kept_though_nobody_refers_to_the_task(remote, api):
    complaints, got = [], []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context["message"]))

    async def leave():
        async for _ in remote.numbers(1000):
            return  # then the event loop closes the iteration, in a task of its own

    async def take():
        async for item in remote.blocks():
            got.append(item)  # noqa: PERF401 - what came so far is looked at

    await leave()
    loop.create_task(take())  # noqa: RUF006 - that is what is tested
    for _ in range(50):
        await asyncio.sleep(0)
        gc.collect()
    assert (api.closed.is_set(), got, complaints) == (True, [1], [])
    remote._handle.client.port.close()
    await settle()
    assert complaints == ["Task exception was never retrieved"]  # and so it was told
