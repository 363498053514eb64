"""Remote calls between two Python ends, over the memory channel."""

import asyncio
import contextvars
import gc
import weakref
from dataclasses import dataclass

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import (
    DataCloneError,
    MessageError,
    MsgChanError,
    PeerClosedError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    Remote,
    RemoteError,
    assign,
    create_endpoint,
    expose,
    new,
    proxy,
    register_error,
    release,
    transfer,
    wrap,
)
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan.testing import MessageChannel

pytestmark = pytest.mark.usefixtures("delivery")


@dataclass
class Settings:
    theme: str = "light"


class Counter:
    def __init__(self, start=0):
        self.value = start

    def add(self, n=1):
        self.value += n
        return self.value


class Parent:
    def child(self):
        return proxy(Counter(1))


class Api:
    version = 3

    def __init__(self):
        self.settings = Settings()
        self.log = []
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()

    def add(self, a, b):
        return a + b

    async def later(self, value):
        await asyncio.sleep(0)
        return value

    async def at_once(self, value):
        return value

    def keywords(self, a, *, b=0, **more):
        return [a, b, more]

    async def each(self, rows, callback):
        return [await callback(row) for row in rows]

    async def hang(self):
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def raises(self, kind, *args):
        raise ERRORS[kind](*args)

    def unsendable(self):
        return {"rows": [0, print]}

    def counter(self, start):
        return proxy(Counter(start))

    def family(self):
        return proxy(Parent())

    def make_port(self):
        ours, theirs = MessageChannel()
        self.kept = ours
        return theirs

    def note(self, text):
        self.log.append(text)


@register_error
class AppError(Exception):
    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class NotRegisteredError(Exception):
    pass


ERRORS = {
    kind.__name__: kind
    for kind in (
        *(KeyError, ValueError, OSError, FileNotFoundError, UnicodeDecodeError),
        *(StopIteration, StopAsyncIteration, TimeoutError, GeneratorExit),
        *(asyncio.CancelledError, NotRegisteredError, PeerClosedError, ZeroDivisionError),
    )
}


@pytest.fixture
async def ends():
    here, there = MessageChannel()
    yield here, there
    here.close()
    there.close()


@pytest.fixture
async def api(ends):
    api = Api()
    expose(api, ends[1], writable=["settings.theme"])
    return api


@pytest.fixture
async def remote(api, ends):
    return wrap(ends[0])


