"""Connections to one target under one name, one after the other: no end hinders the next."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

KINDS = ["same-origin", "cross-site", "sandboxed", "popup", "worker"]
LOOPS = {
    "waits for the end": "await closed;",
    "waits for the next caller": "",
}
#: In the peer: takes one connection after the other, and answers what comes.
ACCEPT = """
globalThis.count = 0;
globalThis.serving = (async () => {
    for (;;) {
        const { port, closed } = await accept(args[0]);
        count++;
        port.onmessage = ({ data }) => port.postMessage(data + 1);
        %s
    }
})().catch((error) => (globalThis.failed = `${error}`));
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", ["awaited", "entered", "iterated"])
@pytest.mark.parametrize("kind", KINDS)
def test_python_calls_a_loop_of_javascript(selenium, peers, kind, way, loop):
    _call_often(selenium, peers, kind, way, ACCEPT % LOOPS[loop])


@run_in_pyodide
async def _call_often(selenium, peers, kind, way, accepting):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import connect

    rounds = 50
    peer = await open_peer(kind, peers[kind])
    await peer.run(accepting, peer.ours)

    def target():
        return connect(peer.target, **peer.options)

    async def use(connection, number):
        connection.post_message(number)
        assert await connection.receive() == number + 1

    async with asyncio.timeout(60):
        if way == "iterated":
            number = 0
            async for connection in target():
                await use(connection, number)
                number += 1
                if number == rounds:
                    connection.close()
                    break
        for number in range(rounds):
            if way == "awaited":
                connection = await target()
                await use(connection, number)
                connection.close()
            elif way == "entered":
                async with target() as connection:
                    await use(connection, number)
    # One that waits while another handshake is under way may take it over: that one's end follows.
    count, failed = await peer.run("return [count, globalThis.failed]")
    assert count >= rounds
    assert failed is None
    peer.close()


@pytest.mark.parametrize("kind", KINDS)
@run_in_pyodide
async def test_javascript_calls_a_loop_of_python(selenium, peers, kind):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import accept

    rounds = 50
    peer = await open_peer(kind, peers[kind])
    calling = asyncio.ensure_future(
        peer.run(
            f"""
            for (let i = 0; i < {rounds}; i++) {{
                const {{ port, close }} = await connect(owner, args[0]);
                const answer = new Promise((got) => (port.onmessage = got));
                port.postMessage(i);
                port.postMessage("unread");
                if ((await answer).data !== i + 1) throw Error("a wrong answer");
                close();
            }}
            return "done";
            """,
            peer.ours,
        )
    )
    async with asyncio.timeout(60):
        for _ in range(rounds):
            connection = await accept(source=peer.target, **peer.options)
            connection.post_message(await connection.receive() + 1)
            await connection.wait_closed()  # one of its messages is never read
    assert await calling == "done"
    peer.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_javascript_calls_a_loop_of_javascript(host, kind, loop):
    got = host(
        f"""
        const peer = openPeer(...arguments);
        const allowed = peer.options() ? {{ origin: self.origin }} : {{}};
        await peer.run({ACCEPT % LOOPS[loop]!r}, allowed);
        for (let i = 0; i < 50; i++) {{
            const {{ port, close }} = await connect(peer.target, peer.options());
            const answer = collect(port, 1);
            port.postMessage(i);
            if ((await answer)[0] !== i + 1) return "a wrong answer";
            close();
        }}
        return await peer.run("return [count, globalThis.failed]");
        """,
        kind,
    )
    count, failed = got
    assert count >= 50
    assert failed is None


@pytest.mark.parametrize("kind", ["cross-site", "worker"])
@run_in_pyodide
async def test_who_comes_second_fails_at_once_however_many_were_there_before(selenium, peers, kind):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import HandshakeError, HandshakeTimeoutError, connect

    peer = await open_peer(kind, peers[kind])
    await peer.run("(async () => { for (;;) await (await accept(args[0])).closed; })()", peer.ours)
    for _ in range(3):
        async with connect(peer.target, **peer.options) as connection:
            with pytest.raises(HandshakeError, match="already taken") as caught:
                await connect(peer.target, **peer.options)
            assert caught.value.code == "taken"
            assert not isinstance(caught.value, HandshakeTimeoutError)
            assert not connection.closed
    peer.close()
