"""A page in Python whose frames and worker have Penpal as npm has it."""

import asyncio
import json
import sys
from pathlib import Path
from traceback import format_exception

import js
from pyodide.ffi import to_js
from pyodide.http import pyfetch

from pyodide_msgchan import (
    ANY_ORIGIN,
    OPAQUE_ORIGIN,
    HandshakeError,
    HandshakeTimeoutError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    assign,
    penpal,
    release,
    window_messages,
)
from pyodide_msgchan._bridge.callbacks import waiting_sinks

Path("penpal_peer.py").write_text(await (await pyfetch("penpal_peer.py")).string())
sys.path.append(".")
from penpal_peer import make_methods, run  # noqa: E402

NEAR, FAR = str(js.location.origin), query["far"]  # noqa: F821


class Frame:
    """A frame with Penpal, and what it tells past that."""

    def __init__(self, base=NEAR, *, sandbox=False, **more):
        self.element = js.document.createElement("iframe")
        if sandbox:
            self.element.sandbox = "allow-scripts"
        parts = js.URLSearchParams.new(to_js({"host": NEAR} | more, dict_converter=js.Map.new))
        self.element.src = f"{base}/pages/penpal-frame.html?{parts}"
        self.origin = OPAQUE_ORIGIN if sandbox else base
        self.messages = window_messages(origin=ANY_ORIGIN, source=self.element)
        js.document.body.append(self.element)

    async def told(self, words):
        """Wait until it has told that."""
        async for event in self.messages:
            if event.data.get("told") == words:
                return

    def connect(self, **options):
        return penpal.connect(self.element, **{"origin": self.origin, "timeout": 30} | options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.messages.close()
        self.element.remove()


async def error_of(awaitable):
    """Give the class of the error that it raises."""
    async with asyncio.timeout(10):
        try:
            return f"no error, but {await awaitable}"
        except Exception as error:
            return type(error)


def started():
    """Give a method that never returns, an event of its start, and one of its end."""
    here, left = asyncio.Event(), asyncio.Event()

    async def never():
        here.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    return never, here, left


async def table(connecting, peer):
    async with connecting as remote:
        peer.append(remote)
        there, here = {}, {}
        for case in cases:
            if "js" in case.get("to", "js"):
                there[case["id"]] = await run(remote, case["steps"])
            if "py" in case.get("to", "py"):
                here[case["id"]] = json.loads(await remote.run(json.dumps(case["steps"])))
    return there, here


async def tables():
    results = {}
    for name, how in {"same-origin": {}, "cross-site": {"base": FAR}}.items():
        peer = []
        with Frame(**how) as frame:
            done = await table(frame.connect(methods=make_methods(lambda: peer[0])), peer)  # noqa: B023
        results[f"{name} py js"], results[f"{name} js py"] = done
    peer = []
    options = to_js({"type": "module"}, dict_converter=js.Object.fromEntries)
    worker = js.Worker.new("penpal-worker.mjs", options)
    done = await table(penpal.connect(worker, methods=make_methods(lambda: peer[0])), peer)
    worker.terminate()
    results["worker py js"], results["worker js py"] = done
    return results


async def test_sandboxed():
    with Frame(sandbox=True) as frame:
        # Penpal posts to an opaque origin only if every one is allowed, which is its own affair.
        async with frame.connect() as remote:
            assert await remote.add(1, 2) == 3


async def test_destroyed_by_them():
    with Frame() as frame:
        remote = await frame.connect()
        pending, last = remote.never(), remote.destroy()
        assert await error_of(pending) is PeerClosedError
        assert await error_of(last) is PeerClosedError
        try:
            remote.add(1, 2)
        except PeerClosedError:
            return
        raise AssertionError("a call after the end")


async def test_destroyed_by_us():
    never, here, left = started()
    with Frame() as frame:
        remote = await frame.connect(methods={"never": never})
        await remote.callAndTell("never")
        await here.wait()
        pending = remote.never()
        await release(remote)
        assert await error_of(pending) is PortClosedError
        await left.wait()  # nobody waits for it
        await frame.told("CONNECTION_DESTROYED")
        await release(remote)  # once more is no error


async def test_reloaded():
    never, here, left = started()
    with Frame() as frame:
        times = 0
        async for remote in frame.connect(methods={"never": never}):
            times += 1
            assert await remote.add(1, 2) == 3
            if times == 3:
                break
            await remote.callAndTell("never")
            await here.wait()
            pending = remote.never()
            await remote.reload()
            assert await error_of(pending) is PeerLostError
            try:
                await remote.add(1, 2)
            except PeerLostError:
                pass
            else:
                raise AssertionError("a call between two pages")
            await left.wait()
        await release(remote)


async def test_removed():
    with Frame() as frame:
        times = 0
        async for remote in frame.connect():
            times += 1
            pending = remote.never()
            frame.element.remove()
            assert await error_of(pending) is PeerLostError
        assert times == 1
    with Frame() as frame:
        connecting = asyncio.ensure_future(error_of(frame.connect(channel="nobody's")))
        await asyncio.sleep(0)
        frame.element.remove()
        assert await connecting is HandshakeError


async def test_of_a_wrong_origin():
    with Frame(FAR) as frame:
        connecting = asyncio.ensure_future(opened(frame.connect(origin=NEAR, timeout=1)))
        (error,) = await asyncio.gather(connecting, return_exceptions=True)
        said = f"no Penpal from {NEAR} within 1 s; heard from {FAR}, which is not allowed"
        assert (type(error), str(error)) == (HandshakeTimeoutError, said)
        event = await anext(frame.messages)  # its SYN did come here
        assert (event.origin, event.data["type"]) == (FAR, "SYN")
    with Frame(host="https://else.example", timeout="500") as frame:  # it waits for another one
        assert await error_of(frame.connect(timeout=1)) is HandshakeTimeoutError
        await frame.told("CONNECTION_TIMEOUT")


async def test_windows_that_are_not_meant():
    with Frame(who="it") as frame, Frame(FAR, attack="1") as far, Frame(attack="1") as near:
        connecting = asyncio.ensure_future(opened(frame.connect(origin=[NEAR, FAR])))
        await far.told("attacked")
        await near.told("attacked")
        remote = await connecting
        assert await remote.who() == "it"
        with Frame(FAR, attack="1") as late:
            await late.told("attacked")
        assert await remote.who() == "it"
        await release(remote)


async def opened(connecting):
    return await connecting


async def test_nobody_there():
    frame = js.document.createElement("iframe")
    assert await error_of(penpal.connect(frame)) is HandshakeError  # it is in no document
    js.document.body.append(frame)
    assert await error_of(penpal.connect(frame, timeout=0.1)) is HandshakeTimeoutError
    waiting = asyncio.ensure_future(opened(penpal.connect(frame, timeout=None)))
    await asyncio.sleep(0)
    waiting.cancel()
    (gone,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    frame.remove()


async def test_channels_on_one_frame():
    with Frame(channels="a b") as frame:
        connecting = [opened(frame.connect(channel=channel)) for channel in "ab"]
        remotes = await asyncio.gather(*connecting)
        assert [await remote.channel() for remote in remotes] == ["a", "b"]
        await release(remotes[0])
        assert await remotes[1].channel() == "b"
        await release(remotes[1])


async def test_what_penpal_has_not():
    with Frame() as frame:
        async with frame.connect() as remote:
            calls = [
                remote,
                lambda: remote.add(a=1),
                lambda: assign(remote.version, 1),
                lambda: penpal.connect(3),
                lambda: penpal.connect(frame.element, channel=3),
            ]
            for call in calls:
                try:
                    call()
                except TypeError:
                    continue
                raise AssertionError(call)
            assert await error_of(remote.version) is TypeError


cases = json.loads(await (await pyfetch("penpal-cases.json")).string())
before = len(waiting_sinks)
results = {"tables": await tables()}
for name, test in list(globals().items()):
    if name.startswith("test_"):
        try:
            async with asyncio.timeout(30):
                await test()
            results[name] = "fine"
        except Exception as error:
            results[name] = "".join(format_exception(error))
results["more"] = len(waiting_sinks) - before
js.window.results = json.dumps(results)
