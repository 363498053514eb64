"""What a caller can get wrong: each is an error of ours that names the place, and harms nothing."""

import pytest
from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_values_that_can_not_be_sent(selenium):
    import datetime as dt
    import sys
    from array import array
    from dataclasses import dataclass
    from enum import Enum, IntEnum

    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import DataCloneError, MessageChannel

    @dataclass
    class Data:
        x: int = 1

    one, two = MessageChannel()
    inner, unlisted = MessageChannel()
    released = memoryview(b"gone")
    released.release()
    detached = js.ArrayBuffer.new(8)
    run_js("b => structuredClone(b, { transfer: [b] })")(detached)
    deep = {"rows": [1, 2, 3, {"callback": print}]}
    rows = [
        (print, "message", "function"),
        (deep, "message['rows'][3]['callback']", "function"),
        ([1, (2, {"k": [object()]})], "message[1][1]['k'][0]", "object"),
        ({(1, 2): [len]}, "message[(1, 2)][0]", "function"),
        ({1: {2: Data()}}, "message[1][2]", "Data"),
        ([Enum("Color", "RED").RED], "message[0]", "Color"),
        ([IntEnum("Level", "LOW").LOW], "message[0]", "Level"),
        ([dt.datetime(2026, 1, 1)], "message[0]", "naive"),  # noqa: DTZ001 - that is the point
        ([dt.date(2026, 1, 1)], "message[0]", "date"),
        ([1j], "message[0]", "complex"),
        ([range(3)], "message[0]", "range"),
        ([sys], "message[0]", "module"),
        ([int], "message[0]", "class int"),
        ([memoryview(bytes(4)).cast("B", (2, 2))], "message[0]", "2 dimensions"),
        ([array("w", "x")], "message[0]", "format"),
        ([released], "message[0]", "memoryview"),
        ({"b": [detached]}, "message['b'][0]", "JavaScript ArrayBuffer"),
        ([inner], "message[0]", "transfer list"),
        ([inner.js], "message[0]", "transfer list"),
        ({"a": run_js("() => 1")}, "message['a']", "JavaScript Function"),
        ({"a": [run_js("({ f() {} })")]}, "message['a'][0]", "JavaScript Object"),
        ([run_js("Symbol.iterator")], None, ""),
        ([run_js("Promise.resolve(1)")], None, ""),
        ([run_js("new WeakMap()")], "message[0]", "WeakMap"),
    ]
    if hasattr(js, "document"):
        rows.append(([0, js.document.body], "message[1]", "HTMLBodyElement"))
        rows.append(([js.window], None, ""))
    async with one, two, inner, unlisted:
        for message, path, words in rows:
            with pytest.raises(DataCloneError) as caught:
                one.post_message(message)
            error = caught.value
            assert path is None or error.path == path, (error.path, path)
            assert words in str(error)
            assert isinstance(error, TypeError)
            del caught, error
        for key in (print, Data, (1, print), frozenset([print])):
            with pytest.raises(DataCloneError, match="<key "):
                one.post_message({"a": {key: 1}})
            with pytest.raises(DataCloneError):
                one.post_message({1, key})
        one.post_message("a fence")
        assert await two.receive() == "a fence"  # and nothing before it


@run_in_pyodide
async def test_no_ports(selenium):
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    natives = [
        run_js(source) for source in ("({})", "new Map()", "globalThis", "new EventTarget()")
    ]
    for thing in (None, 5, "port", object(), *natives):
        with pytest.raises(TypeError, match="not a JavaScript MessagePort"):
            MessagePort(thing)


@run_in_pyodide
async def test_forged_ports(selenium):
    import pytest
    from pyodide.code import run_js
    from pyodide.ffi import JsProxy

    from pyodide_msgchan import DataCloneError, MessageChannel, MessagePort

    sources = [
        "({ get [Symbol.toStringTag]() { return 'MessagePort'; } })",
        "Object.create(MessagePort.prototype)",
        "Object.setPrototypeOf(() => 1, MessagePort.prototype)",
    ]
    dispatch = run_js("(p, data) => p.dispatchEvent(new MessageEvent('message', { data }))")
    one, two = MessageChannel()
    good, partner = MessageChannel()
    async with one, two, good, partner:
        two.start()
        for source in sources:
            forged = run_js(source)
            with pytest.raises(TypeError, match="not a JavaScript MessagePort"):
                MessagePort(forged)
            with pytest.raises(DataCloneError, match="not transferable") as caught:
                one.post_message(1, transfer=[good, forged])
            assert caught.value.path == "transfer[1]"
            del caught
            dispatch(two.js, run_js("v => ({ forged: v })")(forged))
            assert isinstance((await two.receive())["forged"], (dict, JsProxy))
        good.post_message("still ours")
        assert await partner.receive() == "still ours"


