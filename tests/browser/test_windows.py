"""Messages between windows: frames of three kinds and a popup, and what is refused."""

import pytest
from pytest_pyodide import run_in_pyodide


@pytest.fixture
def peers(pages):
    """The address of a plain page that does what it is asked, by the kind of its window."""
    return {
        "same-origin": "/pages/window-peer.html",
        "cross-site": pages.url("pages/window-peer.html", other=True),
        "sandboxed": pages.url("pages/window-peer.html"),
        "popup": pages.url("pages/window-peer.html", other=True),
    }


@pytest.mark.parametrize("kind", ["same-origin", "cross-site", "sandboxed", "popup"])
@run_in_pyodide
async def test_messages_and_ports_cross(selenium, peers, kind):
    import js
    import pytest

    from pyodide_msgchan import OPAQUE_ORIGIN, MessageChannel, post_to_window, window_messages

    if not hasattr(js, "document"):
        pytest.skip("Node has no windows")
    address = peers[kind]
    text = js.URL.new(address, js.location.href).origin
    if kind == "popup":
        target = window = js.window.open(address)
    else:
        target = js.document.createElement("iframe")
        if kind == "sandboxed":
            text = "null"
            target.sandbox = "allow-scripts"
        target.src = address
        js.document.body.append(target)
        window = target.contentWindow
    origin = OPAQUE_ORIGIN if text == "null" else text
    one, two = MessageChannel()
    async with window_messages(origin=origin, source=target) as messages, one:
        hello = await anext(messages)
        assert hello.data == {"hello": text}
        assert hello.origin == text
        assert hello.source == window
        post_to_window(target, {"do": "echo", "value": [1, b"x", {2: None}]}, origin=origin)
        assert (await anext(messages)).data == {"echo": [1, b"x", {2: None}]}
        post_to_window(window, {"do": "serve"}, origin=origin, transfer=[two])
        one.post_message(21)
        assert await one.receive() == 42
        if origin is not OPAQUE_ORIGIN:  # which has no other name than *
            lost, other = MessageChannel()
            post_to_window(target, {"do": "echo"}, origin="https://other.example", transfer=[lost])
            assert lost.closed
            other.close()
        post_to_window(target, {"do": "count"}, origin=origin)
        assert (await anext(messages)).data == {"heard": 3}
    target.close() if kind == "popup" else target.remove()


@pytest.mark.parametrize("by", ["origin", "source", "both"])
@run_in_pyodide
async def test_flood_of_a_stranger_leaves_nothing(selenium, peers, by):
    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import ANY_ORIGIN, post_to_window, window_messages

    if not hasattr(js, "document"):
        pytest.skip("Node has no windows")
    count = 10_000
    good_origin = js.location.origin
    evil_origin = js.URL.new(peers["cross-site"]).origin
    good, evil = (js.document.createElement("iframe") for _ in range(2))
    # A plain listener sees that the attack arrives.
    attack = run_js("""(origin, count) => new Promise(resolve => {
        let n = 0;
        addEventListener("message", function listen(event) {
            if (event.origin !== origin || !("flood" in event.data) || ++n < count) return;
            removeEventListener("message", listen);
            resolve(n);
        });
    })""")(evil_origin, count)
    heard = run_js("""(origin) => new Promise(resolve => {
        addEventListener("message", function listen(event) {
            if (event.origin !== origin) return;
            removeEventListener("message", listen);
            resolve();
        });
    })""")(evil_origin)
    allowed = {
        "origin": {"origin": [good_origin, "https://other.example"]},
        "source": {"origin": ANY_ORIGIN, "source": good},
        "both": {"origin": good_origin, "source": good},
    }[by]
    async with window_messages(**allowed) as messages:
        evil.src = peers["cross-site"]
        js.document.body.append(evil)
        await heard
        post_to_window(evil, {"do": "flood", "count": count}, origin=evil_origin)
        assert await attack == count
        assert messages.buffered == 0
        good.src = peers["same-origin"]
        js.document.body.append(good)
        event = await anext(messages)
        assert event.data == {"hello": good_origin}
        assert event.source == good.contentWindow
        assert messages.buffered == 0
    good.remove()
    evil.remove()


@pytest.mark.parametrize("end", ["close", "drop"])
@run_in_pyodide
async def test_end_takes_the_listener_off_the_window(selenium, end):
    import asyncio
    import gc

    import js
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import PortClosedError, post_to_window, window_messages

    if not hasattr(js, "document"):
        pytest.skip("Node has no windows")
    spy = run_js("""(() => {
        const listeners = new Set();
        const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
        globalThis.addEventListener = function (type, f, ...more) {
            listeners.add(f).add(type);
            add.call(this, type, f, ...more);
        };
        globalThis.removeEventListener = function (type, f, ...more) {
            listeners.delete(f);
            listeners.delete(type);
            remove.call(this, type, f, ...more);
        };
        const stop = () => {
            delete globalThis.addEventListener;
            delete globalThis.removeEventListener;
        };
        return { count: () => listeners.size, stop };
    })()""")
    try:
        messages = window_messages(origin=js.location.origin)
        assert spy.count() == 3  # one function, for messages and for those that can't be read
        post_to_window(js.window, "to myself", origin=js.location.origin)
        event = await anext(messages)
        assert (event.data, event.origin) == ("to myself", js.location.origin)
        if end == "close":
            waiting = asyncio.create_task(anext(messages))
            await asyncio.sleep(0)
            messages.close()
            messages.close()
            with pytest.raises(StopAsyncIteration):
                await waiting
            assert [event async for event in messages] == []
            with pytest.raises(PortClosedError):
                messages.on_message(print)
        else:
            await asyncio.sleep(0)  # out of the step that the message made, which holds it
            del messages
            gc.collect()
        assert spy.count() == 0
    finally:
        spy.stop()


@run_in_pyodide
async def test_listeners_on_a_window(selenium):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import post_to_window, window_messages

    if not hasattr(js, "document"):
        pytest.skip("Node has no windows")
    got, done = [], asyncio.Event()

    def listen(event):
        got.append(event.data)
        if len(got) == 2:
            done.set()

    async with window_messages(origin=js.location.origin, source=js.window) as messages:
        messages.on_message(listen)
        js.window.postMessage("from JavaScript", js.location.origin)
        post_to_window(js.window, ["from", "Python"], origin=js.location.origin)
        await done.wait()
    assert got == ["from JavaScript", ["from", "Python"]]
