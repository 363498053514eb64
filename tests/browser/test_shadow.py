"""Frames in other trees than the document's: in shadow roots, and in frames of this origin."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

KINDS = ["same-origin", "cross-site"]
#: Puts a frame somewhere, and gives what holds it: [to go, the frame].
PLACES = {
    "shadow": """(frame) => {
        const host = document.createElement("div");
        host.attachShadow({ mode: "closed" }).append(frame);
        document.body.append(host);
        return [host, frame];
    }""",
    "nested": """(frame) => {
        const hosts = [1, 2, 3].map(() => document.createElement("div"));
        hosts.forEach((host, i) =>
            host.attachShadow({ mode: "open" }).append(hosts[i + 1] ?? frame));
        const around = document.createElement("section");
        around.append(hosts[0]);
        document.body.append(around);
        return [around, frame];
    }""",
    "moved": """(frame) => {
        const [outer, inner] = [1, 2].map(() => document.createElement("div"));
        const root = outer.attachShadow({ mode: "open" });
        inner.attachShadow({ mode: "open" }).append(frame);
        document.body.append(inner, outer);
        globalThis.moveOn = () => root.moveBefore?.(inner, null);
        return [outer, frame];
    }""",
    "frame": """(frame) => {
        const outer = document.createElement("iframe");
        document.body.append(outer);
        const host = outer.contentDocument.createElement("div");
        host.attachShadow({ mode: "open" }).append(frame);
        outer.contentDocument.body.append(host);
        return [outer, frame];
    }""",
    "navigated": """(frame) => {
        const outer = document.createElement("iframe");
        document.body.append(outer);
        outer.contentDocument.body.append(frame);
        return [{ remove: () => (outer.src = "/pages/echo-origin.html") }, frame];
    }""",
}


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.webkit
def test_a_frame_goes_with_what_holds_it(selenium, peers, kind, place, busy):
    _goes(selenium, peers, kind, PLACES[place], place == "moved", busy)


@run_in_pyodide
async def _goes(selenium, peers, kind, place, moves, busy):
    import asyncio

    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import HandshakeError, PeerLostError, connect

    address = str(js.URL.new("/pages/in-a-tree.html", js.URL.new(peers[kind], js.location.href)))
    origin = str(js.URL.new(address).origin)
    frame = js.document.createElement("iframe")
    frame.src = address
    around, _ = run_js(place)(frame)
    async with asyncio.timeout(20):
        connection = await connect(frame, origin=origin)
        connection.post_message("first")
        assert await connection.receive() == "first"
        if moves and hasattr(js.Element.prototype, "moveBefore"):
            page = frame.contentWindow
            run_js("moveOn()")
            if frame.contentWindow != page:  # Firefox loads it anew
                with pytest.raises(PeerLostError):
                    await connection.receive()
                connection = await connect(frame, origin=origin)
            connection.post_message("moved")  # else it lives on, in other trees
            assert await connection.receive() == "moved"
        elif moves:
            around = frame
        if busy:
            connection.post_message("busy")
            assert await connection.receive() == "busy"
        waiting = [
            asyncio.ensure_future(connection.receive()),
            asyncio.ensure_future(connection.request("never")),
            asyncio.ensure_future(connection.wait_closed()),
            asyncio.ensure_future(connect(frame, origin=origin, name="another")),
        ]
        await asyncio.sleep(0)
        around.remove()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results[:3]] == [PeerLostError, PeerLostError, type(None)]
    assert type(results[3]) is HandshakeError
    assert results[3].code == "gone"
    with pytest.raises(PeerLostError):
        await connection.receive()
    with pytest.raises(HandshakeError) as caught:
        await connect(frame, origin=origin)
    assert caught.value.code == "detached"


@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_by_its_window_a_frame_in_a_shadow_root_is_the_same_place(selenium, peers, kind):
    import asyncio

    import js
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PeerLostError, connect

    peer = await open_peer(kind, peers[kind])
    host = js.document.createElement("div")
    host.attachShadow(mode="open").append(peer.target)
    js.document.body.append(host)
    await peer.run("(async () => { for (;;) await (await accept(args[0])).closed; })()", peer.ours)
    async with asyncio.timeout(20):
        for target in [peer.target, peer.target.contentWindow] * 3:
            async with connect(target, **peer.options) as connection:
                assert connection.source == target
        connection = await connect(peer.target.contentWindow, **peer.options)
        host.remove()
        with pytest.raises(PeerLostError):
            await connection.receive()


@pytest.mark.parametrize("place", ["document", "shadow"])
@run_in_pyodide
async def test_a_live_frame_that_is_appended_anew_loads_anew(selenium, peers, place):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import PeerLostError, connect

    address = str(js.URL.new("/pages/in-a-tree.html", js.URL.new(peers["cross-site"])))
    origin = str(js.URL.new(address).origin)
    frame, host = js.document.createElement("iframe"), js.document.createElement("div")
    frame.src = address
    js.document.body.append(frame, host)
    target = host if place == "document" else host.attachShadow(mode="open")
    async with asyncio.timeout(30):
        connection = await connect(frame, origin=origin)
        connection.post_message("busy")
        assert await connection.receive() == "busy"
        target.append(frame)
        with pytest.raises(PeerLostError):
            await connection.receive()
        async with connect(frame, origin=origin) as connection:
            connection.post_message("again")
            assert await connection.receive() == "again"
    host.remove()
