"""What can't be read is an error at whoever waits for it, and the next message comes."""

import asyncio
import gc
import warnings
from dataclasses import dataclass

import pytest

from pyodide_msgchan import (
    MessageError,
    RemoteError,
    assign,
    expose,
    new,
    proxy,
    register_type,
    wrap,
)
from pyodide_msgchan._codec.packed import types
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.testing import MessageChannel, Window
from pyodide_msgchan.testing.endpoint import MemoryEndpoint

HOST = "https://host.example"


class Sealed:
    """Can be packed, and not be unpacked."""


def refuse(_):
    raise ValueError("unpack says no")


@dataclass
class Point:
    x: int = 0


class OwnError(Exception):
    pass


register_type(Sealed, lambda _: None, refuse, name="sealed of the test")
register_type(Point, name="point of the test")


@pytest.fixture(params=["unpack raises", "not registered there"])
def bad(request, monkeypatch):
    """A value that the receiver can't read, and what it says of that."""
    if request.param == "unpack raises":
        return Sealed(), "unpack says no"
    monkeypatch.delitem(types._by_name, "point of the test")
    return Point(), "point of the test"


@pytest.fixture
async def pair():
    """The ends of a connection that speaks the packed lane."""
    host = Window(HOST)
    frame = Window(HOST, parent=host)
    far, near = await asyncio.gather(frame.accept(), host.connect(frame))
    assert near.lane == "packed"
    async with near, far:
        yield near, far


class Api:
    def __init__(self, value):
        self.value = value
        self.taken = []
        self.thrown = []

    def get(self):
        return self.value

    async def later(self):
        await asyncio.sleep(0)
        return {"rows": [1, self.value]}

    def take(self, *arguments, **keywords):
        self.taken.append((arguments, keywords))

    def add(self, a, b):
        return a + b

    async def each(self, rows, callback):
        return [await callback(row) for row in rows]

    async def call_with_its_own(self, callback):
        return await callback(1, [self.value], lambda: None)

    async def items(self):
        yield 1
        yield [self.value]
        yield 3

    def plain_items(self):
        yield 1
        yield [self.value]
        yield 3

    async def catching(self):
        for _ in range(5):
            try:
                yield len(self.thrown)
            except RemoteError as error:
                self.thrown.append(error)

    def fail(self):
        raise OwnError("of its own", self.value)

    async def items_that_fail(self):
        yield 1
        raise OwnError("of its own", self.value)

    def with_port(self):
        return [proxy(self), self.value]


async def test_answers(pair, bad, reports):
    api = Api(bad[0])
    expose(api, pair[1])
    remote = wrap(pair[0])
    for call in (remote.get, remote.later):
        with pytest.raises(MessageError, match=bad[1]):
            await call()
    with pytest.raises(MessageError, match=bad[1]):
        await remote.value
    many = [remote.add(n, n) if n % 3 else remote.get() for n in range(30)]
    for number, call in enumerate(many):
        if number % 3:
            assert await call == 2 * number
        else:
            with pytest.raises(MessageError, match=bad[1]):
                await call
    assert reports == []


async def test_requests(pair, bad, reports):
    api = Api(None)
    expose(api, pair[1], writable=["value"])
    remote = wrap(pair[0])
    value, reason = bad
    attempts = [
        lambda: remote.take(value),
        lambda: remote.take(1, [value], lambda: None),
        lambda: remote.take(key={"deep": value}),
        lambda: assign(remote.value, value),
        lambda: new(remote.Anything, value),
    ]
    for attempt in attempts:
        with pytest.raises(MessageError, match=f"on the other side .*{reason}"):
            await attempt()
    assert api.taken == []
    assert api.value is None
    assert await remote.add(1, 2) == 3
    assert reports == []


async def test_arguments_of_callbacks(pair, bad, reports):
    value, reason = bad
    api = Api(value)
    expose(api, pair[1])
    remote = wrap(pair[0])
    called = []
    with pytest.raises(RemoteError, match=reason) as caught:
        await remote.call_with_its_own(called.append)
    assert caught.value.name == "MessageError"  # which was raised over there
    with pytest.raises(MessageError, match=f"other side.*{reason}"):
        await remote.each([1, value], called.append)
    with pytest.raises(RemoteError, match=reason):
        await remote.each([1], lambda _: value)
    assert called == []
    assert await remote.each([1, 2], lambda n: n + 1) == [2, 3]
    assert reports == []


