"""Connections of a page in Python to frames, popups and workers: how they come about."""

import pytest
from pytest_pyodide import run_in_pyodide

KINDS = ["same-origin", "cross-site", "sandboxed", "popup", "worker"]

pytestmark = pytest.mark.needs_windows


@pytest.mark.parametrize("first", ["listener", "caller", "loading"])
@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_either_side_may_start_first(selenium, peers, kind, first):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import connect

    peer = await open_peer(kind, peers[kind])
    if first == "listener":
        await peer.take()
    elif first == "caller":
        await peer.run("return 1")
    connecting = asyncio.ensure_future(connect(peer.target, **peer.options))
    await asyncio.sleep(0)
    if first != "listener":
        await peer.take()
    async with await connecting as connection:
        connection.post_message({"echo": 1})
        assert await connection.receive() == {"echo": 1}
        assert await connection.request({"question": "q"}) == {"question": "q"}
        assert connection.peer.runtime == "javascript"
        origins = {"sandboxed": "null", "worker": None}
        assert connection.peer.origin == origins.get(kind, peer.origin)
        there = await peer.run(
            "const { peer } = await taking; return [peer.origin ?? '', peer.runtime]"
        )
        assert there[0] == peer.ours.get("origin", "")
        assert there[1].startswith("pyodide ")
    peer.close()


@pytest.mark.parametrize("first", ["listener", "caller"])
@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_the_other_side_connects(selenium, peers, kind, first):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import accept

    peer = await open_peer(kind, peers[kind])
    await peer.run("return 1")
    call = """
        globalThis.calling = connect(owner, args[0]).then(async ({ port, peer }) => {
            port.onmessage = ({ data }) => port.postMessage(data + 1);
            return peer.origin;
        });
        return 1;
    """
    if first == "caller":
        await peer.run(call, peer.ours)
    accepting = asyncio.ensure_future(accept(source=peer.target, **peer.options))
    await asyncio.sleep(0)
    if first == "listener":
        await peer.run(call, peer.ours)
    async with await accepting as connection:
        connection.post_message(41)
        assert await connection.receive() == 42
        assert await peer.run("return (await calling) ?? ''") == peer.ours.get("origin", "")
    peer.close()


@run_in_pyodide
async def test_listen_takes_frames_that_it_never_knew(selenium, peers):
    import js
    from peers import open_peer

    from pyodide_msgchan import OPAQUE_ORIGIN, listen

    kinds = ["same-origin", "cross-site", "sandboxed"]
    origins = [js.URL.new(peers["cross-site"]).origin, js.location.origin, OPAQUE_ORIGIN]
    frames = []
    async with listen(origin=origins, name="call") as callers:
        for kind in kinds:
            peer = await open_peer(kind, peers[kind])
            frames.append(peer)
            await peer.run(
                "globalThis.calling = connect(parent, args[0])"
                ".then(({ port }) => port.postMessage(args[1])); return 1",
                peer.ours | {"name": "call"},
                kind,
            )
        seen = {}
        for _ in kinds:
            connection = await anext(callers)
            seen[await connection.receive()] = connection
    assert set(seen) == set(kinds)
    for peer in frames:
        seen[peer.kind].post_message({"still": "open"})
        assert seen[peer.kind].source == peer.target.contentWindow
        seen[peer.kind].close()
        peer.close()


@run_in_pyodide
async def test_two_names_on_one_window(selenium, peers):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import connect

    peer = await open_peer("cross-site", peers["cross-site"])
    accept_both = """
        globalThis.both = args[1].map((name) => accept({ ...args[0], name }).then(({ port }) => {
            port.onmessage = ({ data }) => port.postMessage([name, data]);
        }));
        return 1;
    """
    connecting = [
        asyncio.ensure_future(connect(peer.target, name=name, **peer.options)) for name in "ab"
    ]
    await peer.run(accept_both, peer.ours, ["b", "a"])
    for name, connection in zip("ab", await asyncio.gather(*connecting), strict=True):
        async with connection:
            connection.post_message(1)
            assert await connection.receive() == [name, 1]
    peer.close()


