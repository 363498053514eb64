"""Connections between windows in memory: what the shell around the handshake promises."""

import asyncio
import gc
import weakref

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    Connection,
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageChannel,
    NotInBrowserError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    RemoteError,
    accept,
    connect,
    expose,
    introduce,
    introduced,
)
from pyodide_msgchan._connection.control import MAX_INTRODUCTIONS
from pyodide_msgchan._connection.driver import MAX_EARLY
from pyodide_msgchan._connection.opening import ConnectionFactory
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._rpc import api
from pyodide_msgchan.testing import CONTRACT, Window
from pyodide_msgchan.testing import MessageChannel as MemoryChannel

HOST, APP = "https://host.example", "https://app.example"


@pytest.fixture
def windows():
    host = Window(HOST)
    return host, Window(APP, parent=host)


async def joined(host, app, **options):
    accepting = asyncio.create_task(app.accept(origin=HOST, **options))
    connection = await host.connect(app, origin=APP, timeout=5, **options)
    return connection, await accepting


@pytest.mark.parametrize("name", CONTRACT)
async def test_contract(windows, name):
    pairs = [await joined(*windows)]

    async def make_pair():
        # What a check makes second it transfers, and a connection can't be.
        return pairs.pop() if pairs else tuple(MemoryChannel())

    await CONTRACT[name](make_pair)


async def test_either_side_may_start_first(windows):
    host, app = windows
    accepting = asyncio.create_task(app.accept(origin=HOST))
    await asyncio.sleep(0)
    first = await host.connect(app, origin=APP)
    first.close()
    await (await accepting).wait_closed()
    connecting = asyncio.ensure_future(host.connect(app, origin=APP))
    await asyncio.sleep(0)
    second = await app.accept(origin=HOST)
    async with second, await connecting as other:
        second.post_message("hello")
        assert await other.receive() == "hello"
        assert (second.peer.origin, other.peer.origin) == (HOST, APP)
        assert second.peer.version == other.peer.version
        assert other.peer.capabilities >= {"clone"}


async def test_who_was_called_in_vain_finds_the_accept_of_another_runtime_of_that_page(windows):
    host, page = windows
    runtimes = [ConnectionFactory(lambda: page._environment) for _ in range(2)]
    options = {"origin": HOST, "source": host._environment}
    kept, given_up = [asyncio.create_task(one.accept(**options)) for one in runtimes]
    await asyncio.sleep(0)
    connecting = asyncio.ensure_future(host.connect(page, origin=APP, timeout=5))
    await until(lambda: host._environment.listeners)
    [caller] = [listener.on_envelope.__self__ for listener in host._environment.listeners]
    last = page._environment.listeners[1].on_envelope.__self__
    # It follows the last one that greets: its offer is on its way there.
    await until(lambda: caller._machine._met == last._machine._id)
    last.close()
    async with await connecting as near, await kept as far:
        near.post_message(1)
        assert await far.receive() == 1
    with pytest.raises(PortClosedError):
        await given_up


async def test_a_listen_that_ends_says_goodbye_to_those_it_had_greeted(windows):
    host, frame = windows
    heard = asyncio.Queue()
    host._environment.listen(None, None, {APP}, "", lambda words, *_: heard.put_nowait(words[1]))
    frame.listen(origin=HOST).close()
    assert [await heard.get(), await heard.get()] == ["hello", "goodbye"]


def test_a_listen_may_be_closed_when_no_loop_runs_any_more(windows):
    async def listening():
        return windows[1].listen(origin=HOST)

    asyncio.run(listening()).close()


async def test_names_do_not_mix(windows):
    host, app = windows
    pairs = await asyncio.gather(*(joined(host, app, name=name) for name in "abc"))
    for i, (near, far) in enumerate(pairs):
        near.post_message(i)
        assert await far.receive() == i
    for pair in pairs:
        for connection in pair:
            connection.close()


