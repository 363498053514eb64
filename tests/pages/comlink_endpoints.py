"""Whatever in JavaScript has messages can be wrapped and exposed on, but for windows."""

import asyncio
import json

import js
from js import Comlink, Object, window
from pyodide.code import run_js

from pyodide_msgchan import MessagePort, RemoteError, expose, proxy, release, wrap


async def raised_by(function, *arguments):
    try:
        await function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


async def worker():
    native = js.Worker.new("comlink-worker.mjs", type="module")
    remote = wrap(native)
    assert wrap(native)._handle.client is remote._handle.client
    assert await remote.add(1, 2) == 3
    assert [await remote.increment() for _ in range(2)] == [1, 2]
    assert await remote.counter == 2
    assert await remote.call(lambda value: value * 2, [1]) == [1, 1]
    error = await raised_by(remote.fail)
    assert isinstance(error, RemoteError)
    assert isinstance(error, ValueError)
    assert (error.name, error.message) == ("RangeError", "out of it")
    assert "comlink-worker.mjs" in error.stack
    native.terminate()


BY_COMLINK = """async (Comlink, worker, often) => {
    const api = Comlink.wrap(worker);
    const [first, second] = await Promise.all([api.make(), api.make()]);
    const sums = await Promise.all(Array.from({ length: often }, (_, i) => api.add(i, 1)));
    if (!sums.every((sum, i) => sum === i + 1)) throw new Error(`wrong: ${sums}`);
    const results = [await first.up(1), await api.add(1, 2)];
    await second.up(0);
    first[Comlink.releaseProxy]();
    return JSON.stringify(results);
}"""


class Thing:
    def __init__(self):
        self.n = 0

    def up(self, by):
        self.n += by
        return self.n


async def shared_by_callers():
    """Comlink and Python call one worker, which calls back into Python."""
    native = js.Worker.new("comlink-worker.mjs", type="module")
    by_comlink = run_js(BY_COMLINK)
    assert json.loads(await by_comlink(Comlink, native, 1)) == [1, 3]
    remote = wrap(native)
    thing = await remote.make()
    assert await thing.up(1) == 2
    assert json.loads(await by_comlink(Comlink, native, 20)) == [3, 3]
    assert await thing.up(1) == 4
    expose({"add": lambda a, b: a + b, "make": lambda: proxy(Thing())}, native)
    assert await remote.ask() == [3, 1, 2]
    assert json.loads(await by_comlink(Comlink, native, 20)) == [5, 3]
    assert await thing.up(1) == 6
    assert "already" in str(await raised_by(lambda: expose({}, native)))
    native.terminate()


async def shared_by_both_sides():
    """Comlink and Python in a worker and in its page call each other by the same two objects."""
    native = js.Worker.new("comlink-shared-worker.mjs", type="module")
    await run_js("""(worker, Comlink) => new Promise((resolve, reject) => {
        worker.addEventListener("error", reject);
        worker.addEventListener("message", ({ data }) => data === "booted" && resolve());
        let n = 0;
        Comlink.expose({
            add: (a, b) => a + b,
            make: () => { let n = 0; return Comlink.proxy({ up: (by) => (n += by) }); },
        }, worker);
    })""")(native, Comlink)
    remote = wrap(native)
    by_comlink = run_js(BY_COMLINK)
    for often in (1, 1500):  # more than Python keeps on a port of its own
        assert json.loads(await by_comlink(Comlink, native, often)) == [1, 3]
        thing = await remote.make()
        assert await thing.up(5) == 5
        assert await remote.ask() == [3, 1, 2]
        assert await remote.askByPython() == [3, 1, 2]
        assert await thing.up(5) == 10
    assert await remote.kept() == 0
    native.terminate()


async def broadcast():
    ours, theirs = (js.BroadcastChannel.new("calls") for _ in range(2))
    Comlink.expose(run_js("({ add: (a, b) => a + b })"), theirs)
    assert await wrap(ours).add(40, 2) == 42
    channels = [js.BroadcastChannel.new("back") for _ in range(2)]
    expose({"add": lambda a, b: a + b}, channels[0])
    assert await Comlink.wrap(channels[1]).add(40, 2) == 42
    for channel in (ours, theirs, *channels):
        channel.close()


async def native_port():
    channel = js.MessageChannel.new()
    expose(lambda: "called", channel.port1)
    remote = wrap(channel.port2)
    assert await remote() == "called"
    await release(remote)
    MessagePort(channel.port1).close()
    MessagePort(channel.port2).close()


async def refused():
    frame = js.document.createElement("iframe")
    js.document.body.append(frame)
    for thing in (window, frame.contentWindow, frame, Object.new(), js.Array.new(), js.document):
        for use in (wrap, lambda thing: expose({}, thing)):
            error = await raised_by(use, thing)
            assert isinstance(error, TypeError)
            assert "connect()" in str(error)


async def all_of_them():
    checks = (refused, worker, shared_by_callers, shared_by_both_sides, broadcast, native_port)
    for check in checks:
        js.document.title = check.__name__  # which a test that waits in vain shows
        try:
            async with asyncio.timeout(30):
                await check()
        except TimeoutError as error:
            raise AssertionError(f"{check.__name__} did not end") from error


await all_of_them()
