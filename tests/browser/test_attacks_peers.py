"""A hostile peer on an established connection: what makes no sense is dropped, or ends itself.

`Scene` holds a good connection beside each attack and checks it (see test_attacks.py).
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

#: What a goodbye may say to have sent.
SENT = "2**53;2**53 - 1;1e308;Infinity;NaN;-1;1.5;10n**30n;'x';null;undefined;[3];{};true"
#: Lets the attacker be connected: as listener to `connect`, as caller to the others.
JOIN = {
    "connect": "globalThis.ends = await take({ nonce: 'secret' });",
    "accept": "globalThis.ends = await call();",
    "listen": "globalThis.ends = await call();",
}


@pytest.mark.parametrize("call,join", JOIN.items(), ids=JOIN)
@run_in_pyodide
async def test_junk_on_the_control_port(selenium, scene, call, join):
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start(call, frame, origin=[frame.origin, here.good.origin])
        await frame.run(join)
        async with await task as connection:
            told = await frame.run("""
                const [data, control] = ends;
                data.onmessage = ({ data: message }) => data.postMessage(message);
                let deep = 0;
                for (let i = 0; i < 400; i++) deep = { deep };
                const before = control.heard.length;
                const types = ["acceptance", "confirm", "refusal", "farewell", "hello", "pong"];
                types.push("probe");
                types.push("offer", "gone", "hidden", "restored", "__proto__", "x".repeat(1e6), "");
                const junk = [null, undefined, 1, NaN, 2n, "", [], ["goodbye"], {}, new Map(),
                    new Error("goodbye"), new Blob(["x"]), new Uint8Array(1e6), deep, /x/];
                for (const data of junk) control.postMessage(data);
                for (const type of [...junk, ...types]) {
                    control.postMessage({ type });
                    control.postMessage({ type, nonce: "secret", reason: "taken", ...about });
                }
                control.postMessage(JSON.parse('{"__proto__": {"type": "goodbye"}}'));
                control.postMessage(JSON.parse('{"constructor": {"prototype": {"polluted": 1}}}'));
                for (const count of [1, 2, 3]) {
                    const ports = Array.from({ length: count }, () => new MessageChannel().port2);
                    control.postMessage({ type: "offer", ports }, ports);
                }
                control.postMessage({ type: "ping", n: 7 });
                await until(() => control.heard.length > before);
                return control.heard.slice(before);
            """)
            assert told == [{"type": "pong", "n": 7}]
            assert await here.echo(connection)


@pytest.mark.parametrize("call,join", JOIN.items(), ids=JOIN)
@run_in_pyodide
async def test_pings(selenium, scene, call, join):
    """Each is answered with its number, and one without a number not at all."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start(call, frame, origin=[frame.origin, here.good.origin])
        await frame.run(join)
        async with await task as connection:
            told = await frame.run("""
                const [data, control] = ends;
                data.onmessage = ({ data: message }) => data.postMessage(message);
                const before = control.heard.length;
                const { port2 } = new MessageChannel();
                const odd = [undefined, null, "x".repeat(1e6), {}, [], new Blob(["x"]), /x/];
                for (const n of odd) control.postMessage({ type: "ping", n });
                control.postMessage({ type: "ping", n: port2 }, [port2]);
                for (let n = 0; n < 5000; n++) control.postMessage({ type: "ping", n });
                await until(() => control.heard.length >= before + 5000);
                const heard = control.heard.slice(before);
                return heard.every(({ type, n }, i) => type === "pong" && n === i);
            """)
            assert told
            assert await here.echo(connection)


@run_in_pyodide
async def test_marks_and_their_answers(selenium, scene):
    """Those that make no sense are dropped, and no flood of them is kept."""
    import asyncio

    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=[frame.origin, here.good.origin])
        await frame.run("""
            about.capabilities = ["credit"];
            globalThis.ends = await take({ nonce: 'secret' });
        """)
        async with await task as connection:
            connection.set_high_water(messages=2)
            connection.post_message({"nobody": "takes it"})
            connection.post_message({"nobody": "takes it"})
            waiting = asyncio.ensure_future(connection.drain())
            told = await frame.run("""
                const [data, control] = ends;
                const odd = [undefined, null, "1", true, -1, 0, 0.5, NaN, Infinity, 2 ** 53, 1e300,
                    -(10n ** 40n), 10n ** 40n, {}, [1], new Uint8Array(1e6), new Blob(["x"])];
                for (const type of ["mark", "taken"]) {
                    for (const n of odd) control.postMessage({ type, n });
                    for (let n = 3; n < 20_000; n++) control.postMessage({ type, n });
                    for (let n = 20_000; n > 2; n--) control.postMessage({ type, n });
                }
                control.postMessage({ type: "ping", n: 7 });
                await until(() => control.heard.some(({ type }) => type === "pong"));
                data.postMessage("one");
                return control.heard.filter(({ type }) => !["confirm", "pong"].includes(type));
            """)
            assert {(word["type"], word["n"]) for word in told} <= {("mark", 1), ("mark", 2)}
            assert await connection.receive() == "one"
            assert len(connection._control._ack_requests._pending) == 16
            assert len(connection._control.send_window._requests) <= 2
            assert not waiting.done()
            await frame.run("""
                const [data, control] = ends;
                data.onmessage = ({ data: message }) => data.postMessage(message);
                control.postMessage({ type: "taken", n: 2 });
            """)
            await waiting
            assert await here.echo(connection)
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=[frame.origin, here.good.origin])
        await frame.run("globalThis.ends = await take({ nonce: 'secret' })")
        async with await task as connection:
            await frame.run("""
                const [data, control] = ends;
                for (let n = 1; n <= 3; n++) data.postMessage(n);
                for (let n = 1; n <= 3; n++) control.postMessage({ type: "mark", n });
                control.postMessage({ type: "goodbye", sent: 3, reason: "close" });
            """)
            await connection.wait_closed()
            assert [message async for message in connection] == [1, 2, 3]