@run_in_pyodide
async def test_ports_of_another_window_are_ports(selenium):
    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    if not hasattr(js, "document"):
        pytest.skip("Node has no windows")
    frame = js.document.createElement("iframe")
    js.document.body.append(frame)
    native = run_js(
        "w => { const { port1, port2 } = new w.MessageChannel(); return [port1, port2]; }"
    )(frame.contentWindow)
    async with MessagePort(native[0]) as one, MessagePort(native[1]) as two:
        one.post_message("across")
        assert await two.receive() == "across"
    frame.remove()


@run_in_pyodide
async def test_transfer_lists(selenium):
    import pytest
    from js import ArrayBuffer
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import (
        DataCloneError,
        MessageChannel,
        MessagePort,
        PortClosedError,
        PortDetachedError,
    )

    one, two = MessageChannel()
    good, partner = MessageChannel()
    closed, _ = MessageChannel()
    closed.close()
    gone, stays = MessageChannel()
    native = NativeChannel.new()
    buffer, detached = ArrayBuffer.new(8), ArrayBuffer.new(8)
    run_js("b => structuredClone(b, { transfer: [b] })")(detached)
    async with one, two, good, partner, stays:
        one.post_message("moves it", transfer=[gone])
        rows = [
            ([good, good], DataCloneError, "transfer[1]", "twice"),
            ([good, good.js], DataCloneError, "transfer[1]", "twice"),
            ([buffer, buffer], DataCloneError, "transfer[1]", "twice"),
            ([good, buffer, one], DataCloneError, "transfer[2]", "through itself"),
            ([two], DataCloneError, "transfer[0]", "own partner"),
            ([good, closed], PortClosedError, None, "closed"),
            ([good, buffer, gone], PortDetachedError, None, "transferred"),
            ([good, b"bytes"], DataCloneError, "transfer[1]", "copied once"),
            ([buffer, 5], DataCloneError, "transfer[1]", "int"),
            ([good, run_js("({})")], DataCloneError, "transfer[1]", "transferable"),
            ([good, None], DataCloneError, "transfer[1]", "NoneType"),
        ]
        if run_js("'detached' in ArrayBuffer.prototype"):  # Node 20 can't tell
            rows.append(([good, buffer, detached], DataCloneError, "transfer[2]", "detached"))
        for transfer, kind, path, words in rows:
            with pytest.raises(kind) as caught:
                one.post_message({"message": 1}, transfer=transfer)
            assert words in str(caught.value), words
            assert path is None or caught.value.path == path
            del caught
        with pytest.raises(DataCloneError, match=r"message\['f'\]"):  # a good list, a bad message
            one.post_message({"f": run_js("() => 1")}, transfer=[good, buffer])
        with pytest.raises(DataCloneError):
            one.post_message(print, transfer=[good, native.port1, buffer])
        assert buffer.byteLength == 8
        good.post_message("still ours")
        assert await partner.receive() == "still ours"
        assert await two.receive() == "moves it"
        one.post_message({"now": buffer}, transfer=[good, buffer, native.port1])
        event = await two.receive_event()
        assert event.data == {"now": bytes(8)}
        assert buffer.byteLength == 0
        assert len(event.ports) == 2
        for port in event.ports:
            port.close()
        MessagePort(native.port2).close()


@run_in_pyodide
async def test_callbacks_that_can_not_be_called(selenium):
    import pytest

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        for subscribe in (two.on_message, two.on_message_error):
            for thing in (None, 5, "print"):
                with pytest.raises(TypeError, match="can't be called"):
                    subscribe(thing)
        one.post_message("kept")
        assert await two.receive() == "kept"