@pytest.mark.parametrize("kinds", [("null", APP), (HOST, "null"), ("null", "null")])
async def test_opaque_origins_must_be_named(kinds):
    host = Window(kinds[0])
    app = Window(kinds[1], parent=host)
    names = [OPAQUE_ORIGIN if kind == "null" else kind for kind in kinds]
    with pytest.raises((ValueError, HandshakeTimeoutError)):
        await host.connect(app, timeout=0.01)
    accepting = asyncio.create_task(app.accept(origin=names[0]))
    async with host.connect(app, origin=names[1], timeout=5) as near, await accepting as far:
        near.post_message(1)
        assert await far.receive() == 1


async def test_timeout_tells_who_spoke(windows):
    host, app = windows
    accepting = asyncio.create_task(app.accept(origin="https://else.example"))
    with pytest.raises(HandshakeTimeoutError) as caught:
        await host.connect(app, origin="https://else.example", timeout=0.02)
    assert caught.value.heard == ()  # what is posted to another origin arrives nowhere
    accepting.cancel()
    await asyncio.gather(accepting, return_exceptions=True)
    evil = Window("https://evil.example", parent=host)
    speaking = asyncio.create_task(evil.accept(origin=HOST))
    with pytest.raises(
        HandshakeTimeoutError,
        match=(
            r"^no accept from https://app\.example within 0\.02 s; "
            r"heard from https://evil\.example, which is not allowed$"
        ),
    ):
        await host.connect(evil, origin=APP, timeout=0.02)
    speaking.cancel()


async def test_two_that_call_each_other_are_told(windows):
    host, app = windows
    with pytest.raises(HandshakeTimeoutError, match="both sides called connect"):
        await asyncio.gather(
            host.connect(app, origin=APP, timeout=0.02), app.connect(host, origin=HOST, timeout=5)
        )


async def test_the_second_caller_fails_at_once(windows):
    host, app = windows
    near, far = await joined(host, app)
    with pytest.raises(HandshakeError, match="already taken"):
        await host.connect(app, origin=APP, timeout=5)
    near.post_message("still there")
    assert await far.receive() == "still there"
    near.close()
    await far.wait_closed()
    again, other = await joined(host, app)
    again.close()
    other.close()


@pytest.mark.parametrize("unread", [0, 3])
async def test_calls_in_turn_find_an_accept_in_a_loop(windows, unread):
    host, app = windows

    async def serve():
        while True:
            connection = await app.accept(origin=HOST)
            connection.post_message(await connection.receive() + 1)
            await connection.wait_closed()  # what is unread keeps nobody out

    async def ask(number):
        async with host.connect(app, origin=APP, timeout=5) as connection:
            connection.post_message(number)
            for _ in range(unread):
                connection.post_message("unread")
            return await connection.receive()

    serving = asyncio.create_task(serve())
    assert [await ask(number) for number in range(50)] == list(range(1, 51))
    serving.cancel()


async def test_a_refusal_from_before_the_goodbye_fails_nobody(windows):
    host, app = windows
    near, far = await joined(host, app)
    again = asyncio.ensure_future(host.connect(app, origin=APP, timeout=5))
    await asyncio.sleep(0)
    near.close()  # its probe is on its way: the accept over there is still taken
    accepting = asyncio.create_task(accept_next(app, far))
    (await again).close()
    await accepting


async def accept_next(app, before):
    await before.wait_closed()
    return await app.accept(origin=HOST)


async def test_what_is_remembered_of_ended_connections_is_forgotten(windows, monkeypatch):
    host, app = windows
    for number in range(5):
        accepting = asyncio.create_task(app.accept(origin=HOST, name=str(number)))
        async with host.connect(app, origin=APP, name=str(number)):
            await accepting
    assert len(host._earlier) == 5
    monkeypatch.setattr(
        "pyodide_msgchan._connection.driver.RETRY_DELAY", 0
    )  # as if that time had passed
    await asyncio.gather(host.connect(app, origin=APP, timeout=0.01), return_exceptions=True)
    assert len(host._earlier) == 1


