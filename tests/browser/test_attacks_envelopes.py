"""The window that is waited for sends what is no handshake: forged, replayed, truncated, too much.

`Scene` holds a good connection beside each attack and checks it (see test_attacks.py).
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

CALLS = ["connect", "accept", "listen"]


@pytest.mark.parametrize("call", CALLS)
@run_in_pyodide
async def test_malformed_envelopes(selenium, scene, call):
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        origin = [frame.origin, here.good.origin]
        task = await here.start(call, frame, origin=origin)
        posts, getters = await frame.run("""
            const type = args[0] === "connect" ? "hello" : "probe";
            const nothing = [null, undefined, 1, "text", [], {}, new Map(), new Error("e"), 1n];
            for (const data of nothing) post(data);
            const whole = { msgchan: 1, type, name: "", id: "id", nonce: "nonce", loaded: -1 };
            for (const key of ["msgchan", "type", "name", "id", "nonce"]) {
                const { [key]: _, ...rest } = whole; // truncated
                post(rest);
                for (const odd of [undefined, null, {}, [1], 1.5, true, 2n, new Date(), NaN])
                    post({ ...whole, [key]: odd });
                post({ ...whole, [key]: "x".repeat(1e6) }); // oversized
                post({ ...whole, [key]: "x".repeat(201) });
            }
            for (const to of ["another", 1, {}, "x".repeat(201)]) post({ ...whole, to });
            for (const name of ["other", "constructor", "__proto__", "toString"])
                post({ ...whole, name });
            for (const type of ["constructor", "__proto__", "offer", "HELLO", "goodbye", ""])
                post({ ...whole, type });
            for (const reason of ["taken", "odd", {}, 1]) say("refusal", { to: "guess", reason });
            // Prototypes: an own field of that name is what arrives, and it is no prototype.
            const evil = JSON.stringify({ ...whole, polluted: 1 });
            for (const key of ["__proto__", "constructor", "prototype"])
                post(JSON.parse(`{"${key}": ${evil}}`));
            post(JSON.parse(`{"constructor": {"prototype": ${evil}}}`));
            // Nested as deep as this browser can send it, in a field that nobody reads, and in one.
            let deep = 0;
            for (let i = 0; i < 400; i++) deep = { deep };
            post({ ...whole, msgchan: deep });
            post({ ...whole, name: "deep", deep });
            for (let i = 0; i < 50_000; i++) deep = [deep];
            try {
                post({ ...whole, name: "deep", deep });
            } catch {} // not in Chrome
            // Getters run where the message is made.
            let ran = 0;
            post({ ...whole, name: "getter", get msgchan() { return ++ran; } });
            return [posts(), ran];
        """, call)  # fmt: skip
        assert getters == 1
        assert posts >= 90
        assert here.count(frame) == posts
        assert not task.done()
        await here.answer(call, frame)
        async with await task as connection:
            assert await here.echo(connection)


@run_in_pyodide
async def test_extra_fields_change_nothing(selenium, scene):
    """What is right but for fields of no meaning is heard."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        await frame.run("""
            let deep = 0;
            for (let i = 0; i < 400; i++) deep = { deep };
            const fields = '{"__proto__": {"polluted": 1}, "constructor": {"polluted": 1}}';
            const extra = "x".repeat(1e6);
            const [data] = await take({ ...JSON.parse(fields), deep, loaded: "yesterday", extra });
            data.onmessage = ({ data: message }) => data.postMessage(message);
        """)
        async with await task as connection:
            assert connection.peer.runtime == "evil"
            assert await here.echo(connection)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("count", [0, 1, 3, 40])
@run_in_pyodide
async def test_offer_with_another_number_of_ports(selenium, scene, call, count):
    """Also to a caller: one that waits for an opaque page is made the offer."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("sandboxed" if call == "connect" else "same-origin")
        origin = {"origin": [frame.origin, here.good.origin]}
        task = await here.start(call, frame, **origin)
        await frame.run("""
            const [call, count] = args;
            if (call === "listen") say("probe");
            await until(() => heard.length);
            globalThis.ends = offer({ to: heard[0].id }, count);
        """, call, count)  # fmt: skip
        assert here.count(frame) == 1 + (call == "listen")
        assert not task.done()
        told = await frame.run("""
            const [, control] = offer({ to: heard[0].id, id: "right" });
            await until(() => control.heard.length);
            control.postMessage({ type: "confirm", ...about });
            return ends.flatMap((port) => port.heard);
        """)
        assert told == []
        async with await task as connection:
            assert connection.peer.runtime == "evil"