@pytest.fixture
async def reported():
    """What the event loop's exception handler is told."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    return told


async def test_calls_and_values(remote):
    assert await remote.add(1, 2) == 3
    assert await remote.add([1], [None]) == [1, None]
    assert await remote.later("x") == "x"
    assert await remote.at_once({"y": 1}) == {"y": 1}
    assert await remote.version == 3
    assert await remote.settings.theme == "light"
    assert await assign(remote.settings.theme, "dark") is True
    assert await remote["settings"]["theme"] == "dark"
    assert await remote is remote
    assert await asyncio.gather(*(remote.add(i, i) for i in range(5))) == [0, 2, 4, 6, 8]
    assert await asyncio.wait_for(remote.later(1), 5) == 1


async def test_a_call_is_sent_when_it_is_made(api, remote):
    call = remote.note("first")
    await remote.later(None)
    assert api.log == ["first"]
    assert await call is None
    assert await call is None  # and may be awaited again


async def test_requests_wait_until_something_is_exposed(ends):
    remote = wrap(ends[0])
    wrap(ends[1])  # reads the port too
    calls = [remote.add(i, 1) for i in range(3)]
    await settle()
    expose(Api(), ends[1])
    assert [await call for call in calls] == [1, 2, 3]


async def test_both_roles_share_a_port(ends):
    for port in ends:
        expose({"name": lambda port=port: str(ends.index(port))}, port)
    assert await wrap(ends[0]).name() == "1"
    assert await wrap(ends[1]).name() == "0"
    with pytest.raises(ValueError, match="already"):
        expose({}, ends[0])


async def test_keyword_arguments(remote, api):
    assert await remote.keywords(1, b=2, c=[3]) == [1, 2, {"c": [3]}]
    assert await remote.keywords(1, b=await remote.add(1, 1)) == [1, 2, {}]


async def test_order_is_kept_while_it_is_unknown_who_is_there(remote, api):
    calls = [remote.note("a"), remote.keywords(0, b=1), remote.note("b")]
    cancelled = asyncio.ensure_future(remote.hang())
    calls.append(remote.note("c"))
    await asyncio.sleep(0)
    cancelled.cancel()
    for call in calls:
        await call
    assert api.log == ["a", "b", "c"]
    if api.started.is_set():  # it was on its way already
        await api.cancelled.wait()


async def test_callbacks(remote):
    async def twice(x):
        await asyncio.sleep(0)
        return x * 2

    assert await remote.each([1, 2], lambda x: x + 1) == [2, 3]
    assert await remote.each([1, 2], twice) == [2, 4]

    async def fails(x):
        raise KeyError(x)

    with pytest.raises(KeyError) as caught:
        await remote.each(["lost"], fails)
    assert caught.value.args == ("lost",)


async def test_errors_keep_their_type_on_a_way_of_several(ends):
    async def forward(callback):
        await callback()

    def fail():
        error = FileNotFoundError(2, "gone", "file")
        error.hint = "look elsewhere"
        raise error

    expose({"forward": forward}, ends[1])
    with pytest.raises(FileNotFoundError) as caught:
        await wrap(ends[0]).forward(fail)
    assert (caught.value.filename, caught.value.hint) == ("file", "look elsewhere")


async def test_recursion_through_callbacks(ends):
    async def down(n, callback):
        return 0 if n == 0 else 1 + await callback(n - 1, down)

    expose({"down": down}, ends[1])
    assert await wrap(ends[0]).down(100, down) == 100


async def test_functions_are_values(remote):
    add = await remote.add
    assert isinstance(add, Remote)
    assert await add(2, 3) == 5
    with pytest.raises(AttributeError):
        await add.something
    with pytest.raises(DataCloneError, match=r"value: a Remote can't be sent"):
        remote.note(add)


async def test_proxied_objects(remote, api):
    counter = await remote.counter(5)
    assert await counter.add(2) == 7
    assert await counter.value == 7
    with pytest.raises(AttributeError):
        await assign(counter.value, 1)
    seen = []
    assert await remote.each([1], proxy(seen.append)) == [None]
    assert seen == [1]


async def test_classes(ends):
    expose({"Counter": Counter, "make": lambda: Counter}, ends[1])
    remote = wrap(ends[0])
    counter = await new(remote.Counter, 3)
    assert await counter.add() == 4
    assert await (await new(remote.Counter, start=8)).value == 8
    with pytest.raises(TypeError, match="with new"):
        await remote.Counter(3)
    with pytest.raises(TypeError):
        await new(remote.make)
    with pytest.raises(RemoteError, match="result of make: the class Counter can't be cloned"):
        await remote.make()


async def test_release(remote, ends):
    counter = await remote.counter(1)
    add = counter.add
    await release(counter)
    for use in (add, lambda: release(counter), lambda: assign(counter.value, 1)):
        with pytest.raises(PortStateError, match="released"):
            use()
    with pytest.raises(PortStateError, match="released"):
        await counter.value
    await release(remote)
    assert not ends[0].closed
    assert not ends[1].closed
    with pytest.raises(TypeError, match="nothing is exposed here any more"):
        await wrap(ends[0]).add(1, 2)
    expose({"again": lambda: "yes"}, ends[1])
    assert await wrap(ends[0]).again() == "yes"


async def test_create_endpoint(remote):
    async with await create_endpoint(remote) as port:
        assert await wrap(port).add(1, 1) == 2


async def test_ports_travel(remote, api):
    port = await remote.make_port()
    api.kept.post_message("hello")
    assert await port.receive() == "hello"
    port.close()
    ours, theirs = MessageChannel()
    await remote.note(theirs)
    api.log[-1].post_message("back")
    assert await ours.receive() == "back"
    ours.close()
    ours, theirs = MessageChannel()
    await remote.note(transfer({"port": theirs}, [theirs]))
    api.log[-1]["port"].post_message("nested")
    assert await ours.receive() == "nested"
    ours.close()
    api.kept.close()


async def test_an_error_names_what_cannot_be_sent(remote, reported, api):
    cases = [
        (lambda: remote.note({"a": [print]}), r"argument 1\['a'\]\[0\]: a function"),
        (lambda: remote.add(1, {"b": object()}), r"argument 2\['b'\]: object objects"),
        (lambda: assign(remote.settings.theme, [print]), r"value\[0\]: a function"),
    ]
    for call, words in cases:
        with pytest.raises(DataCloneError, match=words):
            call()
    await remote.keywords(0, c=1)
    with pytest.raises(DataCloneError, match=r"keyword 'c'\[0\]: a function"):
        remote.keywords(0, c=[print])
    assert not reported
    with pytest.raises(RemoteError) as caught:
        await remote.unsendable()
    assert caught.value.name == "DataCloneError"
    assert "the result of unsendable['rows'][1]: a function" in str(caught.value)
    assert type(reported[0]["exception"]) is DataCloneError  # and at home
    assert await remote.add(1, 1) == 2


@pytest.mark.parametrize(
    "name, args",
    [
        ("KeyError", ("x",)),
        ("ValueError", ("two", 2)),
        ("OSError", (5, "no such thing", "file")),
        ("FileNotFoundError", (2, "no such file")),
        ("ZeroDivisionError", ()),
        ("UnicodeDecodeError", ("utf-8", b"\xff", 0, 1, "bad")),
    ],
)
async def test_builtin_errors_keep_type_and_args(remote, name, args):
    kind = ERRORS[name]
    with pytest.raises(kind) as caught:
        await remote.raises(name, *args)
    assert isinstance(caught.value, RemoteError)
    assert caught.value.args == kind(*args).args
    assert str(caught.value) == str(kind(*args))
    assert caught.value.name == name
    assert caught.value.stack == ""
    if name == "OSError":
        assert (caught.value.errno, caught.value.filename) == (5, "file")


@pytest.mark.parametrize(
    "name",
    [
        *("StopIteration", "StopAsyncIteration", "TimeoutError", "GeneratorExit"),
        *("CancelledError", "NotRegisteredError", "PeerClosedError"),
    ],
)
async def test_errors_that_mean_something_here_are_not_rebuilt(remote, name):
    with pytest.raises(RemoteError) as caught:
        await remote.raises(name, "text")
    assert type(caught.value) is RemoteError
    assert (caught.value.name, caught.value.message) == (name, "text")


async def test_registered_errors_keep_their_fields(ends):
    def fail():
        raise AppError(7, hint="try again")

    expose(fail, ends[1], tracebacks=True)
    with pytest.raises(AppError) as caught:
        await wrap(ends[0])()
    assert isinstance(caught.value, RemoteError)
    assert (caught.value.code, caught.value.hint) == (7, "try again")
    assert str(caught.value) == "code 7"
    assert "in fail" in "".join(caught.value.__notes__)
    with pytest.raises(TypeError):
        register_error(TimeoutError)
    with pytest.raises(TypeError):
        register_error(KeyboardInterrupt)


async def test_errors_with_unsendable_args(ends):
    def fail():
        raise ValueError(print, "text")

    expose(fail, ends[1])
    with pytest.raises(RemoteError) as caught:
        await wrap(ends[0])()
    assert caught.value.name == "ValueError"


async def test_tracebacks_only_when_allowed(ends, remote):
    with pytest.raises(KeyError) as caught:
        await remote.raises("KeyError", "x")
    assert not getattr(caught.value, "__notes__", None)
    assert "raises" not in caught.value.stack


async def test_an_unheard_error_is_reported(remote, reported):
    remote.raises("KeyError", "unheard")
    while not reported:
        await asyncio.sleep(0)
        gc.collect()
    assert "unheard" in str(reported[0])


async def test_who_is_cancelled_as_a_call_fails_has_heard_of_it(ends, remote, reported):
    task = asyncio.ensure_future(asyncio.wait_for(remote.hang(), 10))
    await asyncio.sleep(0)
    ends[0].close()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert not reported


async def test_cancelling_cancels_over_there(remote, api, reported):
    task = asyncio.ensure_future(remote.hang())
    await api.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await api.cancelled.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await remote.hang()
    assert await remote.add(1, 2) == 3
    assert not reported


async def test_one_of_two_who_await_gives_up(remote, api):
    call = remote.hang()
    first, second = asyncio.ensure_future(call), asyncio.ensure_future(call)
    await api.started.wait()
    first.cancel()
    await asyncio.wait([first])
    await remote.add(1, 1)
    assert not api.cancelled.is_set()
    second.cancel()
    await api.cancelled.wait()


@pytest.mark.parametrize(
    "end, error",
    [
        (lambda here, there: here.close(), PortClosedError),
        (lambda here, there: there.close(), PeerClosedError),
    ],
)
async def test_the_end_of_the_port_ends_every_call(remote, api, ends, end, error):
    counter = await remote.counter(0)
    hanging = [asyncio.ensure_future(call) for call in (remote.hang(), remote.hang())]
    await api.started.wait()
    end(*ends)
    for outcome in await asyncio.gather(*hanging, return_exceptions=True):
        assert type(outcome) is error
    await api.cancelled.wait()
    with pytest.raises(error):
        remote.add(1, 2)
    with pytest.raises(error):
        await remote.version
    for use in (counter.add, lambda: release(counter)):
        with pytest.raises(PortStateError):
            use()


async def test_a_wrapped_port_that_is_moved(remote, api, ends):
    carrier, _ = MessageChannel()
    task = asyncio.ensure_future(remote.hang())
    await api.started.wait()
    carrier.post_message(ends[0], transfer=[ends[0]])
    with pytest.raises(PortDetachedError):
        await task
    carrier.close()


async def test_last_calls_before_a_close_are_run(api, ends):
    remote = wrap(ends[0])
    for i in range(3):
        remote.note(i)
    ends[0].close()
    await ends[1].wait_closed()
    await until(lambda: api.log == [0, 1, 2])


async def test_reading_belongs_to_the_calls(remote, ends):
    with pytest.raises(PortStateError):
        await ends[0].receive()
    with pytest.raises(PortStateError):
        ends[0].on_message(print)
    ours, _ = MessageChannel()
    waiting = asyncio.ensure_future(ours.receive())
    await asyncio.sleep(0)
    with pytest.raises(PortStateError):
        wrap(ours)
    ours.close()
    with pytest.raises(PortClosedError):
        await waiting
    with pytest.raises(PortClosedError):
        wrap(ours)


async def test_wrong_uses(ends, remote):
    for wrong in (lambda: wrap(3), lambda: expose({}, "port")):
        with pytest.raises(TypeError, match="not a port"):
            wrong()
    with pytest.raises(ValueError, match="at least one"):
        wrap(ends[0], prefetch=0)
    with pytest.raises(ValueError, match="kwargs"):
        wrap(ends[0], kwargs="dict")
    with pytest.raises(AttributeError, match="await assign"):
        remote.version = 3
    with pytest.raises(TypeError, match="itself"):
        assign(remote, 3)
    with pytest.raises(AttributeError, match="private"):
        _ = remote._secret
    with pytest.raises(TypeError, match="a remote name"):
        _ = remote[3]
    for name in ("_secret", "__class__", "missing"):
        with pytest.raises(AttributeError, match=name):
            await remote[name]
    with pytest.raises(AttributeError, match="not writable"):
        await assign(remote.version, 3)
    assert repr(remote.a.b) == "<Remote a.b>"


async def test_calls_run_in_the_context_of_expose(ends):
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("exposed")

    async def later():
        await asyncio.sleep(0)
        return variable.get()

    expose(
        {"now": variable.get, "later": later, "set": lambda: variable.set("x") and None}, ends[1]
    )
    variable.set("after")
    remote = wrap(ends[0])
    assert await remote.now() == "exposed"
    await remote.set()
    assert await remote.later() == "exposed"


async def test_a_proxy_for_nobody_is_released_and_hides_no_unreadable_answer(ends):
    remote, hostile = wrap(ends[0]), ends[1]
    far, port = MessageChannel()
    reply = {"id": "nobody", "type": "HANDLER", "name": "proxy", "value": port}
    hostile.post_message(reply, transfer=[port])
    assert (await far.receive())["type"] == "RELEASE"
    call = remote.add(1, 2)
    core_of(ends[0]).queue.reader.on_messages([UnreadableMessage(Notice("messageerror"))])
    with pytest.raises(MessageError):
        await call
    far.close()


async def test_ten_thousand_calls_at_once(remote):
    calls = [remote.later(i) for i in range(10_000)]
    assert [await call for call in calls] == list(range(10_000))


async def test_proxies_are_let_go_when_nobody_refers_to_them(api, ends):
    remote = wrap(ends[0])
    link = ends[1]._core.queue.reader
    counter = await remote.counter(1)
    alive = weakref.ref(next(iter(link._children)).server.policy.root)
    add, counter = counter.add, None
    gc.collect()
    assert await add() == 2
    del add
    await until(lambda: not link._children)
    gc.collect()
    assert alive() is None
    for _ in range(1000):
        await remote.each([1], lambda x: x)
    await until(lambda: not (ends[0]._core.queue.reader._children or link._children))
    assert not link.server._tasks
    assert not ends[0]._core.queue.reader.protocol._pending


async def test_what_came_by_a_proxy_outlives_it(remote, ends):
    parent = await remote.family()
    child = await parent.child()
    await release(parent)
    await settle()
    assert await child.add() == 2


async def test_results_that_nobody_waits_for_are_let_go(ends):
    go = asyncio.Event()

    async def slow():
        try:
            await go.wait()
        except asyncio.CancelledError:
            return proxy(Counter())  # too late, and against all custom

    expose({"slow": slow}, ends[1])
    task = asyncio.ensure_future(wrap(ends[0]).slow())
    await settle()
    task.cancel()
    await settle()
    assert not ends[1]._core.queue.reader._children
    assert not ends[0]._core.queue.reader._children


HOSTILE = [
    *(None, 3, "GET", [], {"type": "GET"}, {"id": "x" * 10**6, "type": "GET", "path": ["add"]}),
    {"id": 1, "type": "EVAL", "path": ["add"]},
    {"id": "never made", "type": "RAW", "value": 1},
    {"id": "never made", "type": "HANDLER", "name": "proxy", "value": "no port"},
    {"id": "never made", "type": "HANDLER", "name": "throw", "value": {"isError": True}},
    *({"type": kind, "item": {"type": "RAW"}} for kind in ("ITEM", "END", "THROW", "PULL")),
    {"type": "PULL", "credit": 10**9},
    {"id": "nobody", "type": "CANCEL"},
]

REFUSED = [
    ({"type": "APPLY", "path": ["add"], "argumentList": [1]}, "wire values"),
    ({"type": "APPLY", "path": ["x"] * 1000}, "1000 names"),
    ({"type": "APPLY", "path": ["add", "x" * 10**6]}, "not reachable"),
    (
        {"type": "APPLY", "path": ["add"], "argumentList": [{"type": "HANDLER", "name": "x"}]},
        "no transfer handler 'x'",
    ),
    (
        {"type": "APPLY", "path": ["add"], "argumentList": [{"type": "HANDLER", "name": "proxy"}]},
        "without its port",
    ),
    ({"type": "APPLY", "path": ["note", "__call__"]}, "is a function"),
    ({"type": "APPLY", "path": ["note", "__globals__", "get"]}, "is a function"),
    ({"type": "APPLY", "path": ["__init__", "__globals__"]}, "private"),
    ({"type": "GET", "path": ["constructor"]}, "no such name"),
    ({"type": "GET", "path": []}, "Api objects can't be cloned"),
    ({"type": "APPLY", "path": []}, "no function"),
    ({"type": "SET", "path": [], "value": {"type": "RAW"}}, "not writable"),
    ({"type": "SET", "path": ["add"], "value": {"type": "RAW"}}, "not writable"),
    ({"type": "SET", "path": ["settings", "theme"]}, "wire values"),
    ({"type": "CONSTRUCT", "path": ["settings", "__class__"]}, "private"),
]


async def test_a_hostile_peer_gets_errors_or_nothing(ends, api, reported):
    hostile = ends[0]
    for message in HOSTILE:
        hostile.post_message(message)
    for number, (message, _) in enumerate(REFUSED, 1):
        hostile.post_message({"id": number, **message})
    for number, (_, words) in enumerate(REFUSED, 1):
        reply = await hostile.receive()
        assert (reply["id"], reply["name"]) == (number, "throw")
        assert words in reply["value"]["value"]["message"]
        assert len(str(reply)) < 2000
    hostile.post_message(
        {"id": "good", "type": "APPLY", "path": ["add"], "argumentList": [{"type": "RAW"}] * 2}
    )
    assert "unsupported operand" in str(await hostile.receive())
    assert hostile.buffered == 0
    link = ends[1]._core.queue.reader
    assert not link._children
    assert not link.protocol.running
    assert [type(context["exception"]) for context in reported] == [DataCloneError]


async def test_what_a_hostile_exposer_sends_reaches_only_who_asked(ends):
    remote, hostile = wrap(ends[0]), ends[1]
    replies = [
        ({"type": "HANDLER", "name": "proxy", "value": None}, "without its port"),
        ({"type": "HANDLER", "name": "other", "value": None}, "no transfer handler"),
        ({"type": "HANDLER", "name": "throw", "value": None}, "None"),
        ({"type": "HANDLER", "name": "throw", "value": {"isError": True, "value": 3}}, ".*"),
        ({"type": "HANDLER", "name": "throw", "value": {"isError": False, "value": [1]}}, "1"),
        (
            {"type": "HANDLER", "name": "throw", "value": {"isError": True}, "python": {"type": 3}},
            ".*",
        ),
    ]
    python = [
        {"type": "builtins:eval", "args": ["1"]},
        {"type": "builtins:SystemExit", "args": [1]},
        {"type": "os:system", "args": ["true"]},
        {"type": "builtins:UnicodeDecodeError", "args": [1, 2]},
        {"type": "builtins:ValueError", "args": 3, "fields": {"__class__": 1, "args": 2}},
        {"type": "builtins:ValueError", "args": [], "fields": [1], "notes": [1, None] * 100},
        {"type": "builtins:StopIteration", "args": [1]},
    ]
    replies += [
        ({"type": "HANDLER", "name": "throw", "value": {"isError": True}, "python": part}, ".*")
        for part in python
    ]
    for reply, words in replies:
        call = remote.anything()
        request = await hostile.receive()
        hostile.post_message({**reply, "id": request["id"]})
        hostile.post_message({**reply, "id": request["id"]})
        with pytest.raises(Exception, match=words) as caught:
            await call
        assert isinstance(caught.value, MsgChanError)
        assert len(getattr(caught.value, "__notes__", ())) <= 21


@pytest.mark.parametrize("count", [99, 100, 101, 130_000])
async def test_many_plain_arguments(ends, count):
    expose({"last": lambda *values: (len(values), values[-1])}, ends[1])
    assert await wrap(ends[0]).last(*range(count)) == [count, count - 1]


async def test_an_endpoint_that_others_use_too(ends):
    """As a worker on which Comlink calls, and Python wraps: Python answers for nobody."""
    theirs, ours = ends
    ours._core.endpoint.shared = True
    remote = wrap(ours)
    far, port = MessageChannel()
    proxied = {"id": "theirs", "type": "HANDLER", "name": "proxy", "value": port}
    theirs.post_message(proxied, transfer=[port])
    for number in range(1, 1502):
        theirs.post_message({"id": number, "type": "APPLY", "path": ["f"], "argumentList": []})
    theirs.post_message({"id": "probe", "type": "GET", "path": ["__msgchan__"]})
    theirs.post_message({"id": "release", "type": "RELEASE"})
    call = remote.add(1, 2)
    request = await theirs.receive()
    assert request["path"] == ["add"]  # the first word of this side
    theirs.post_message({"id": request["id"], "type": "RAW", "value": 3})
    assert await call == 3
    assert theirs.buffered == far.buffered == 0
    assert ours._core.queue.reader.protocol.expose() == []
    far.close()


async def test_requests_to_an_endpoint_that_others_use_too(ends):
    theirs, ours = ends
    ours._core.endpoint.shared = True
    theirs.post_message({"id": 1, "type": "APPLY", "path": ["f"], "argumentList": []})
    wrap(ours)
    await settle()
    expose({"f": lambda: "answered"}, ours)
    theirs.post_message({"id": 2, "type": "APPLY", "path": ["f"], "argumentList": []})
    reply = await theirs.receive()
    assert (reply["id"], reply["value"]) == (2, "answered")  # the first was for somebody else
    with pytest.raises(ValueError, match="exposed on this port already"):
        expose({}, ours)


async def test_an_unreadable_message_to_somebody_else_ends_no_call(ends, reported):
    theirs, ours = ends
    ours._core.endpoint.shared = True
    call = wrap(ours).add(1, 2)
    request = await theirs.receive()
    ours._core.queue.reader.on_messages([UnreadableMessage(Notice("messageerror"))])
    assert not call.done()
    assert len(reported) == 1
    theirs.post_message({"id": request["id"], "type": "RAW", "value": 3})
    assert await call == 3


def test_ports_with_remote_calls_may_be_closed_after_their_loop_has_ended():
    async def make():
        near, far = MessageChannel()
        expose({"add": int.__add__}, far)
        assert await wrap(near).add(1, 2) == 3
        return near, far

    for port in asyncio.run(make()):
        port.close()
        assert port.closed