@pytest.mark.parametrize("closing", ["here", "there"])
async def test_what_is_remembered_of_ended_connections_keeps_nothing_alive(windows, closing):
    host, app = windows
    near, far = await joined(host, app)
    exposed = {"add": lambda a, b: a + b}  # a connection with calls, which know their port
    alive = [weakref.ref(near), weakref.ref(exposed["add"])]
    expose(exposed, near)
    assert await api.wrap(far).add(1, 2) == 3
    (near if closing == "here" else far).close()
    await asyncio.gather(near.wait_closed(), far.wait_closed())
    del near, far, exposed
    await asyncio.sleep(0)
    gc.collect()
    assert host._earlier
    assert [reference() for reference in alive] == [None, None]


async def test_a_script_that_raised_is_dead_only_if_nothing_comes(windows, monkeypatch):
    host, app = windows
    raised = Notice("failed", error=RemoteError("Error", "on purpose", "worker.mjs:3"))

    async def connecting():
        task = asyncio.ensure_future(host.connect(app, origin=APP, timeout=5))
        await asyncio.sleep(0)
        [listener] = host._environment.listeners
        listener.on_envelope(raised, "", None, None)
        listener.on_envelope(raised, "", None, None)
        return task

    first = await connecting()
    accepting = asyncio.create_task(app.accept(origin=HOST))
    (await first).close()
    await accepting
    monkeypatch.setattr("pyodide_msgchan._connection.driver.START_GRACE", 0)
    with pytest.raises(HandshakeError, match=r"on purpose \(worker\.mjs:3\)") as caught:
        await (await connecting())
    assert caught.value.code == "worker-failed"
    assert caught.value.__cause__ is raised.error


def held_later(window, monkeypatch):
    """Let the lock of a page be held when the future that is returned is done."""
    lock = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(window._environment, "hold_lock", lambda: lock)
    return lock


@pytest.fixture
def same_origin():
    """Two windows of one origin: only such pages wait for the lock."""
    host = Window(HOST)
    return host, Window(HOST, parent=host)


OPENINGS = {
    "connect": lambda host, app: host.connect(app, timeout=5),
    "accept": lambda host, app: host.accept(source=app, timeout=5),
}


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS)
@pytest.mark.parametrize("kind, code", [("failed", "worker-failed"), ("gone", "gone")])
async def test_an_end_before_the_lock_is_held_is_not_lost(
    same_origin, monkeypatch, opening, kind, code
):
    host, app = same_origin
    lock = held_later(host, monkeypatch)
    task = asyncio.ensure_future(opening(host, app))
    await asyncio.sleep(0)
    [listener] = host._environment.listeners
    listener.on_envelope(Notice(kind), "", None, None)
    lock.set_result(None)
    with pytest.raises(HandshakeError) as caught:
        await task
    assert caught.value.code == code
    assert not host._environment.listeners


async def test_an_error_before_the_lock_is_held_counts_from_the_probe_on(same_origin, monkeypatch):
    host, app = same_origin
    accepting = asyncio.create_task(app.accept())  # its hello comes before the listener
    await settle()
    lock = held_later(host, monkeypatch)
    monkeypatch.setattr("pyodide_msgchan._connection.driver.START_GRACE", 0)
    task = asyncio.ensure_future(host.connect(app, timeout=5))
    await asyncio.sleep(0)
    [listener] = host._environment.listeners
    raised = Notice("failed", error=RemoteError("Error", "on purpose", "worker.mjs:3"))
    listener.on_envelope(raised, "", None, None)
    driver = listener.on_envelope.__self__
    assert driver._failure_timer is None
    lock.set_result(None)
    await asyncio.sleep(0)
    assert driver._failure_timer is not None
    accepting.cancel()
    with pytest.raises(HandshakeError, match="on purpose"):
        await task


@pytest.mark.parametrize("first", ["connect", "accept"])
async def test_what_comes_before_the_lock_is_held_is_handled_then(same_origin, monkeypatch, first):
    host, app = same_origin
    posted = []
    lock = held_later(host if first == "connect" else app, monkeypatch)
    connecting = asyncio.ensure_future(host.connect(app, timeout=5))
    accepting = asyncio.create_task(app.accept(timeout=5))
    waiting = host if first == "connect" else app
    await asyncio.sleep(0)
    monkeypatch.setattr(waiting._environment, "announce", lambda *args: posted.append(args))
    [listener] = waiting._environment.listeners
    driver = listener.on_envelope.__self__
    await asyncio.sleep(0)
    assert [fields[1] for fields, *_ in driver._early] == [
        "hello" if first == "connect" else "probe"
    ]
    assert not posted
    monkeypatch.undo()
    lock.set_result(None)
    connection, accepted = await asyncio.gather(connecting, accepting)
    connection.post_message(1)
    assert await accepted.receive() == 1
    connection.close()