@run_in_pyodide
async def test_forged_acceptance(selenium, scene):
    """Who takes an offer without the nonce of who was greeted is refused, and both ports close."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        forged, answers = await frame.run("""
            const nonces = ["guess", "", undefined, null, 1, ["secret"], { toString: "secret" },
                "secret ", "SECRET", "x".repeat(1e6)];
            const answers = [];
            for (const [i, nonce] of nonces.entries()) {
                const before = given.filter(({ length }) => length).length;
                say("hello", { id: `id${i}`, nonce: "secret" });
                const offers = () => given.filter(({ length }) => length);
                await until(() => offers().length > before);
                const [, control] = offers().at(-1);
                const types = [{}, ["acceptance"], "confirm", "farewell", "ping", "pong", "gone"];
                for (const junk of [null, 1, "acceptance", [], {}]) control.postMessage(junk);
                for (const type of types)
                    control.postMessage({ type, nonce: "secret", n: 1, ...about });
                control.postMessage({ type: "acceptance", nonce, ...about });
                await until(() => control.heard.length);
                control.postMessage({ type: "acceptance", nonce: "secret", ...about }); // too late
                answers.push(control.heard);
            }
            return [nonces.length, answers];
        """)
        assert answers == [[{"type": "refusal", "reason": "nonce"}]] * forged
        assert here.count(frame) == forged
        assert not task.done()
        await here.answer("connect", frame)
        async with await task as connection:
            assert connection.peer.runtime == "javascript"
            assert await here.echo(connection)


@pytest.mark.parametrize("call", ["accept", "listen"])
@run_in_pyodide
async def test_replayed_offers(selenium, scene, call):
    """One id is good for one connection; and `accept` for one caller."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start(call, frame)
        await frame.run("""
            say("probe");
            await until(() => heard.some(({ to }) => to === "evil"));
            globalThis.to = heard.at(-1).id;
            globalThis.first = offer({ to });
            globalThis.second = offer({ to });
            await until(() => first[1].heard.length);
            first[1].postMessage({ type: "confirm", ...about });
            first[0].onmessage = ({ data }) => first[0].postMessage(data);
            globalThis.third = offer({ to });
        """)
        async with await task as connection:
            assert await here.echo(connection)
            told = await frame.run("""
                globalThis.another = offer({ to, id: "another" });
                if (args[0] === "accept") await until(() => another[1].heard.length);
                return [second, third].map(([, control]) => control.heard);
            """, call)  # fmt: skip
            assert told == [[], []]
            told = await frame.run("return another[1].heard")
            if call == "accept":
                assert told == [{"type": "refusal", "reason": "taken", "sent": 0}]
            assert here.count(frame) == 5
            assert await here.echo(connection)


@run_in_pyodide
async def test_thief_in_the_accepting_page(selenium, scene):
    """It is first at the ports of an offer that was made to another, and gets nothing by them."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        stolen = await frame.run("""
            say("hello", { nonce: "secret" });
            await until(() => given.some(({ length }) => length));
            const [data, control] = given.find(({ length }) => length);
            control.postMessage({ type: "acceptance", nonce: "thief", ...about });
            control.postMessage({ type: "acceptance", nonce: "secret", ...about }); // the right one
            await until(() => control.heard.length);
            return [data.heard, control.heard];
        """)
        assert stolen == [[], [{"type": "refusal", "reason": "nonce"}]]
        assert here.count(frame) == 1
        assert not task.done()
        await here.answer("connect", frame)
        async with await task as connection:
            assert await here.echo(connection)


@pytest.mark.parametrize("alive", [True, False])
@run_in_pyodide
async def test_second_accept_in_a_connected_page(selenium, scene, alive):
    """It gets no offer; and the first is not given up for it, if only it is still there."""
    import pytest
    from scene import Scene

    from pyodide_msgchan import PeerLostError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("connect", frame)
        await frame.run("globalThis.ends = await take();")
        async with await task as connection:
            before = here.count(frame)
            asked = await frame.run("""
                const [data, control] = ends;
                data.onmessage = ({ data: message }) => data.postMessage(message);
                const before = control.heard.length;
                for (let i = 0; i < 1000; i++) say("hello", { id: `second ${i}` });
                await until(() => control.heard.length > before);
                return control.heard.slice(before);
            """)
            assert asked == [{"type": "ping", "n": 0}]
            assert here.count(frame) == before + 1000
            assert await frame.run("return given.filter(({ length }) => length).length") == 1
            if not alive:
                with pytest.raises(PeerLostError):
                    await connection.receive()
                return
            await frame.run("""
                const [, control] = ends;
                control.postMessage({ type: "pong", n: 0 });
                control.postMessage({ type: "ping", n: 1 });
                await until(() => control.heard.some(({ type }) => type === "pong"));
            """)
            assert connection._control._timer is None
            assert await here.echo(connection)