@pytest.mark.parametrize("name", ["items", "plain_items"])
async def test_items(pair, bad, name):
    expose(Api(bad[0]), pair[1])
    got = []

    async def read():
        async for item in wrap(pair[0])[name]():
            got.append(item)  # noqa: PERF401 - those before the error count

    with pytest.raises(MessageError, match=bad[1]):
        await read()
    assert got == [1]
    iterator = await wrap(pair[0])[name]()
    assert await anext(iterator) == 1
    with pytest.raises(MessageError, match=bad[1]):
        await anext(iterator)
    assert await anext(iterator) == 3
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_an_error_that_is_thrown_into_an_iterator(pair, bad):
    api = Api(None)
    expose(api, pair[1])
    iterator = await wrap(pair[0], prefetch=1).catching()
    assert await anext(iterator) == 0
    assert await iterator.athrow(OwnError("of its own", bad[0])) == 1
    shown = f"('of its own', {short_repr(bad[0])})"
    assert [str(error) for error in api.thrown] == [f"OwnError: {shown}"]
    await iterator.aclose()


async def test_an_error_with_details_that_can_not_be_read_comes_without_them(pair, bad):
    expose(Api(bad[0]), pair[1])
    remote = wrap(pair[0])
    with pytest.raises(RemoteError, match="of its own") as caught:
        await remote.fail()
    assert caught.value.name == "OwnError"
    iterator = await remote.items_that_fail()
    assert await anext(iterator) == 1
    with pytest.raises(RemoteError, match="of its own"):
        await anext(iterator)


async def test_what_no_wire_is_known_for_is_refused_alike(pair):
    near, far = MessageChannel()
    async with near, far:
        expose(Api(None), far)
        remote = wrap(near)
        answer = remote.add(1, 2)
        assert await answer == 3
        bad = {"type": "HANDLER", "name": "unheard of", "value": 1}
        link = remote._handle.client
        call = remote.add(1, 2)
        near.post_message({"type": "APPLY", "id": "x", "path": ["take"], "argumentList": [bad]})
        assert await call == 3
        link.protocol._pending[77] = call = type(call)(None, lambda _: None)
        request = link.protocol.request("APPLY", ("take",), 77, argumentList=[bad])
        near.post_message(request)
        with pytest.raises(MessageError, match="unheard of"):
            await call


async def test_answers_to_a_request(pair, bad, reports):
    near, far = pair
    far.on_message(lambda event: event.reply(bad[0]))
    for _ in range(2):
        with pytest.raises(MessageError, match=bad[1]):
            await near.request("point")
    assert reports == []


async def test_a_request_itself(pair, bad):
    near, far = pair
    value, reason = bad
    errors = []
    far.on_message(lambda event: event.reply(event.data))
    far.on_message_error(errors.append)
    near.post_message("before")
    near.post_message(value)
    good = [asyncio.ensure_future(near.request(n)) for n in range(3)]
    wrong = asyncio.ensure_future(near.request([value]))
    with pytest.raises(MessageError, match=f"on the other side .*{reason}"):
        await wrong
    assert await asyncio.gather(*good) == [0, 1, 2]
    assert len(errors) == 2


async def test_nothing_is_left_open_by_what_can_not_be_read(pair, bad):
    near, far = pair
    told = asyncio.Queue()
    far.on_message_error(told.put_nowait)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()  # of the tests before
        caught.clear()
        listener = far.on_message(told.put_nowait)
        answer = asyncio.ensure_future(near.request(bad[0]))
        assert isinstance(await told.get(), MessageError)
        await asyncio.wait([answer])
        assert type(answer.exception()) is MessageError
        ours, theirs = MessageChannel()
        near.post_message([theirs, bad[0]], transfer=[theirs])
        assert isinstance(await told.get(), MessageError)
        ours.close()
        listener.cancel()
        expose(Api(bad[0]), far)
        remote = wrap(near)
        for call in (remote.take(lambda: None, bad[0]), remote.later()):
            with pytest.raises(MessageError):
                await call
        gc.collect()
    assert [str(one.message) for one in caught if one.category is ResourceWarning] == []
    assert len(core_of(near).queue.reader._children) == 0