async def test_a_flood_before_the_lock_is_held_leaves_no_more_than_the_limit(
    same_origin, monkeypatch
):
    host, app = same_origin
    lock = held_later(host, monkeypatch)
    task = asyncio.ensure_future(host.connect(app, timeout=5))
    await asyncio.sleep(0)
    [listener] = host._environment.listeners
    for _ in range(2 * MAX_EARLY):
        listener.on_envelope((1, "junk", "", "x", "", "", "", -1), HOST, app._environment, None)
    assert len(listener.on_envelope.__self__._early) == MAX_EARLY
    lock.set_result(None)
    accepted = await app.accept(timeout=5)
    (await task).close()
    await accepted.wait_closed()


async def test_cancelling_before_the_lock_is_held_leaves_nothing(same_origin, monkeypatch):
    host, app = same_origin
    for opening in OPENINGS.values():
        held_later(host, monkeypatch)
        task = asyncio.ensure_future(opening(host, app))
        await asyncio.sleep(0)
        assert host._environment.listeners
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not host._environment.listeners


async def test_a_name_is_waited_for_once(windows):
    _, app = windows
    waiting = asyncio.create_task(app.accept(origin=HOST))
    await asyncio.sleep(0)
    with pytest.raises(HandshakeError, match="already") as caught:
        await app.accept(origin=HOST)
    assert caught.value.code == "name-in-use"
    with pytest.raises(HandshakeError, match="already"):
        app.listen(origin=HOST)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    app.listen(origin=HOST).close()


async def test_listen_takes_everybody(windows):
    host, app = windows
    other = Window(HOST, parent=app)
    async with app.listen(origin=HOST) as callers:
        ends = [await w.connect(app, origin=APP) for w in (host, other, host)]
        for i, end in enumerate(ends):
            end.post_message(i)
        assert [await (await anext(callers)).receive() for _ in ends] == [0, 1, 2]
        waiting = asyncio.create_task(anext(callers))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting
    for end in ends:
        end.close()


async def test_close_delivers_everything_first(windows):
    near, far = await joined(*windows)
    for i in range(1000):
        near.post_message(i)
    near.close()
    with pytest.raises(PortClosedError):
        near.post_message("late")
    assert [message async for message in far] == list(range(1000))
    with pytest.raises(PeerClosedError):
        await far.receive()
    with pytest.raises(PeerClosedError):
        far.post_message("late")


async def test_a_page_that_goes_is_lost(windows):
    host, app = windows
    near, far = await joined(host, app)
    far.post_message("last words")
    app.leave()
    assert await near.receive() == "last words"
    with pytest.raises(PeerLostError) as caught:
        await anext(near)
    assert caught.value.missing == 0
    with pytest.raises(PortClosedError, match="back/forward cache"):
        await far.receive()


async def test_connect_goes_on_when_the_page_is_replaced(windows):
    host, app = windows
    served = []

    async def serve():
        for turn in range(3):
            connection = await app.accept(origin=HOST)
            connection.post_message(turn)
            await connection.receive()
            app.leave()

    serving = asyncio.create_task(serve())
    async for connection in host.connect(app, origin=APP, timeout=5):
        try:
            served.append(await connection.receive())
            connection.post_message("go")
            await connection.receive()
        except PeerLostError:
            if len(served) == 3:
                break
    assert served == [0, 1, 2]
    await serving


async def test_the_end_of_the_body_closes(windows):
    host, app = windows
    seen = []
    async with app.listen(origin=HOST) as callers:
        async for connection in host.connect(app, origin=APP):
            seen.append(await anext(callers))
            assert not connection.closed
            if len(seen) == 2:
                break
        await seen[0].wait_closed()
        assert not seen[1].closed
        connection.close()
        await seen[1].wait_closed()


