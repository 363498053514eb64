"""What a page of another site can't read is an error at whoever waits for it."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = [pytest.mark.needs_windows, pytest.mark.driver_timeout(60)]


def test_calls(selenium, pages):
    address = pages.url("pages/python.html", other=True, run="serve_unreadable.py")
    call(selenium, address, pages.other_origin)


def test_requests(selenium, pages):
    address = pages.url("pages/python.html", other=True, run="serve_unreadable.py")
    ask(selenium, address, pages.other_origin)


def test_answers_of_comlink(selenium, pages):
    address = pages.url("pages/comlink-frame.html", other=True)
    call_comlink(selenium, address, pages.other_origin)


@run_in_pyodide
async def call(selenium, address, origin):
    import asyncio
    import re

    import js
    import pytest
    from pyodide.ffi import to_js

    from pyodide_msgchan import MessageError, RemoteError, connect, open_frame, register_type, wrap

    class There:
        pass

    register_type(There, lambda _: None, lambda _: There(), name="registered in the page alone")
    module = js.WebAssembly.Module.new(to_js(bytes([0, 97, 115, 109, 1, 0, 0, 0])))

    async def raised(awaitable):
        with pytest.raises(MessageError) as caught:
            await asyncio.wait_for(awaitable, 10)
        return str(caught.value)

    async def answers(remote, what, reason):
        for answer in (remote.get(what), remote.later(what)):
            assert reason in await raised(answer)
        many = [remote.add(n, n) if n % 5 else remote.get(what) for n in range(20)]
        for number, answer in enumerate(many):
            if number % 5:
                assert await answer == 2 * number
            else:
                assert reason in await raised(answer)
        with pytest.raises(RemoteError, match=reason) as caught:
            await remote.call(lambda value: value, what)
        assert caught.value.name == "MessageError"

    async def arguments(remote, bad, reason):
        before = await remote.taken()
        for answer in (remote.take(bad), remote.take(1, [bad], key=lambda: None)):
            assert re.match(f"on the other side .*{reason}", await raised(answer))
        assert reason in await raised(remote.take(key=bad))
        assert await remote.taken() == before
        assert "other side" in await raised(remote.each([1, bad], lambda row: row))

    async def items(remote, what, reason):
        iterator = await remote.items(what)
        assert await anext(iterator) == 1
        assert reason in await raised(anext(iterator))
        assert await anext(iterator) == 3
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)
        iterator = await remote.items_and_error(what)
        assert await anext(iterator) == 1
        with pytest.raises((MessageError, RemoteError)):
            await anext(iterator)

    clone = {"origin": origin, "name": "calls clone", "lane": "clone", "timeout": 50}
    async with (
        open_frame(address, **clone) as plain,
        connect(plain.source, origin=origin, name="calls packed", lane="packed") as packed,
    ):
        assert (plain.lane, packed.lane) == ("clone", "packed")
        for connection, what in ((plain, "module"), (packed, "module"), (packed, "type")):
            bad = module if what == "module" else There()
            reason = "messageerror" if what == "module" else "is not registered here"
            remote = wrap(connection)
            await answers(remote, what, reason)
            await arguments(remote, bad, reason)
            await items(remote, what, reason)
            assert await remote.add(1, 2) == 3


@run_in_pyodide
async def ask(selenium, address, origin):
    import asyncio

    import js
    import pytest
    from pyodide.ffi import to_js

    from pyodide_msgchan import MessageError, connect, open_frame, register_type

    class There:
        pass

    register_type(There, lambda _: None, lambda _: There(), name="registered in the asking page")
    module = js.WebAssembly.Module.new(to_js(bytes([0, 97, 115, 109, 1, 0, 0, 0])))

    async def raised(awaitable):
        with pytest.raises(MessageError) as caught:
            await asyncio.wait_for(awaitable, 10)
        return str(caught.value)

    clone = {"origin": origin, "name": "asks clone", "lane": "clone", "timeout": 50}
    async with (
        open_frame(address, **clone) as plain,
        connect(plain.source, origin=origin, name="asks packed", lane="packed") as packed,
    ):
        for connection, what in ((plain, "module"), (packed, "module"), (packed, "type")):
            assert await connection.request("echo") == "echo"
            await raised(connection.request(what))
            good = [asyncio.ensure_future(connection.request(n)) for n in range(3)]
            bad = module if what == "module" else There()
            assert (await raised(connection.request([bad]))).startswith("on the other side ")
            assert await asyncio.gather(*good) == [0, 1, 2]


@run_in_pyodide
async def call_comlink(selenium, address, origin):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import MessageChannel, MessageError, post_to_window, window_messages, wrap

    frame = js.document.createElement("iframe")
    async with window_messages(origin=origin) as messages:
        frame.src = address
        js.document.body.append(frame)
        assert (await anext(messages)).data == "ready"
    here, there = MessageChannel()
    told, tell = MessageChannel()
    async with here, told:
        message = {"root": "api"}
        post_to_window(frame.contentWindow, message, origin=origin, transfer=[there, tell])
        await told.receive()
        remote = wrap(here)
        with pytest.raises(MessageError, match="messageerror"):
            await asyncio.wait_for(remote.module(), 10)
        calls = [remote.module(), remote.add(1, 2), remote.later(3), remote.module()]
        assert await calls[1] == 3
        assert await calls[2] == 3
        for number in (0, 3):
            with pytest.raises(MessageError, match="messageerror"):
                await asyncio.wait_for(calls[number], 10)
        assert await remote.add(3, 4) == 7
    frame.remove()
