"""All that the package does, in a page whose Content-Security-Policy lets no text be evaluated."""

from contextlib import suppress

import js
from pyodide.code import run_js
from pyodide.ffi import JsException

from pyodide_msgchan import (
    MessageChannel,
    PeerClosedError,
    RemoteError,
    connect,
    expose,
    open_frame,
    post_to_window,
    window_messages,
    wrap,
)
from pyodide_msgchan.testing import CONTRACT, LINKED
from pyodide_msgchan.testing.round_trips import ROUND_TRIPS, same


async def values():
    """Send all kinds of values, and buffers so large that their memory is used again."""
    one, other = MessageChannel()
    async with one, other:
        for sent, expected in ROUND_TRIPS:
            one.post_message([sent])
            assert same(await other.receive(), [expected]), sent
        for _ in range(3):
            one.post_message(bytes(2**20))
            assert await other.receive() == bytes(2**20)


async def python_frame(address):
    """Connect to a frame in Python that stands under the same policy."""
    async with open_frame(address, name="messages", timeout=60) as connection:
        connection.post_message({"echo": (1, b"2")})
        assert await connection.receive() == {"echo": (1, b"2")}
        assert connection.lane == "packed"
        assert await connection.request("question") == "question"
        connection.set_high_water(messages=5)
        for i in range(50):
            await connection.drain()
            connection.post_message(i)
        assert [await connection.receive() for _ in range(50)] == list(range(50))

        here = str(js.location.origin)
        async with window_messages(origin=here, source=connection.source) as messages:
            post_to_window(connection.source, "window", origin=here)
            assert (await anext(messages)).data == "window"

        async with connect(connection.source, name="calls") as called:
            expose({"double": lambda n: 2 * n}, called)
            remote = wrap(called)
            seen = []
            assert await remote.each([1, 2], seen.append) == 2
            assert seen == [1, 2]
            assert [n async for n in remote.count(3)] == [0, 1, 2]
            assert await remote.ask_back(4) == 8
            with suppress(RemoteError):
                await remote.fail("no")
                raise AssertionError("nothing was raised")
        connection.post_message("close")
        with suppress(PeerClosedError):
            await connection.receive()
            raise AssertionError("it was not closed")


async def javascript_worker(address):
    """Connect to a worker with msgchan.mjs and Comlink that stands under the same policy."""
    worker = js.Worker.new(address, js.JSON.parse('{"type": "module"}'))
    async with connect(worker, timeout=20) as connection:
        remote = wrap(connection)
        assert await remote.add(1, 2) == 3
        seen = []
        await remote.call(seen.append, [1, {"two": 2}])
        assert seen == [[1, {"two": 2}]]
    worker.terminate()


with suppress(JsException):
    run_js("1")
    raise AssertionError("this page's policy is not strict")


async def make_pair():
    """Give two ports of one channel."""
    return tuple(MessageChannel())


for name, check in (CONTRACT | LINKED).items():
    js.document.title = name  # which a test that waits in vain tells
    await check(make_pair)
js.document.title = "values"
await values()
js.document.title = "a frame in Python"
await python_frame(query["frame"])  # noqa: F821
js.document.title = "a worker in JavaScript"
await javascript_worker(query["worker"])  # noqa: F821
