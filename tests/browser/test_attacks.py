"""Pages that are not the one that is waited for: other origins, other windows, other versions.

Each test shows that its attack arrived, and nothing came of it; `Scene` holds a good connection
beside it that still carries messages at the end, counts the listeners on the window, and sees that
no exception reached the event loop (see pages/scene.py, pages/attacker.mjs).
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

#: Host of the attacker, and what is allowed; None for this page's own origin, by default.
NEAR = {
    "another site": ("localhost", None),
    "another port": ("127.0.0.1", None),
    "another scheme": ("localhost", "https://localhost:{port}"),
    "a prefix, by its port": ("localhost", "http://localhost:{shorter}"),
    "a prefix, without its port": ("localhost", "http://localhost"),
    "a prefix, by its host": ("localhost.evil.localhost", "http://localhost:{port}"),
    "a suffix": ("evil.localhost", "http://localhost:{port}"),
    "the domain above": ("localhost", "http://app.localhost:{port}"),
    "a look-alike": ("xn--pp-6kc.localhost", "http://app.localhost:{port}"),
    "opaque": (None, None),
}


@pytest.mark.parametrize("near", NEAR.values(), ids=NEAR)
@run_in_pyodide
async def test_wrong_origin(selenium, scene, near):
    import js
    import pytest
    from scene import Scene, origin_text

    from pyodide_msgchan import HandshakeTimeoutError

    own, port = str(js.location.origin), scene["port"]
    host, allowed = near
    allowed = allowed and allowed.format(port=port, shorter=port[:-1])
    origin = {"origin": allowed} if allowed else {}
    async with Scene(scene) as here:
        if host is None:
            evil = await here.open_attacker("sandboxed")
        else:
            evil = await here.open_attacker(
                "cross-site", f"http://{host}:{port}/pages/msgchan-peer.html"
            )
            assert evil.origin == f"http://{host}:{port}"
        tasks = [
            await here.start(call, evil, name=call, timeout=0.5, **origin)
            for call in ("connect", "accept")
        ]
        listening = await here.start("listen", evil, name="listen", origin=[allowed or own, own])
        posts = await evil.run("""
            globalThis.ends = args.map((name) => attack({ name }));
            return posts();
        """, "connect", "accept", "listen")  # fmt: skip
        assert here.count(evil) == posts == 21
        for task, awaited in zip(tasks, ("accept", "connect"), strict=True):
            with pytest.raises(HandshakeTimeoutError) as caught:
                await task
            assert caught.value.heard == (origin_text(evil),)
            assert str(caught.value) == (
                f"no {awaited} from {allowed or own} within 0.5 s; "
                f"heard from {origin_text(evil)}, which is not allowed"
            )
        await here.answer("listen", here.good, "listen")
        async with await listening as connection:
            assert connection.peer.origin == own
            assert await here.echo(connection)
        assert await evil.run("return [heard, ends.flat().flatMap((port) => port.heard)]") == [
            [],
            [],
        ]


@run_in_pyodide
async def test_case_of_an_origin_does_not_matter(selenium, scene):
    """Browsers write every origin in lower case, so one in capitals is the same, and no attack."""
    from scene import Scene

    port = scene["port"]
    async with Scene(scene) as here:
        peer = await here.open("cross-site")
        for spelling in (f"HTTP://LocalHost:{port}", f"http://localhost:{port}/"):
            task = await here.start("connect", peer, origin=spelling, name=spelling)
            await here.answer("connect", peer, spelling)
            async with await task as connection:
                assert connection.peer.origin == f"http://localhost:{port}"
                assert await here.echo(connection)


@run_in_pyodide
async def test_wrong_origins_are_remembered_up_to_eight(selenium, scene):
    import pytest
    from scene import Scene

    from pyodide_msgchan import HandshakeTimeoutError

    async with Scene(scene) as here:
        frame = await here.open("same-origin")
        task = await here.start("connect", frame, timeout=5)
        hosts = [f"http://n{i}.localhost:{scene['port']}" for i in range(10)]
        for host in hosts:
            await here.move(frame, f"{host}/pages/msgchan-peer.html")
            await frame.run("attack()")
            assert here.count(frame, host) == 7
        with pytest.raises(HandshakeTimeoutError) as caught:
            await task
        assert caught.value.heard == tuple(hosts[:8])
        assert f"heard from {', '.join(hosts[:8])}, which are not allowed" in str(caught.value)


@run_in_pyodide
async def test_page_that_navigates_to_another_origin(selenium, scene):
    """While it is waited for, and when it is connected; it even knows what its predecessor did."""
    import pytest
    from scene import Scene

    from pyodide_msgchan import HandshakeTimeoutError, PeerLostError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        connected = await here.start("connect", frame, name="connected")
        await here.answer("connect", frame, "connected")
        tasks = {
            call: await here.start(call, frame, name=call)
            for call in ("connect", "accept", "listen")
        }
        late = await here.start("accept", frame, name="late", timeout=2)
        async with await connected as connection:
            assert await here.echo(connection)
            told = await frame.run("""
                await until(() => heard.some(({ name }) => name === "late"));
                return Object.fromEntries(heard.map((one) => [one.name, one]));
            """)
            assert {"connect", "accept"} < set(told)
            await here.move(frame, scene["cross-site"])
            evil = f"http://localhost:{scene['port']}"
            posts = await frame.run("""
                for (const name of ["connect", "accept", "listen", "late", "connected"]) {
                    const { id = "guess", nonce = "guess" } = args[0][name] ?? {};
                    attack({ name, nonce });
                    attack({ name, nonce, to: id, id: "more" });
                }
                return posts();
            """, told)  # fmt: skip
            assert here.count(frame, evil) == posts == 70
            with pytest.raises(PeerLostError):
                await connection.receive()
        with pytest.raises(HandshakeTimeoutError, match=f"heard from {evil}, which is not allowed"):
            await late
        assert await frame.run("return heard") == []
        await here.move(frame, scene["same-origin"])
        for call, task in tasks.items():
            await here.answer(call, frame, call)
            async with await task as connection:
                assert await here.echo(connection)


@pytest.mark.parametrize("where", ["sibling", "nested", "popup"])
@run_in_pyodide
async def test_right_origin_in_a_wrong_window(selenium, scene, where):
    """It even knows the ids and nonces. (`listen` hears every window: there the origin decides.)"""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        if where == "nested":
            evil = await here.open_nested(frame)
        else:
            kind = "same-origin popup" if where == "popup" else "same-origin"
            evil = await here.open_attacker(kind)
        tasks = {call: await here.start(call, frame, name=call) for call in ("connect", "accept")}
        told = await frame.run("await until(() => heard.length > 1); return heard;")
        posts = await evil.run("""
            globalThis.ends = [];
            for (const { name, id, nonce } of args[0]) {
                ends.push(attack({ name, nonce }), attack({ name, nonce, to: id, id: "more" }));
            }
            return posts();
        """, told)  # fmt: skip
        assert here.count(evil) == posts == 28
        for call, task in tasks.items():
            await here.answer(call, frame, call)
            async with await task as connection:
                assert await here.echo(connection)
        assert await evil.run("return [heard, ends.flat().flatMap((port) => port.heard)]") == [
            [],
            [],
        ]


@run_in_pyodide
async def test_window_that_is_gone_is_not_the_one_that_is_missing(selenium, scene):
    """In Firefox a message whose sender was removed has no source; nor has a removed frame one."""
    import js
    import pytest
    from pyodide.code import run_js
    from scene import Scene

    from pyodide_msgchan import HandshakeError, connect, window_messages

    async with Scene(scene) as here:
        frame = await here.open("same-origin")
        place = frame.target.parentNode
        frame.target.remove()
        with pytest.raises(HandshakeError) as refused:
            await connect(frame.target)
        assert refused.value.code == "detached"
        messages = window_messages(origin=str(js.location.origin), source=frame.target)
        before = here.watch.total()
        await run_js("""async (place) => {
            const evil = document.createElement("iframe");
            evil.srcdoc = "<p>";
            const loaded = new Promise((resolve) => (evil.onload = resolve));
            place.append(evil);
            await loaded;
            evil.contentWindow.eval(`
                const say = (type, fields) => parent.postMessage(
                    { msgchan: 1, type, name: "", id: "evil", nonce: "guess", ...fields }, "*");
                say("hello");
                say("hello", { msgchan: 2, id: "evil 2" });
                say("probe", { name: "accept" });
                say("probe", { name: "accept", msgchan: 2 });
            `);
            evil.remove();
        }""")(place)
        await here.watch.arrive(before + 4)
        assert messages.buffered == 0
        frame.expect_reload()
        place.append(frame.target)
        await frame.reloaded()
        own = (await anext(messages)).data  # those of the other frame would have come before it
        assert own == {"test": True, "ready": frame.origin}
        messages.close()
        connecting = await here.start("connect", frame)
        await here.answer("connect", frame)
        async with await connecting as connection:
            assert await here.echo(connection)


@run_in_pyodide
async def test_another_version(selenium, scene):
    import pytest
    from scene import Scene

    from pyodide_msgchan import VersionMismatchError

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        for attack in (
            "say('hello', { msgchan: 2 })",
            "say('refusal', { msgchan: 2, reason: 'version', to: heard.at(-1).id })",
        ):
            task = await here.start("connect", frame)
            before = here.count(frame)
            await frame.run(f"await until(() => heard.length); {attack}")
            assert here.count(frame) == before + 1
            with pytest.raises(
                VersionMismatchError, match=r"speaks version 1.*the other 2"
            ) as caught:
                await task
            assert (caught.value.ours, caught.value.theirs) == (1, 2)
        for call in ("accept", "listen"):
            task = await here.start(call, frame, name=call)
            answer = await frame.run("""
                say("probe", { name: args[0], msgchan: 2 });
                const found = () =>
                    heard.find(({ name, type }) => name === args[0] && type === "refusal");
                await until(found);
                return found();
            """, call)  # fmt: skip
            del answer["id"]
            assert answer == {
                "msgchan": 1,
                "type": "refusal",
                "name": call,
                "to": "evil",
                "reason": "version",
                "loaded": answer["loaded"],
            }
            await here.answer(call, frame, call)
            async with await task as connection:
                assert await here.echo(connection)


@run_in_pyodide
async def test_peer_that_never_answers(selenium, scene):
    import re

    import js
    import pytest
    from scene import Scene

    from pyodide_msgchan import HandshakeTimeoutError

    own = re.escape(str(js.location.origin))
    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        silences = {
            ("connect", "return 1"): "",
            ("connect", "say('hello', { name: args[0] })"): "answered and then fell silent",
            ("accept", "return 1"): "",
            ("accept", "say('probe', { name: args[0] }); await offered(args[0])"):
                "called and then fell silent",
        }  # fmt: skip
        await frame.run("""
            globalThis.offered = async (name) => {
                const found = () => heard.findLast((one) => one.name === name && one.to === "evil");
                await until(found);
                globalThis.called = offer({ name, to: found().id })[1];
                await until(() => called.heard.length);
            };
        """)
        for i, ((call, body), hint) in enumerate(silences.items()):
            task = await here.start(call, frame, name=str(i), timeout=0.5)
            await frame.run(body, str(i))
            other = "accept" if call == "connect" else "connect"
            why = hint and f"; a page of {own} {hint}"
            with pytest.raises(
                HandshakeTimeoutError, match=f"^no {other} from {own} within 0.5 s{why}$"
            ):
                await task
            if hint:  # it is told that it was given up
                await frame.run("""
                    const control = args[0] ? given.findLast(({ length }) => length)[1] : called;
                    await until(() => control.heard.some(({ type }) => type === "goodbye"));
                """, call == "connect")  # fmt: skip