# A JavaScript object that another agent cluster refuses, as the browser sends and receives it.

MODULE = ["stands for a WebAssembly.Module"]


@pytest.fixture(params=["python", "comlink"])
async def clusters(request, monkeypatch):
    """The ends of a channel on which no message with a MODULE in it arrives; Comlink tells less."""

    def post(self, message, moved):
        lost = repr(MODULE) in repr(message)
        if lost and self.announce is not None and request.param == "python":
            self.announce(message)
        before(self, message, moved)
        if lost:
            _, event = self.peer._in_transit.pop()
            self.peer._in_transit.append((Notice("messageerror"), event))

    before = MemoryEndpoint.post
    monkeypatch.setattr(MemoryEndpoint, "post", post)
    near, far = MessageChannel()
    async with near, far:
        yield near, far, request.param


async def test_an_answer_that_the_browser_can_not_read(clusters, reports):
    near, far, _ = clusters
    expose(Api([MODULE]), far)
    remote = wrap(near)
    with pytest.raises(MessageError, match="messageerror"):
        await remote.get()
    calls = [remote.get(), remote.add(1, 2), remote.get(), remote.later(), remote.add(3, 4)]
    assert await calls[1] == 3
    assert await calls[4] == 7
    for number in (0, 2, 3):
        with pytest.raises(MessageError, match="messageerror"):
            await calls[number]
    assert await remote.add(5, 6) == 11
    assert reports == []


async def test_a_request_that_the_browser_can_not_read(clusters, reports):
    near, far, peer = clusters
    api = Api(None)
    expose(api, far)
    remote = wrap(near)
    call = remote.take(MODULE)
    assert await remote.add(1, 2) == 3
    assert api.taken == []
    if peer == "comlink":  # nobody can tell whose it was
        assert not call.done()
        assert [type(error) for error in reports] == [MessageError]
        return
    with pytest.raises(MessageError, match=r"on the other side .*messageerror"):
        await call
    with pytest.raises(MessageError, match="other side"):
        await remote.each([1, MODULE], lambda row: row)
    assert reports == []


async def test_an_item_that_the_browser_can_not_read(clusters):
    near, far, _ = clusters
    expose(Api(MODULE), far)
    iterator = await wrap(near).items()
    assert await anext(iterator) == 1
    with pytest.raises(MessageError, match="messageerror"):
        await anext(iterator)
    assert await anext(iterator) == 3
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_an_end_that_the_browser_can_not_read(clusters):
    near, far, peer = clusters
    expose(Api(MODULE), far)
    iterator = await wrap(near).items_that_fail()
    assert await anext(iterator) == 1
    with pytest.raises(MessageError, match="messageerror"):
        await anext(iterator)
    if peer == "python":
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_both_ends_may_call_and_expose(clusters, reports):
    near, far, peer = clusters
    for port in (near, far):
        expose(Api(MODULE), port)
    if peer == "comlink":
        return  # where requests come too, nobody can tell what could not be read
    remotes = [wrap(near), wrap(far)]
    for remote in remotes:
        calls = [remote.get(), remote.take(MODULE), remote.add(1, 2)]
        for call in calls[:2]:
            with pytest.raises(MessageError, match="messageerror"):
                await call
        assert await calls[2] == 3
    assert reports == []


async def test_an_answer_to_a_request_that_the_browser_can_not_read(clusters, reports):
    near, far, _ = clusters
    far.on_message(lambda event: event.reply(MODULE))
    with pytest.raises(MessageError, match="messageerror"):
        await near.request(1)
    assert reports == []


async def test_a_hostile_announcement_ends_nothing_of_others(clusters, reports):
    near, far, peer = clusters
    if peer == "comlink":
        return
    expose(Api(None), far)
    remote = wrap(near)
    abouts = [
        None, 1, [], {}, {"type": "RAW"}, {"type": [], "id": {}}, {"type": "RAW", "id": "no such"},
        {"type": "APPLY", "id": 1, "path": [[]]}, {"type": "NEXT"}, {"type": "ITEM"},
    ]  # fmt: skip
    for about in abouts:
        for port in (near, far):
            port._core.endpoint.announce = None
            port.post_message({"type": "NEXT", "about": about})
            port.post_message([MODULE])
    call = remote.add(1, 2)
    assert await call == 3
    assert len(reports) >= len(abouts)
