"""A peer that stops answering holds up nobody who set a timeout or who cancels."""

import asyncio
import contextlib
import gc

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import MessagePort, Remote, expose, new, proxy, release, wrap
from pyodide_msgchan.testing import MessageChannel

pytestmark = pytest.mark.usefixtures("delivery")

TURNS = 20


class Silent:
    """Answers a call with an iterator or a proxy, gives a few items, and then nothing more."""

    def __init__(self, port):
        self.port = port
        self.heard = []
        self.ports = []
        self.closed = asyncio.Event()
        self.released = asyncio.Event()
        self.returned = asyncio.Event()
        port.on_message(self.called)

    def called(self, event):
        kind, path = event.data["type"], event.data.get("path")
        self.heard.append(kind)
        answer = {"id": event.data["id"]}
        if kind == "APPLY" and path == ["items"]:
            answer |= self.proxy(self.pulled) | {"iterator": True}
        elif kind == "APPLY" and path == ["steps"]:
            answer |= self.proxy(self.stepped)
        elif kind == "APPLY" and path == ["thing"]:
            answer |= self.proxy(self.noted)
        else:
            return
        self.port.post_message(answer, transfer=[answer["value"]])

    def proxy(self, listener):
        ours, theirs = MessageChannel()
        self.ports.append(ours)
        ours.on_message(listener)
        return {"type": "HANDLER", "name": "proxy", "value": theirs}

    def noted(self, event):
        self.heard.append(event.data["type"])
        if event.data["type"] == "RELEASE":
            self.released.set()
        if event.data["type"] == "CLOSE":
            self.closed.set()

    def pulled(self, event):
        self.noted(event)
        if event.data["type"] == "PULL" and self.heard.count("PULL") == 1:
            for _ in range(2):
                self.ports[-1].post_message({"type": "ITEM", "item": {"type": "RAW", "value": 1}})

    def stepped(self, event):
        """Be an iterator of JavaScript: `next` gives two items and then nothing."""
        self.noted(event)
        id_, path = event.data.get("id"), event.data.get("path")
        if path == ["return"]:
            self.returned.set()
        if path == ["next"] and self.heard.count("APPLY") <= 3:
            step = {"value": 1, "done": False}
            self.ports[-1].post_message({"id": id_, "type": "RAW", "value": step})


@pytest.fixture
async def ends():
    here, there = MessageChannel()
    yield here, there
    here.close()
    there.close()


@pytest.fixture
async def silent(ends):
    peer = Silent(ends[1])
    yield peer
    for port in peer.ports:
        port.close()


@pytest.fixture
async def remote(silent, ends):
    return wrap(ends[0], prefetch=4)


async def iterate(remote, got, name="items"):
    async for item in remote[name]():
        got.append(item)


async def by_hand(remote, got, name="items"):
    items = aiter(remote[name]())
    async with contextlib.aclosing(items):
        while True:
            got.append(await anext(items))


async def awaited_iterator(remote, got, name="items"):
    items = await remote[name]()
    async with contextlib.aclosing(items if name == "items" else aiter(items)) as items:
        async for item in items:
            got.append(item)


async def body_waits(remote, got, name="items"):
    async for item in remote[name]():
        got.append(item)
        if len(got) == 2:
            await asyncio.Event().wait()


async def body_waits_in_closing(remote, got, name="items"):
    async with contextlib.aclosing(aiter(remote[name]())) as items:
        async for item in items:
            got.append(item)
            if len(got) == 2:
                await asyncio.Event().wait()


USES = [iterate, by_hand, awaited_iterator, body_waits, body_waits_in_closing]


async def ends_at_once(task):
    """Cancel a task once, and say whether that ended it within a few turns."""
    task.cancel()
    await settle(TURNS)
    done = task.done()
    while not task.done():  # so that no such task outlives a failure
        task.cancel()
        await asyncio.wait([task], timeout=0)
    return done and task.cancelled()


@pytest.mark.parametrize("name", ["items", "steps"])
@pytest.mark.parametrize("use", USES)
async def test_cancelling_ends_an_iteration_at_once(remote, silent, use, name):
    got = []
    task = asyncio.ensure_future(use(remote, got, name))
    await until(lambda: len(got) == 2)
    assert await ends_at_once(task)
    assert got == [1, 1]
    del task
    gc.collect()
    if name == "items":  # and the other side was told to end the generator
        await until(lambda: {"CLOSE", "RELEASE"} & {*silent.heard})
    else:
        await silent.returned.wait()


async def timeout_around(use, is_silent):
    async with asyncio.timeout(None) as limit:
        asyncio.ensure_future(is_silent).add_done_callback(lambda _: limit.reschedule(0))
        await use


async def timeouts_within_timeouts(use, is_silent):
    async with asyncio.timeout(60):
        await timeout_around(use, is_silent)