async def test_who_connects_again_waits_while_another_is_served(windows):
    host, app = windows

    async def serve():
        while True:
            async with await app.accept(origin=HOST) as connection:
                await connection.wait_closed()

    serving = asyncio.create_task(serve())
    loop = host.connect(app, origin=APP)
    first = await anext(loop)
    first.close()
    other = await host.connect(app, origin=APP)
    again = asyncio.ensure_future(anext(loop))
    with pytest.raises(HandshakeError, match="already taken"):  # so that one was told it too
        await host.connect(app, origin=APP)
    assert not again.done()
    other.close()
    (await again).close()
    serving.cancel()


async def test_cancelling_leaves_nothing(windows):
    host, app = windows
    for task in (
        asyncio.ensure_future(host.connect(app, origin=APP)),
        asyncio.create_task(app.accept(origin=HOST)),
    ):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert host._environment.listeners == app._environment.listeners == []
    assert host._environment.channel_pairs == app._environment.channel_pairs == set()
    near, far = await joined(host, app)
    near.close()
    far.close()
    await settle()
    assert host._environment.listeners == app._environment.listeners == []
    assert host._environment.channel_pairs == app._environment.channel_pairs == set()


async def test_a_dropped_connection_says_goodbye(windows):
    ends = list(await joined(*windows))
    far = ends.pop()
    with pytest.warns(ResourceWarning, match="unclosed <Connection open"):
        ends.clear()
    gc.collect()
    await far.wait_closed()
    with pytest.raises(PeerClosedError):
        await far.receive()


async def test_heartbeat_sees_silence(windows):
    host, app = windows
    near, far = await joined(host, app, heartbeat=0.02)
    far._control.channels._sink.stop()  # a page that hangs: it answers nothing any more
    with pytest.raises(PeerLostError):
        await near.receive()
    far.close()


async def test_a_page_that_was_only_busy_learns_that_it_is_lost(windows):
    host, app = windows
    accepting = asyncio.create_task(app.accept(origin=HOST))
    near = await host.connect(app, origin=APP, heartbeat=0.02)
    far = await accepting
    inbox = far._control.channels._sink
    hear, held = inbox._handle, []
    inbox._handle = lambda *message: held.append(message)
    near.post_message("before")
    with pytest.raises(PeerLostError):
        await near.receive()
    inbox._handle = hear  # it is idle again, and takes what has come meanwhile
    for message in held:
        hear(*message)
    assert await far.receive() == "before"
    with pytest.raises(PeerLostError) as caught:
        await far.receive()
    assert caught.value.missing == 0


async def test_a_connection_stays_where_it_is(windows):
    near, far = await joined(*windows)
    carrier, other = await joined(*windows, name="carrier")
    with pytest.raises(DataCloneError, match="a Connection can't be transferred"):
        carrier.post_message(near, transfer=[near])
    with pytest.raises(TypeError, match="comes from connect"):
        Connection()
    for port in (near, far, carrier, other):
        port.close()


async def test_introduced_peers_talk_directly():
    host = Window(HOST)
    apps = [Window(f"https://{name}.example", parent=host) for name in "ab"]

    async def meet(app):
        to_host = await app.accept(origin=HOST)
        met = await introduced(to_host)
        assert met.introduction == "meet"
        assert (met.origin_verified, to_host.origin_verified) == (False, True)
        return to_host, met

    meetings = [asyncio.create_task(meet(app)) for app in apps]
    origins = "https://a.example", "https://b.example"
    ends = [
        await host.connect(*pair[:1], origin=pair[1]) for pair in zip(apps, origins, strict=True)
    ]
    introduce(*ends, "meet")
    (a_host, a), (b_host, b) = await asyncio.gather(*meetings)
    assert (a.peer.origin, b.peer.origin) == ("https://b.example", "https://a.example")
    for end in (*ends, a_host, b_host):
        end.close()
    a.post_message("direct")
    assert await b.receive() == "direct"
    apps[0].leave()
    with pytest.raises(PeerLostError):
        await b.receive()


