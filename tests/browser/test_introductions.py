"""Introductions: by Python to pages without Python, and by hostile pages to Python."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows


@pytest.mark.parametrize("kinds", [("same-origin", "cross-site"), ("sandboxed", "worker")])
@run_in_pyodide
async def test_pages_without_python_take_introductions(selenium, peers, kinds):
    from peers import open_peer

    from pyodide_msgchan import connect, introduce

    opened, connections = [await open_peer(kind, peers[kind]) for kind in kinds], []
    for peer in opened:
        await peer.run(
            """
            globalThis.plain = [];
            globalThis.taking = new Promise((resolve) => {
                const onintroduction = (met, said) => resolve([met, said]);
                accept({ ...args[0], onintroduction }).then((connection) => {
                    globalThis.host = connection;
                    connection.port.onmessage = ({ data }) => plain.push(data);
                });
            });
            """,
            peer.ours,
        )
        connections.append(await connect(peer.target, **peer.options))
    introduce(*connections, {"meet": [1, None]})
    for connection in connections:
        connection.post_message("plain")
    told = [
        await peer.run("""
            const [met, said] = await taking;
            globalThis.met = met;
            met.port.postMessage(self.origin);
            return [said.meet[0], met.peer.origin ?? "", met.originVerified, met.peer.runtime];
        """)
        for peer in opened
    ]
    origins = ["null" if peer.kind == "sandboxed" else str(peer.origin) for peer in opened]
    claimed = [
        "" if peer.kind == "worker" else origin
        for peer, origin in zip(opened, origins, strict=True)
    ]
    assert told == [[1, claimed[1], False, "javascript"], [1, claimed[0], False, "javascript"]]
    heard = [
        await peer.run("""
            return new Promise((resolve) => (met.port.onmessage = ({ data }) => resolve(data)));
        """)
        for peer in opened
    ]
    assert heard == origins[::-1]
    await opened[0].run("met.close()")
    assert await opened[1].run("return (await met.closed).reason") == "closed"
    for peer, connection in zip(opened, connections, strict=True):
        assert await peer.run("return plain") == ["plain"]
        connection.close()
        peer.close()


@run_in_pyodide
async def test_a_page_that_takes_no_introductions_refuses_them(selenium, peers):
    from peers import open_peer

    from pyodide_msgchan import connect, introduce

    opened, connections = [await open_peer("same-origin", peers["same-origin"]) for _ in "ab"], []
    for peer, more in zip(
        opened, ("", "onintroduction: (met) => (globalThis.met = met)"), strict=True
    ):
        code = f"accept({{ ...args[0], {more} }}).then((one) => (globalThis.host = one));"
        await peer.run(code, peer.ours)
        connections.append(await connect(peer.target, **peer.options))
    introduce(*connections)
    reason = await opened[1].run("""
        while (!globalThis.met) await new Promise((resolve) => setTimeout(resolve));
        return (await met.closed).reason;
    """)
    assert reason == "closed"
    for peer, connection in zip(opened, connections, strict=True):
        connection.close()
        peer.close()


#: In an attacker's page that takes a connection: introduces somebody with the given words, and
#: gives the other ends of the ports.
HOSTILE = """
globalThis.ends = await take({ nonce: "secret" });
globalThis.claim = (fields, count = 2) => {
    const channels = Array.from({ length: count }, () => new MessageChannel());
    ends[1].postMessage(
        { type: "introduction", ...about, runtime: "pyodide 314.0.7", lock: "the app's own",
          capabilities: ["clone", "credit", "packs", "packed"], lane: "packed", ...fields },
        channels.map(({ port2 }) => port2));
    return channels.map(({ port1 }) => listen(port1));
};
"""


@pytest.fixture
def hostile():
    return HOSTILE


@pytest.mark.parametrize("claim", ["own origin", "worker", "opaque"])
@run_in_pyodide
async def test_nobody_passes_for_own_origin(selenium, scene, hostile, claim):
    """A cross-site page introduces itself as a page of this origin, and calls what fails."""
    import js
    from scene import Scene

    from pyodide_msgchan import expose, introduced
    from pyodide_msgchan._bridge.ffi import own_origin

    def fail():
        raise LookupError("what it says")

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        await frame.run(hostile)
        origin = {"own origin": own_origin(), "worker": None, "opaque": "null"}[claim]
        async with await task as connection:
            await frame.run("globalThis.met = claim({ origin: args[0] ?? null });", origin)
            async with await introduced(connection) as met:
                assert (met.peer.origin, met.origin_verified, met.lane) == (origin, False, "clone")
                assert met.source is None
                expose({"fail": fail}, met)
                answer = await frame.run("""
                    const [data, control] = met;
                    control.postMessage({ type: "lane", lane: "packed" });
                    data.postMessage({ id: "1", type: "APPLY", path: ["fail"], argumentList: [] });
                    await until(() => data.heard.length);
                    return JSON.stringify(data.heard[0]);
                """)
                assert "what it says" in answer  # the attack arrived
                assert "Traceback" not in answer
                assert "in fail" not in answer
                assert met.lane == "clone"
    held = js.navigator.locks.query
    assert "the app's own" not in js.JSON.stringify(await held())


@run_in_pyodide
async def test_malformed_introductions_are_refused(selenium, scene, hostile):
    import asyncio

    from scene import Scene

    from pyodide_msgchan import introduced

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        await frame.run(hostile)
        async with await task as connection:
            refused = await frame.run("""
                const odd = [1, "*", "", "https://a.example/", "HTTPS://A.example", [null], {}];
                odd.push("x".repeat(1e6));
                const all = odd.map((origin) => claim({ origin }));
                for (const count of [0, 1, 3, 40]) all.push(claim({ origin: null }, count));
                const own = new MessageChannel(), other = new MessageChannel();
                ends[1].postMessage({ type: "introduction", origin: null, message: own.port2 },
                    [own.port2, other.port2]);
                ends[1].postMessage({ type: "ping", n: 1 });
                await until(() => ends[1].heard.some(({ type }) => type === "pong"));
                const two = all.filter((ports) => ports.length > 1).map((ports) => ports[1]);
                await until(() => two.every(({ heard }) => heard.length));
                return two.every(({ heard }) => heard[0].type === "goodbye");
            """)
            assert refused
            waiting = asyncio.ensure_future(introduced(connection).__anext__())
            await frame.run("""
                const words = { lane: { packed: 1 }, message: 7 };
                globalThis.met = claim({ origin: "https://b.example", ...words });
                ends[0].postMessage("data");
            """)
            async with await waiting as met:
                assert (met.introduction, met.lane) == (7, "clone")
            assert await connection.receive() == "data"


@run_in_pyodide
async def test_a_flood_of_introductions_is_bounded(selenium, scene, hostile):
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        await frame.run(hostile)
        async with await task as connection:
            await frame.run("""
                globalThis.all = Array.from({ length: 1000 }, () => claim({ origin: null }));
                await until(() => all.slice(256).every(([, control]) => control.heard.length));
            """)
            assert len(connection._control.introductions) == 256
        await frame.run("await until(() => all.every(([, control]) => control.heard.length))")
