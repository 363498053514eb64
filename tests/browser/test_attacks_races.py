"""A page takes another one's place in the middle of a handshake, with its message still on the way.

`Scene` delays a message for as long as it takes the next page to come, in place of a slow machine;
it also holds a good connection beside each attack and checks it (see test_attacks.py).
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows


@run_in_pyodide
async def test_same_origin_takes_the_place_of_who_said_hello(selenium, scene):
    """It gets the offer, since it has the right origin, but it can't know the nonce."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        here.watch.hold("hello")
        await frame.run("say('hello', { nonce: 'secret' })")
        await here.watch.holds()
        await here.move(frame, scene["cross-site"])
        here.watch.release()
        stolen = await frame.run("""
            await until(() => given.some(({ length }) => length));
            const [offer] = heard;
            const [data, control] = given[0];
            control.postMessage({ type: "acceptance", nonce: offer.nonce ?? offer.id, ...about });
            await until(() => control.heard.length);
            return [Object.keys(offer).sort(), data.heard, control.heard];
        """)
        assert stolen == [
            ["id", "msgchan", "name", "to", "type"],
            [],
            [{"type": "refusal", "reason": "nonce"}],
        ]
        assert not task.done()
        await here.answer("connect", frame)
        async with await task as connection:
            assert await here.echo(connection)


@pytest.mark.parametrize("place", ["same-origin", "sandboxed"])
@run_in_pyodide
async def test_other_origin_takes_the_place_of_who_said_hello(selenium, scene, place):
    """No port reaches it, nor anything else."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("cross-site")
        task = await here.start("connect", frame, origin=frame.origin)
        here.watch.hold("hello")
        await frame.run("say('hello', { nonce: 'secret' })")
        await here.watch.holds()
        if place == "sandboxed":
            frame.target.sandbox = "allow-scripts"
        await here.move(frame, scene[place])
        here.watch.release()
        posts = await frame.run("attack({ nonce: 'secret' }); return posts();")
        evil = "null" if place == "sandboxed" else str(here.good.origin)
        assert here.count(frame, evil) == posts == 7
        assert await frame.run("return heard") == []
        frame.target.removeAttribute("sandbox")
        await here.move(frame, scene["cross-site"])
        await here.answer("connect", frame)
        async with await task as connection:
            assert await here.echo(connection)


@pytest.mark.parametrize("call", ["connect", "accept"])
@run_in_pyodide
async def test_named_origin_takes_the_place_of_an_opaque_page(selenium, scene, call):
    """What is said to an opaque page goes to whoever is there: without a port, and to no use."""
    from scene import Scene

    from pyodide_msgchan import OPAQUE_ORIGIN

    async with Scene(scene) as here:
        frame = await here.open_attacker("sandboxed")
        task = await here.start(call, frame, origin=OPAQUE_ORIGIN)
        first, answer = ("hello", "probe") if call == "connect" else ("probe", "hello")
        here.watch.hold(first)
        await frame.run("say(args[0], { nonce: 'secret', id: 'opaque' })", first)
        await here.watch.holds()
        frame.target.removeAttribute("sandbox")
        await here.move(frame, scene["cross-site"])
        here.watch.release()
        told, ports = await frame.run("""
            await until(() => heard.length);
            const [{ id, nonce }] = heard;
            globalThis.ends = [attack({ nonce }), attack({ nonce, to: id, id: "opaque" })];
            return [heard.map(({ type }) => type), given.flat().length];
        """)
        assert (told, ports) == ([answer], 0)
        assert here.count(frame, f"http://localhost:{scene['port']}") == 14
        frame.target.sandbox = "allow-scripts"
        heard = await frame.run(
            "return [heard.length, ...ends.flat().map((port) => port.heard.length)]"
        )
        assert heard == [1, 0, 0, 0, 0]
        await here.move(frame, scene["sandboxed"])
        await here.answer(call, frame)
        async with await task as connection:
            assert connection.peer.origin == "null"
            assert await here.echo(connection)


@run_in_pyodide
async def test_opaque_page_takes_the_place_of_one_that_made_an_offer(selenium, scene):
    """The ports of the first lead nowhere; the second is heard, and its own are taken."""
    from scene import Scene

    from pyodide_msgchan import OPAQUE_ORIGIN

    async with Scene(scene) as here:
        frame = await here.open_attacker("sandboxed")
        task = await here.start("connect", frame, origin=OPAQUE_ORIGIN)
        await frame.run("await until(() => heard.length)")
        here.watch.hold("offer")
        await frame.run("offer({ to: heard[0].id, id: 'first' })")
        await here.watch.holds()
        await here.move(frame, scene["sandboxed"])
        here.watch.release()
        await here.answer("connect", frame)
        async with await task as connection:
            assert connection.peer.runtime == "javascript"
            assert await here.echo(connection)


@pytest.mark.parametrize("call", ["accept", "listen"])
@run_in_pyodide
async def test_page_takes_the_place_of_one_that_made_an_offer(selenium, scene, call):
    """Whoever comes next is a new caller, and the one who went confirms no more."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start(call, frame)
        await frame.run("""
            say("probe");
            await until(() => heard.some(({ to }) => to === "evil"));
        """)
        here.watch.hold("offer")
        await frame.run("offer({ to: heard.at(-1).id })")
        await here.watch.holds()
        await here.move(frame, scene["same-origin"])
        here.watch.release()
        await here.answer(call, frame)
        async with await task as connection:  # of accept: once its patience is at an end
            assert connection.peer.runtime == "javascript"
            assert await here.echo(connection)
