"""The end of a connection: who sees it, how soon, with which error, and that nothing is lost."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

FRAMES = ["same-origin", "cross-site", "sandboxed"]
KINDS = [*FRAMES, "popup", "worker"]


@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_the_other_side_closes(selenium, peers, kind):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerClosedError, connect

    peer = await open_peer(kind, peers[kind])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        await peer.run("""
            await taking;
            for (let i = 0; i < 1000; i++) connection.port.postMessage(i);
            connection.close();
        """)
        await connection.wait_closed()
        assert [message async for message in connection] == list(range(1000))
        with pytest.raises(PeerClosedError) as caught:
            await connection.receive()
        assert caught.type is PeerClosedError
        with pytest.raises(PeerClosedError):
            connection.post_message(1)
    peer.close()


@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_this_side_closes(selenium, peers, kind):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PortClosedError, connect

    peer = await open_peer(kind, peers[kind])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        for i in range(1000):
            connection.post_message(i)
    with pytest.raises(PortClosedError):
        await connection.receive()
    assert await peer.run(
        "await taking; return [await ended, got.length, got.every((n, i) => n === i)]"
    ) == [
        {"reason": "closed", "missing": 0},
        1000,
        True,
    ]
    peer.close()


WAYS = [(kind, way) for kind in FRAMES for way in ("remove", "reload", "navigate")]
WAYS += [("popup", way) for way in ("reload", "navigate", "close")] + [("worker", "terminate")]


@pytest.mark.parametrize("kind,way", WAYS)
@run_in_pyodide
async def test_the_other_page_goes(selenium, peers, kind, way):
    import js
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer(kind, peers[kind])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        await peer.run("await taking; for (let i = 0; i < 20; i++) connection.port.postMessage(i)")
        assert [await connection.receive() for _ in range(10)] == list(range(10))
        if way == "reload":
            await peer.run("setTimeout(() => location.reload())")
        elif way == "navigate":
            await peer.run("setTimeout(() => { location.href = 'about:blank' })")
        else:
            peer.close()
        await connection.wait_closed()
        assert [await connection.receive() for _ in range(10)] == list(range(10, 20))
        with pytest.raises(PeerLostError) as caught:
            await connection.receive()
        # A worker has no last words, and Firefox loses those of some pages of another site.
        lossy = {"cross-site", "popup"} if "Firefox" in js.navigator.userAgent else set()
        known = set() if kind == "worker" else {0}
        assert caught.value.missing in known | ({None} if kind in {"worker", *lossy} else set())
        with pytest.raises(PeerLostError):
            async for _ in connection:
                pass
        with pytest.raises(PeerLostError):
            connection.post_message(1)
    peer.close()


@pytest.mark.driver_timeout(60)
@pytest.mark.parametrize("way", ["remove", "navigate"])
@pytest.mark.parametrize("kind", FRAMES)
@run_in_pyodide
async def test_a_frame_goes_that_computes(selenium, peers, kind, way):

    import asyncio

    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer(kind, peers[kind])
    connecting = asyncio.ensure_future(connect(peer.target, **peer.options))  # it sees the load
    await peer.take()
    async with await connecting as connection:
        await peer.run("""
            await taking;
            connection.port.onmessage = () => {
                connection.port.postMessage("computing");
                const until = performance.now() + 3000;
                while (performance.now() < until);
            };
        """)
        connection.post_message("compute")
        assert await connection.receive() == "computing"
        if way == "remove":
            peer.close()
        else:
            peer.target.src = "about:blank"
        with pytest.raises(PeerLostError):
            await connection.receive()
    peer.close()


@run_in_pyodide
async def test_only_a_heartbeat_sees_a_page_that_hangs(selenium, peers):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer("cross-site", peers["cross-site"])
    await peer.take()
    async with connect(peer.target, heartbeat=0.1, **peer.options) as connection:
        # In a frame of another site, which some browsers run in a process of its own.
        await peer.run("""
            await taking;
            MessagePort.prototype.postMessage = () => {};  // as a page that crashed: it is silent
        """)
        with pytest.raises(PeerLostError):
            await connection.receive()
    peer.close()


@run_in_pyodide
async def test_a_worker_that_was_only_busy_learns_that_it_is_lost(selenium, peers):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer("worker", peers["worker"])
    await peer.take()
    async with connect(peer.target, heartbeat=0.1) as connection:
        connection.post_message("before")
        await peer.run("""
            await taking;
            setTimeout(() => {
                const until = performance.now() + 2000;
                while (performance.now() < until);
            });
        """)
        with pytest.raises(PeerLostError):
            await connection.receive()
    assert await peer.run("return [await ended, got]") == [
        {"reason": "lost", "missing": 0},
        ["before"],
    ]
    peer.close()


@run_in_pyodide
async def test_this_page_was_only_busy_and_learns_that_it_is_lost(selenium, peers):
    from time import monotonic

    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer("worker", peers["worker"])
    await peer.take(heartbeat=0.1)
    async with connect(peer.target) as connection:
        until = monotonic() + 1
        while monotonic() < until:
            pass
        with pytest.raises(PeerLostError) as caught:
            await connection.receive()
        assert caught.value.missing == 0
    assert await peer.run("return (await ended).reason") == "lost"
    peer.close()


@pytest.mark.driver_timeout(120)
@run_in_pyodide
async def test_a_hundred_reloads_leave_nothing(selenium, peers):
    import gc

    from peers import open_peer
    from pyodide.code import run_js

    from pyodide_msgchan import PeerLostError, connect

    count = run_js("""
        (() => {
            const counts = { listeners: 0, timers: 0, channels: 0 };
            const undo = [];
            const wrap = (owner, name, make) => {
                const plain = owner[name];
                owner[name] = make(plain);
                undo.push(() => (owner[name] = plain));
            };
            wrap(window, "addEventListener", (plain) => function (...args) {
                if (args[0] === "message") counts.listeners++;
                return plain.apply(this, args);
            });
            wrap(window, "removeEventListener", (plain) => function (...args) {
                if (args[0] === "message") counts.listeners--;
                return plain.apply(this, args);
            });
            const running = new Set();
            const short = new Map();  // the ends of timers that soon run out by themselves
            wrap(window, "setTimeout", (plain) => (f, ms, ...args) => {
                const { promise, resolve } = Promise.withResolvers();
                const over = () => (running.delete(id), short.delete(id), resolve());
                const id = plain(() => (over(), f(...args)), ms);
                running.add(id);
                if (!(ms > 3000)) short.set(id, { promise, over });
                return id;
            });
            wrap(window, "clearTimeout", (plain) => (id) => (
                short.get(id)?.over(), running.delete(id), plain(id)));
            wrap(window, "setInterval", (plain) => (...args) => {
                const id = plain(...args);
                running.add(id);
                return id;
            });
            wrap(window, "clearInterval", (plain) => (id) => (running.delete(id), plain(id)));
            const open = new Set();  // the near ports of the channels that were made
            wrap(window, "MessageChannel", (plain) => class extends plain {
                constructor() {
                    super();
                    open.add(this.port1);
                }
            });
            wrap(MessagePort.prototype, "close", (plain) => function () {
                open.delete(this);
                plain.call(this);
            });
            return {
                settled: () => Promise.all([...short.values()].map((one) => one.promise)),
                read: () => [counts.listeners, running.size, open.size],
                undo: () => undo.forEach((f) => f()),
            };
        })()
    """)
    peer = await open_peer("same-origin", peers["same-origin"])
    turns = 0
    before = None
    connecting = connect(peer.target, **peer.options)
    await peer.take()
    async for connection in connecting:
        turns += 1
        try:
            connection.post_message({"echo": turns})
            assert await connection.receive() == {"echo": turns}
            if turns == 3:
                await count.settled()
                gc.collect()
                before = count.read().to_py()
            if turns == 103:
                break
            peer.expect_reload()
            peer.target.contentWindow.location.reload()
            await connection.receive()
        except PeerLostError:
            await peer.take()
    await count.settled()
    gc.collect()
    after = count.read().to_py()
    assert all(now <= then for now, then in zip(after, before, strict=True)), (after, before)
    connection.close()
    peer.close()
    count.undo()


@pytest.mark.parametrize("kind", ["same-origin", "cross-site", "popup"])
@run_in_pyodide
async def test_the_loop_ends_with_its_frame_or_window(selenium, peers, kind):
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer(kind, peers[kind])
    await peer.take()
    turns = 0
    async for connection in connect(peer.target, **peer.options):
        turns += 1
        peer.close()
        try:
            await connection.receive()
        except PeerLostError:
            continue
    assert turns == 1


@run_in_pyodide
async def test_a_window_that_was_closed_long_ago_is_still_a_closed_one(selenium, peers):
    import asyncio

    import pytest
    from peers import open_peer

    from pyodide_msgchan import HandshakeError, connect

    peer = await open_peer("popup", peers["popup"])
    await peer.run("return 1")
    peer.close()
    # Chrome takes its inside away some time after that, and tells nobody.
    for _ in range(100):
        if not hasattr(peer.target.window, "postMessage"):
            break
        await asyncio.sleep(0.005)
    async with asyncio.timeout(10):
        with pytest.raises(HandshakeError, match="closed"):
            await connect(peer.target, **peer.options)


@pytest.mark.parametrize("kind", ["same-origin", "popup"])
@run_in_pyodide
async def test_who_waits_for_a_frame_learns_that_it_is_gone(selenium, peers, kind):
    import asyncio

    import pytest
    from peers import open_peer

    from pyodide_msgchan import HandshakeError, HandshakeTimeoutError, accept, connect

    peer = await open_peer(kind, peers[kind])
    waiting = [
        asyncio.ensure_future(connect(peer.target, **peer.options)),
        asyncio.ensure_future(accept(source=peer.target, **peer.options)),
    ]
    await peer.run("return 1")
    peer.close()
    for task in waiting:
        with pytest.raises(HandshakeError, match="removed") as caught:
            await task
        assert not isinstance(caught.value, HandshakeTimeoutError)


@pytest.mark.parametrize("mute", [False, True])
@run_in_pyodide
async def test_a_load_that_may_be_the_own_one_is_asked_about(selenium, mute):
    import asyncio

    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import HandshakeTimeoutError, PeerLostError, connect

    frame = js.document.createElement("iframe")
    js.document.body.append(frame)
    with pytest.raises(HandshakeTimeoutError):  # for later ones this page holds its lock already
        await connect(frame, timeout=0.01)
    async with asyncio.timeout(20):
        connecting = asyncio.ensure_future(connect(frame))
        await asyncio.sleep(0)  # it hears, and sees the frame's load events, from here on
        frame.src = "/pages/late-hello.html"
        run_js("""(frame) => frame.addEventListener("load", () => {
            const until = performance.now() + 100;  // so that its hello is heard late
            while (performance.now() < until);
        }, { once: true })""")(frame)
        async with await connecting as connection:
            frame.contentWindow.mute = mute  # as another page in its place would be
            frame.dispatchEvent(js.Event.new("load"))
            if not mute:
                assert await connection.receive() == "asked"
                frame.dispatchEvent(js.Event.new("load"))  # never its own
            with pytest.raises(PeerLostError):
                await connection.receive()
        frame.remove()