@run_in_pyodide
async def test_malformed_origins(selenium):
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import ANY_ORIGIN, OPAQUE_ORIGIN, post_to_window, window_messages

    spy = run_js("({ origins: [], postMessage(value, origin) { this.origins.push(origin); } })")
    malformed = ["", "*", "null", "app.example", "https://", "https://app.example/path"]
    malformed += ["https://a b", "https://user@app.example", "https://app.example:99999"]
    malformed += [
        "https://app.example?x",
        "https://-.example",
        "https://1.2.3.256",
        "https://[::g]",
    ]
    for origin in malformed:
        with pytest.raises(ValueError, match="is not an origin"):
            post_to_window(spy, 1, origin=origin)
        with pytest.raises(ValueError, match="is not an origin"):
            window_messages(origin=origin)
    with pytest.raises(ValueError, match="at least one"):
        window_messages(origin=[])
    for wrong in (None, 5):
        with pytest.raises(TypeError):
            post_to_window(spy, 1, origin=wrong)
    assert list(spy.origins) == []
    for origin in ("https://App.Example:443/", ANY_ORIGIN, OPAQUE_ORIGIN):
        post_to_window(spy, 1, origin=origin)
    assert list(spy.origins) == ["https://app.example", "*", "*"]
    for no_window in (run_js("({})"), run_js("[]")):
        with pytest.raises(TypeError, match="no postMessage"):
            post_to_window(no_window, 1, origin=ANY_ORIGIN)


@pytest.mark.needs_windows
@run_in_pyodide
async def test_hosts_are_what_the_browser_makes_of_them(selenium):
    import pytest
    from js import URL
    from pyodide.code import run_js

    from pyodide_msgchan import post_to_window, window_messages
    from pyodide_msgchan._origins import allowed_origins

    known = {
        "https://faß.de": "https://xn--fa-hia.de",
        "https://FASS.de.": "https://fass.de.",
        "http://127.1:80": "http://127.0.0.1",
        "http://0x7f.1": "http://127.0.0.1",
        "http://[::ffff:1.2.3.4]": "http://[::ffff:102:304]",
        "https://ex%61mple.com:443/": "https://example.com",
        "https://bücher.example:8443": "https://xn--bcher-kva.example:8443",
    }
    more = [
        "https://Σας.example",
        "https://a\u200cb.example",
        "https://नी\u200cकम.example",
        "https://ẞ.de",
    ]
    for origin in (*known, *more):
        try:
            expected = URL.new(origin).origin
        except Exception:  # noqa: BLE001 - what the browser refuses is refused here
            with pytest.raises(ValueError, match="not an origin"):
                allowed_origins(origin)
            continue
        assert known.get(origin, expected) == expected
        assert allowed_origins(origin) == {expected}, origin
    spy = run_js("({ origins: [], postMessage(value, origin) { this.origins.push(origin); } })")
    post_to_window(spy, 1, origin="https://faß.de")
    assert list(spy.origins) == ["https://xn--fa-hia.de"]
    window_messages(origin="https://faß.de").close()


@pytest.mark.needs_windows
@run_in_pyodide
async def test_an_origin_of_another_scheme_is_heard_but_posted_to_only_where_the_browser_can(
    selenium,
):
    import pytest
    from js import URL, document
    from pyodide.code import run_js

    from pyodide_msgchan import connect, post_to_window, window_messages

    spy = run_js("({ origins: [], postMessage(value, origin) { this.origins.push(origin); } })")
    frame = document.createElement("iframe")
    document.body.append(frame)
    for origin in (
        "app://localhost",
        "capacitor://localhost",
        "moz-extension://a-b-c",
        "ws://a.example",
    ):
        window_messages(origin=origin).close()
        if URL.new(origin).origin == origin:
            post_to_window(spy, 1, origin=origin)
            assert list(spy.origins)[-1] == origin
            continue
        for use in (post_to_window, connect):
            arguments = (spy, 1) if use is post_to_window else (frame,)
            with pytest.raises(ValueError, match="can't be posted to"):
                use(*arguments, origin=origin)
        assert origin not in list(spy.origins)
    frame.remove()


@pytest.mark.needs_windows
@run_in_pyodide
async def test_a_host_of_the_older_idna_is_not_let_in(selenium):
    import js
    from pyodide.code import run_js

    from pyodide_msgchan import window_messages

    post = run_js("""(origin, data) => dispatchEvent(new MessageEvent(
        "message", { origin, data, source: globalThis }))""")
    heard = []
    js.addEventListener(
        "message", run_js("(event) => (globalThis.hosts ??= []).push(event.origin)")
    )
    async with window_messages(origin="https://faß.de") as messages:
        post("https://fass.de", "wrong")
        post("https://xn--fa-hia.de", "right")
        heard.append((await anext(messages)).data)
    assert heard == ["right"]
    assert list(js.hosts)[-2:] == ["https://fass.de", "https://xn--fa-hia.de"]  # it did arrive