@pytest.mark.parametrize("sent", SENT.split(";"))
@run_in_pyodide
async def test_goodbye_that_counts_wrongly(selenium, scene, sent):
    """What came is delivered, then it is over, soon: the rest is not waited for for ever."""
    import pytest
    from scene import Scene

    from pyodide_msgchan import PeerClosedError, PeerLostError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        await frame.run("globalThis.ends = await take();")
        connection = await task
        await frame.run(f"""
            const [data, control] = ends;
            for (let i = 0; i < 3; i++) data.postMessage(i);
            control.postMessage({{ type: "goodbye", sent: {sent}, reason: "close" }});
            control.postMessage({{ type: "goodbye", sent: 0, reason: "pagehide" }});
            control.postMessage({{ type: "ping", n: 1 }});
        """)
        assert [await connection.receive() for _ in range(3)] == [0, 1, 2]
        with pytest.raises((PeerClosedError, PeerLostError)):
            await connection.receive()
        await connection.wait_closed()
        connection.close()


@run_in_pyodide
async def test_goodbye_that_counts_too_few(selenium, scene):
    """It ends at once; what had come by then is delivered."""
    import pytest
    from scene import Scene

    from pyodide_msgchan import PeerClosedError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        await frame.run("globalThis.ends = await take();")
        connection = await task
        connection.start()
        await frame.run("""
            const [data, control] = ends;
            for (let i = 0; i < 3; i++) data.postMessage(i);
            await new Promise((done) => setTimeout(done));
            control.postMessage({ type: "goodbye", sent: 1, reason: "close" });
            for (let i = 3; i < 1000; i++) data.postMessage(i);
            control.postMessage({ type: "goodbye", sent: 1000, reason: "close" });
        """)
        got = [message async for message in connection]
        assert got == list(range(len(got)))
        with pytest.raises(PeerClosedError):
            await connection.receive()


@run_in_pyodide
async def test_goodbye_while_something_waits(selenium, scene):
    """A receive and a request both end, with the peer that ends itself."""
    import asyncio

    import pytest
    from scene import Scene

    from pyodide_msgchan import PeerLostError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("accept", frame)
        await frame.run("globalThis.ends = await call();")
        connection = await task
        waiting = asyncio.gather(
            connection.receive(), connection.request("?"), connection.wait_closed(),
            return_exceptions=True,
        )  # fmt: skip
        await asyncio.sleep(0)
        await frame.run("""
            const [data, control] = ends;
            await until(() => data.heard.length);
            control.postMessage({ type: "farewell" });
            control.postMessage({ type: "goodbye", sent: -1, reason: { toString: "close" } });
            control.postMessage({ type: "confirm", ...about });
            data.close();
            control.close();
        """)
        received, answered, closed = await waiting
        assert type(received) is type(answered) is PeerLostError  # since it gave no good reason
        assert closed is None
        with pytest.raises(PeerLostError):
            connection.post_message("too late")


@run_in_pyodide
async def test_what_the_data_port_brings_is_the_users(selenium, scene):
    """Junk there is a message like any other, also what looks like the control port's."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        await frame.run("globalThis.ends = await take();")
        async with await task as connection:
            await frame.run("""
                const [data] = ends;
                data.onmessage = ({ data: message }) => data.postMessage(message);
                let deep = 0;
                for (let i = 0; i < 400; i++) deep = [deep];
                for (const type of ["goodbye", "acceptance", "farewell", "refusal"])
                    data.postMessage({ type, sent: 0, reason: "close" });
                data.postMessage(JSON.parse('{"__proto__": {"polluted": 1}}'));
                data.postMessage(deep);
                data.postMessage("x".repeat(1e7));
                data.postMessage("last");
            """)
            types = [(await connection.receive())["type"] for _ in range(4)]
            assert types == ["goodbye", "acceptance", "farewell", "refusal"]
            assert await connection.receive() == {"__proto__": {"polluted": 1}}
            deep, depth = await connection.receive(), 0
            while deep:
                deep, depth = deep[0], depth + 1
            assert depth == 400
            assert len(await connection.receive()) == 10**7
            assert await connection.receive() == "last"
            assert await here.echo(connection)


@run_in_pyodide
async def test_peer_that_says_no_farewell(selenium, scene):
    """This side is closed all the same; the native ports wait for it ten seconds, no longer."""
    import pytest
    from pyodide.code import run_js
    from scene import Scene

    from pyodide_msgchan import PortClosedError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        await frame.run("globalThis.ends = await take();")
        connection = await task
        timers = run_js("""(() => {
            const set = setTimeout, asked = [];
            globalThis.setTimeout = (f, ms, ...args) => (asked.push([f, ms]), set(f, ms, ...args));
            return {
                restore: () => (globalThis.setTimeout = set),
                long: () => asked.filter(([, ms]) => ms >= 10000),
            };
        })()""")
        connection.close()
        timers.restore()
        with pytest.raises(PortClosedError):
            await connection.receive()
        told = await frame.run("""
            const [, control] = ends;
            await until(() => control.heard.length > 1);
            const goodbye = { type: "goodbye", sent: 2 ** 60, reason: "close" };
            for (let i = 0; i < 3; i++) control.postMessage(goodbye);
            await until(() => control.heard.length > 4);
            return control.heard.slice(1);
        """)
        assert told == [
            {"type": "goodbye", "sent": 0, "answers": 0, "reason": "close"},
            *[{"type": "farewell"}] * 3,
        ]
        assert len(timers.long()) == 1
        assert await here.good.run("return 1") == 1