async def introduce_pages(*origins, **options):
    """Let a host introduce two pages; give the host's ends, theirs, and who they met."""
    host = Window(HOST)
    apps = [Window(origin, parent=host) for origin in origins]
    accepts = [asyncio.create_task(app.accept(origin=HOST)) for app in apps]
    near = [
        await host.connect(app, origin=OPAQUE_ORIGIN if origin == "null" else origin)
        for app, origin in zip(apps, origins, strict=True)
    ]
    far = await asyncio.gather(*accepts)
    introduce(*near, **options)
    met = await asyncio.gather(*map(introduced, far))
    return near, far, met


def close_all(*groups):
    for group in groups:
        for port in group:
            port.close()


async def test_no_way_of_receiving_sees_an_introduction():
    near, far, met = await introduce_pages("https://a.example", "https://b.example")
    heard = []
    listener = far[0].on_message(lambda event: heard.append(event.data))
    for number in range(3):
        near[0].post_message(number)
        introduce(*near, "again")
    more = [await introduced(far[0]) for _ in range(3)]  # all that was sent has come
    assert heard == [0, 1, 2]
    listener.cancel()
    introduce(*near)
    near[0].post_message("received")
    near[0].post_message("iterated")
    near[0].post_message("taken")
    assert await far[0].receive() == "received"
    assert await anext(far[0]) == "iterated"
    more += [await introduced(far[1]) for _ in range(4)]
    more.append(await introduced(far[0]))
    assert far[0].take_buffered() == ["taken"]
    close_all(near, far, met, more)


async def test_a_message_that_looks_like_an_introduction_is_a_message():
    near, far, met = await introduce_pages("https://a.example", "https://b.example")
    for message in ({"type": "introduction", "origin": HOST}, {"msgchan introduction": [1, 2]}):
        pairs = MemoryChannel(), MemoryChannel()
        near[0].post_message(message, transfer=[theirs for _, theirs in pairs])
        event = await far[0].receive_event()
        assert event.data == message
        close_all(event.ports, *pairs)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await introduced(far[0])
    close_all(near, far, met)


async def test_an_introduction_waits_until_it_is_asked_for_and_cancelling_loses_none():
    near, far, met = await introduce_pages("https://a.example", "https://b.example")
    waiting = asyncio.ensure_future(introduced(far[0]))
    await asyncio.sleep(0)
    waiting.cancel()
    introduce(*near, 1)
    introduce(*near, 2)
    close_all(near)
    got = [[one async for one in introduced(end)] for end in far]
    assert [[one.introduction for one in side] for side in got] == [[1, 2], [1, 2]]
    got[0][1].post_message("second")
    assert await got[1][1].receive() == "second"
    with pytest.raises(PeerClosedError):
        await introduced(far[0])
    close_all(far, met, *got)


async def test_who_is_lost_ends_the_waiting_for_introductions():
    host = Window(HOST)
    app = Window(APP, parent=host)
    accepting = asyncio.create_task(app.accept(origin=HOST))
    near = await host.connect(app, origin=APP)
    far = await accepting
    waiting = asyncio.ensure_future(introduced(far))
    host.leave()
    with pytest.raises(PeerLostError):
        await waiting
    with pytest.raises(PortClosedError):
        introduce(near, near)
    with pytest.raises(PeerLostError):
        introduce(far, far)
    with pytest.raises(TypeError, match="not a Connection"):
        introduced(None)
    with pytest.raises(ValueError, match="lane"):
        introduced(far, lane="fast")
    far.close()


async def test_whoever_closes_refuses_introductions_that_were_not_taken():
    near, far, met = await introduce_pages("https://a.example", "https://b.example")
    introduce(*near)
    other = await introduced(far[1])
    far[0].close()
    with pytest.raises(PeerClosedError):
        await other.receive()
    close_all(near, far, met, [other])