async def task_group(use, is_silent):
    async def fail():
        await is_silent
        raise TimeoutError

    async with asyncio.TaskGroup() as group:
        group.create_task(use)
        group.create_task(fail())


@pytest.mark.parametrize("limit", [timeout_around, timeouts_within_timeouts, task_group])
@pytest.mark.parametrize("name", ["items", "steps"])
@pytest.mark.parametrize("use", USES)
async def test_a_limit_ends_an_iteration(remote, silent, use, name, limit):
    got = []
    is_silent = asyncio.ensure_future(until(lambda: len(got) == 2))
    task = asyncio.ensure_future(limit(use(remote, got, name), is_silent))
    await asyncio.wait([task], timeout=10)
    assert task.done()
    assert isinstance(task.exception(), (TimeoutError, ExceptionGroup))
    assert got == [1, 1]
    if name == "items":
        await until(lambda: {"CLOSE", "RELEASE"} & {*silent.heard})
    else:
        await silent.returned.wait()


@pytest.mark.parametrize("use", USES)
async def test_wait_for_ends_an_iteration(remote, use):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(use(remote, []), 0.01)


async def test_the_generator_is_closed_though_the_exception_is_kept(ends):
    closed = asyncio.Event()

    async def items():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    expose({"items": items}, ends[1])
    got = []
    task = asyncio.ensure_future(iterate(wrap(ends[0]), got))
    await until(lambda: got)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    await closed.wait()
    assert caught.value is not None  # which refers to every frame of the iteration


@pytest.mark.parametrize("name", ["items", "steps"])
async def test_leaving_the_loop_leaves_no_task_behind(remote, silent, name):
    async def leave():
        async for _ in remote[name]():
            break

    await leave()
    if name == "items":
        await until(lambda: {"CLOSE", "RELEASE"} & {*silent.heard})
    else:
        await silent.returned.wait()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_an_item_waits_for_nobody(remote, silent, ends):
    items = aiter(remote.items())
    await anext(items)
    wrong = {"type": "HANDLER", "name": "unknown", "value": 1}
    silent.ports[0].post_message({"type": "ITEM", "item": wrong})
    await anext(items)
    with pytest.raises(Exception, match="unknown"):
        await anext(items)
    await silent.closed.wait()
    with pytest.raises(StopAsyncIteration):
        await anext(items)


@pytest.mark.parametrize(
    "use",
    [
        lambda items, remote: items.aclose(),
        lambda items, remote: items.athrow(ValueError()),
        lambda items, remote: anext(items),
        lambda items, remote: remote.call(),
        lambda items, remote: remote.call(b=1),
        lambda items, remote: remote.name,
        lambda items, remote: new(remote.Class),
        lambda items, remote: release(remote),
        lambda items, remote: remote._handle.client.port.request(1),
    ],
)
async def test_whatever_waits_for_a_peer_can_be_cancelled(remote, use):
    items = await remote.items()
    await anext(items)
    await anext(items)

    async def wait():
        await use(items, remote)

    task = asyncio.ensure_future(wait())
    await settle(TURNS)
    assert not task.done()
    assert await ends_at_once(task)


async def test_aclose_that_was_cancelled_closes_once(remote, silent):
    items = await remote.items()
    await anext(items)
    for _ in range(2):
        task = asyncio.ensure_future(items.aclose())
        await settle(TURNS)
        assert await ends_at_once(task)
    with pytest.raises(StopAsyncIteration):
        await anext(items)
    assert silent.heard.count("CLOSE") == 1


async def test_close_nowait_tells_the_other_side(remote, silent):
    items = await remote.items()
    items.close_nowait()
    await silent.closed.wait()
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_a_cancelled_release_closes_the_port_of_the_proxy(remote, silent):
    thing = await remote.thing()
    port = thing._handle.client.port
    assert isinstance(port, MessagePort)
    task = asyncio.ensure_future(_awaited(release, thing))
    await silent.released.wait()
    assert await ends_at_once(task)
    assert port.closed
    assert "CANCEL" not in silent.heard


async def _awaited(function, *arguments):
    return await function(*arguments)


async def test_iterations_end_as_before_where_the_peer_answers(ends):
    closed = asyncio.Event()

    async def items():
        try:
            for i in range(100):
                yield i
        finally:
            closed.set()

    class Steps:
        def __init__(self):
            self.left = [1, 2]

        def next(self):
            return {"value": self.left.pop(), "done": False} if self.left else {"done": True}

    expose({"items": items, "steps": lambda: proxy(Steps())}, ends[1])
    remote = wrap(ends[0])
    async with contextlib.aclosing(aiter(remote.items())) as iterator:
        async for _ in iterator:
            break
    assert closed.is_set()
    assert [n async for n in remote.steps()] == [2, 1]
    steps = await remote.steps()
    assert isinstance(steps, Remote)
    iterator = aiter(steps)
    assert await anext(iterator) == 2
    await iterator.aclose()  # it has no `return`, which nobody hears of
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
