"""Floods: what is not heard leaves nothing, what is heard is bounded, and others get through.

`Scene` holds a good connection beside each attack and checks it (see test_attacks.py).
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = [pytest.mark.needs_windows, pytest.mark.driver_timeout(120), pytest.mark.timeout(600)]


@pytest.mark.parametrize("stranger", [True, False])
@run_in_pyodide
async def test_hundred_thousand_messages(selenium, scene, stranger):
    """From a stranger's window, and from the one that is waited for: nothing grows."""
    import gc
    import sys

    import js
    from scene import Scene

    count = 100_000
    async with Scene(scene, limit=100) as here:
        frame = await here.open("same-origin")
        evil = await here.open_attacker("cross-site") if stranger else frame
        if not stranger:
            await here.arm(frame)
        tasks = {
            call: await here.start(call, frame, name=call)
            for call in ("connect", "accept", "listen")
        }

        async def flood(count):
            """Words of the handshake, for the most part, each of which lacks something."""
            await evil.run("""
                const [count, stranger] = args;
                const kinds = [
                    { type: "hello", name: stranger ? "connect" : "other" },
                    { type: "probe", name: stranger ? "accept" : "other" },
                    { type: "probe", name: stranger ? "listen" : "LISTEN" },
                    { type: "hello", name: "connect", nonce: stranger ? "nonce" : 1 },
                    { type: "refusal", name: "connect", to: "guess", reason: "taken" },
                    { type: "offer", name: "accept", to: "guess" },
                    { type: "offer", name: "listen", to: "guess" },
                    { type: "hello", name: "connect", id: stranger ? "id" : "" , nonce: {} },
                    { type: "hello", name: "connect", to: "guess" },
                    { msgchan: "1", rows: [1, 2, 3], text: "x".repeat(200) },
                ];
                for (let i = 0; i < count; i++)
                    say("", { id: `id ${i}`, ...kinds[i % kinds.length] });
            """, count, stranger)  # fmt: skip

        def state():
            gc.collect()
            import pyodide_js

            module = pyodide_js._module
            return sys.getallocatedblocks(), module.hiwire.num_keys(), module.pyproxy_alloc_map.size

        await flood(1000)
        blocks, references, proxies = state()
        before = here.count(evil)
        began = js.performance.now()
        await flood(count)
        seconds = (js.performance.now() - began) / 1000
        assert here.count(evil) == before + count
        grown, references_now, proxies_now = state()
        assert grown - blocks < 500
        assert references_now <= references
        assert proxies_now <= proxies
        assert seconds < 60
        assert await here.echo(here.beside)
        assert not any(task.done() for task in tasks.values())
        for call, task in tasks.items():
            await here.answer(call, frame, call)
            async with await task as connection:
                assert await here.echo(connection)


@pytest.mark.parametrize("kind", ["hello", "probe", "offer"])
@run_in_pyodide
async def test_flood_of_words_that_are_heard(selenium, scene, kind):
    """Right in all but the meaning: new listeners, new callers and offers, by the thousand."""
    import gc
    import sys

    from scene import Scene

    count = 2000
    async with Scene(scene, limit=100) as here:
        frame = await here.open_attacker("same-origin")
        call = "connect" if kind == "hello" else "listen"
        task = await here.start(call, frame)

        async def flood(count, word):
            await frame.run("""
                const [kind, count, word] = args;
                const before = heard.length;
                if (kind === "offer") {
                    say("probe");
                    await until(() => heard.length > before);
                    const to = heard.at(-1).id;
                    const made = Array.from({ length: count }, (_, i) =>
                        offer({ to, id: `${word} ${i}` }));
                    for (const [, control] of made) await until(() => control.heard.length);
                    return;
                }
                for (let i = 0; i < count; i++) say(kind, { id: `${word} ${i}` });
                await until(() => heard.length >= before + count); // answered, each of them
            """, kind, count, word)  # fmt: skip

        await flood(600, "first")
        gc.collect()
        blocks = sys.getallocatedblocks()
        before = here.count(frame)
        await flood(count, "second")
        assert here.count(frame) == before + count + (kind == "offer")
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 2000
        assert not task.done()
        assert await here.echo(here.beside)
        await here.answer(call, frame)
        async with await task as connection:
            assert connection.peer.runtime == "javascript"
            assert await here.echo(connection)


@run_in_pyodide
async def test_rival_that_never_confirms(selenium, scene):
    """It holds `accept` up for some seconds, and no longer; at most eight wait behind it."""
    from scene import Scene

    async with Scene(scene) as here:
        frame = await here.open_attacker("same-origin")
        task = await here.start("accept", frame)
        told = await frame.run("""
            say("probe");
            await until(() => heard.some(({ to }) => to === "evil"));
            const to = heard.at(-1).id;
            globalThis.ends = Array.from({ length: 12 }, (_, i) => offer({ to, id: `id ${i}` }));
            await until(() => ends[11][1].heard.length);
            const told = ends.map(([, { heard }]) => heard.map(({ type }) => type));
            await until(() => ends[1][1].heard.length); // its turn
            const [data, control] = ends[1];
            control.postMessage({ type: "confirm", ...about });
            data.onmessage = ({ data: message }) => data.postMessage(message);
            await until(() => ends[8][1].heard.length);
            return [told, ends.map(([, { heard }]) => heard.map(({ type }) => type))];
        """)
        taken = ["refusal"]
        assert told == [
            [["acceptance"], *[[]] * 8, *[taken] * 3],
            [["acceptance", "goodbye"], ["acceptance"], *[taken] * 10],
        ]
        async with await task as connection:
            assert await here.echo(connection)