async def test_more_introductions_than_anybody_takes_are_refused():
    near, far, met = await introduce_pages("https://a.example", "https://b.example")
    taken = []
    for number in range(MAX_INTRODUCTIONS + 2):
        introduce(*near, number)
        if number < MAX_INTRODUCTIONS:
            taken.append(await introduced(far[1]))
    refused = [await introduced(far[1]) for _ in range(2)]
    for one in refused:
        with pytest.raises(PeerClosedError):
            await one.receive()
    taken += [await introduced(far[0]) for _ in range(MAX_INTRODUCTIONS)]
    assert taken[-1].introduction == MAX_INTRODUCTIONS - 1
    close_all(near, far, met, refused, taken)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": 7},
        {"origin": "https://b.example/path"},
        {"origin": "HTTPS://B.example"},
        {"origin": "*"},
        {"origin": ["https://b.example"]},
        {"ports": 0},
        {"ports": 1},
        {"ports": 3},
    ],
    ids=str,
)
async def test_a_malformed_introduction_is_refused(windows, wrong):
    near, far = await joined(*windows)
    pairs = [MemoryChannel() for _ in range(wrong.pop("ports", 2))]
    moved = check_transfer([theirs for _, theirs in pairs])
    words = {"type": "introduction", "origin": "https://b.example", **wrong}
    near._control.channels.send(words, moved)
    moved.detach_ports()
    near._control.channels.send({"type": "ping", "n": 1})
    near.post_message("and the connection goes on")
    assert await far.receive() == "and the connection goes on"
    if len(pairs) == 2:
        assert (await pairs[1].port1.receive())["type"] == "goodbye"  # it did arrive
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await introduced(far)
    close_all((near, far), [ours for ours, _ in pairs])


@pytest.mark.parametrize("claim", [None, HOST, APP, "null"])
async def test_a_hostile_introducer_can_pass_nobody_for_own_origin(windows, claim, monkeypatch):
    """It claims that the introduced one is a worker, or of the origin of whoever hears it."""
    monkeypatch.setattr(api, "own_origin", lambda: APP)
    near, far = await joined(*windows)
    (data, their_data), (control, their_control) = MemoryChannel(), MemoryChannel()
    words = {"type": "introduction", "origin": claim, "lane": "packed", "message": 1}
    words |= {"capabilities": ["clone", "credit", "packs", "packed"], "runtime": "pyodide"}
    moved = check_transfer([their_data, their_control])
    near._control.channels.send(words, moved)
    moved.detach_ports()
    met = await introduced(far)
    assert (met.lane, met.origin_verified, met.peer.origin) == ("clone", False, claim)
    assert (await control.receive()) == {"type": "lane", "lane": "clone"}
    control.post_message({"type": "lane", "lane": "packed"})

    def fail():
        raise LookupError("no source lines")

    expose({"fail": fail}, met)
    data.post_message({"id": "1", "type": "APPLY", "path": ["fail"], "argumentList": []})
    answer = await data.receive()
    assert "no source lines" in str(answer)  # the attack arrived
    assert "Traceback" not in str(answer)
    assert "raise LookupError" not in str(answer)
    assert met.lane == "clone"
    close_all((near, far, met, data, control))


@pytest.mark.parametrize(
    "bad",
    [
        {"origin": "app.example"},
        {"origin": "*"},
        {"origin": []},
        {"name": 7},
        {"name": "n" * 201},
        {"timeout": 0},
        {"timeout": "soon"},
        {"heartbeat": -1},
    ],
    ids=str,
)
async def test_bad_arguments(windows, bad):
    host, app = windows
    with pytest.raises((ValueError, TypeError)):
        await host.connect(app, **bad)
    with pytest.raises((ValueError, TypeError)):
        await app.accept(**bad)


async def test_targets_that_are_none(windows):
    host, _ = windows
    with pytest.raises(TypeError, match="not an iframe element, window or worker"):
        host.connect("https://app.example")
    with pytest.raises(HandshakeError, match="neither a parent nor an opener") as caught:
        await host.accept(origin=APP)
    assert caught.value.code == "no-owner"


async def test_off_the_browser():
    with pytest.raises(NotInBrowserError):
        connect(None)
    with pytest.raises(NotInBrowserError):
        await accept()
    with pytest.raises(NotInBrowserError):
        MessageChannel()