@pytest.mark.driver_timeout(120)
@pytest.mark.parametrize("kind", ["same-origin", "cross-site"])
@run_in_pyodide
async def test_a_hundred_frames_at_once(selenium, peers, kind):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import connect

    frames = [await open_peer(kind, peers[kind]) for _ in range(100)]
    connecting = [
        asyncio.ensure_future(connect(peer.target, timeout=100, **peer.options)) for peer in frames
    ]
    await asyncio.gather(*(peer.take() for peer in frames))
    connections = await asyncio.gather(*connecting)
    for i, connection in enumerate(connections):
        connection.post_message({"echo": i + 1})
    assert [await connection.receive() for connection in connections] == [
        {"echo": i + 1} for i in range(100)
    ]
    for connection in connections:
        connection.close()
    for peer in frames:
        peer.close()


@pytest.mark.slow("the peer takes ten seconds")
@pytest.mark.driver_timeout(60)
@run_in_pyodide
async def test_a_peer_that_takes_ten_seconds_to_load(selenium, peers):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import connect

    peer = await open_peer("cross-site", peers["cross-site"] + "?_delay=10")
    connecting = asyncio.ensure_future(connect(peer.target, **peer.options))
    await peer.take()
    async with await connecting as connection:
        connection.post_message({"echo": "late"})
        assert await connection.receive() == {"echo": "late"}
    peer.close()


@run_in_pyodide
async def test_a_second_caller_is_told_at_once(selenium, peers):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import HandshakeError, HandshakeTimeoutError, connect

    peer = await open_peer("same-origin", peers["same-origin"])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        with pytest.raises(HandshakeError, match="already taken") as caught:
            await connect(peer.target, **peer.options)
        assert not isinstance(caught.value, HandshakeTimeoutError)
        connection.post_message({"echo": "still here"})
        assert await connection.receive() == {"echo": "still here"}
    peer.close()


@run_in_pyodide
async def test_ports_and_buffers_travel_through_a_connection(selenium, peers):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import DataCloneError, MessageChannel, connect

    peer = await open_peer("cross-site", peers["cross-site"])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        ours, theirs = MessageChannel()
        connection.post_message({"echo": 1, "bytes": b"x" * 100_000}, transfer=[])
        assert (await connection.receive())["bytes"] == b"x" * 100_000
        await peer.run(
            "connection.port.onmessage = ({ data, ports }) => ports[0].postMessage(data.tag)"
        )
        connection.post_message({"tag": "through"}, transfer=[theirs])
        assert await ours.receive() == "through"
        ours.close()
        for port in (connection, connection.js):
            with pytest.raises(DataCloneError, match="Connection"):
                connection.post_message(1, transfer=[port])
    peer.close()


@run_in_pyodide
async def test_frames_and_windows_are_opened_and_closed(selenium, peers):
    import js
    import pytest

    from pyodide_msgchan import OPAQUE_ORIGIN, HandshakeTimeoutError, open_frame, open_window

    accepting = "/pages/accepting.html?host=" + str(js.location.origin)
    before = js.document.querySelectorAll("iframe").length
    async with open_frame(accepting, attributes={"title": "a peer"}) as connection:
        assert js.document.querySelectorAll("iframe").length == before + 1
        assert connection.source.title == "a peer"
        connection.post_message("frame")
        assert await connection.receive() == "frame"
    sandboxed = open_frame(accepting, sandbox="allow-scripts", origin=OPAQUE_ORIGIN)
    async with sandboxed as connection:
        assert connection.peer.origin == "null"
    with pytest.raises(ValueError, match="OPAQUE_ORIGIN"):
        await open_frame(accepting, sandbox="allow-scripts").__aenter__()
    with pytest.raises(HandshakeTimeoutError):
        await open_frame(accepting, name="other", timeout=0.2).__aenter__()
    assert js.document.querySelectorAll("iframe").length == before
    async with open_window(accepting) as connection:
        window = connection.source
        connection.post_message("window")
        assert await connection.receive() == "window"
    assert window.closed


@run_in_pyodide
async def test_other_tasks_go_on_while_a_window_opens(selenium):
    import asyncio

    import js

    from pyodide_msgchan import MessageChannel, open_window

    async def talk():
        one, two = MessageChannel()
        async with one, two:
            for number in range(50):
                one.post_message(number)
                assert await two.receive() == number
        return "done"

    async def visit():
        address = f"/pages/accepting.html?host={js.location.origin}"
        async with open_window(address) as connection:
            return connection.closed

    async with asyncio.timeout(20):
        assert await asyncio.gather(talk(), visit(), talk()) == ["done", False, "done"]
