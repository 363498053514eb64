"""Whatever in JavaScript has messages can be wrapped and exposed on, but for windows."""

import asyncio

import js
from js import Comlink, Object, window
from pyodide.code import run_js

from pyodide_msgchan import MessagePort, RemoteError, expose, release, wrap


async def raised_by(function, *arguments):
    try:
        await function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


async def worker():
    native = js.Worker.new("comlink-worker.mjs", type="module")
    remote = wrap(native)
    assert wrap(native)._hold.link is remote._hold.link
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
    for check in (refused, worker, broadcast, native_port):
        async with asyncio.timeout(10):
            await check()


await all_of_them()
