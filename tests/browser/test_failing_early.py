"""What can't be connected to is said at once, with the reason as a code."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows

#: Workers that don't start, and whether an error with a text tells of it.
SCRIPTS = {
    "missing": ("/pages/there-is-none.mjs", False),
    "no script": ("data:text/javascript,let let = ;", False),
    "a missing import": ("data:text/javascript,import '/pages/there-is-none.mjs'", False),
    "raises": ("data:text/javascript,throw new TypeError('on purpose')", True),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.webkit
def test_a_worker_that_does_not_start(selenium, script):
    _fails(selenium, *SCRIPTS[script])


@run_in_pyodide
async def _fails(selenium, address, raises):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import HandshakeError, HandshakeTimeoutError, accept, connect

    for wait in (connect, lambda worker: accept(source=worker)):
        worker = js.Worker.new(address, type="module")
        async with asyncio.timeout(20):
            with pytest.raises(HandshakeError, match="the worker did not start: ") as caught:
                await wait(worker)
        error = caught.value
        assert not isinstance(error, HandshakeTimeoutError)
        assert error.code == "worker-failed"
        assert ("on purpose" in str(error)) == ("on purpose" in str(error.__cause__)) == raises
        worker.terminate()


@run_in_pyodide
async def test_a_worker_that_once_spoke_has_started_whatever_it_raises_later(selenium, peers):
    import asyncio

    import js
    from peers import open_peer

    from pyodide_msgchan import connect

    peer = await open_peer("worker", peers["worker"])
    await peer.take()
    async with asyncio.timeout(60), connect(peer.target) as connection:
        connecting = connect(peer.target, name="later")
        again = asyncio.ensure_future(connecting.__aenter__())
        await asyncio.sleep(0)  # this page has its lock already, so it hears from here on
        peer.target.dispatchEvent(js.ErrorEvent.new("error", message="of a listener"))
        await asyncio.sleep(0)
        assert connecting._driver._failure_timer is None
        await peer.run("accept({ name: 'later' })")
        (await again).close()
        assert not connection.closed
    peer.close()


@run_in_pyodide
async def test_a_frame_in_no_document_and_a_closed_window(selenium, peers):
    import asyncio

    import js
    import pytest
    from peers import open_peer

    from pyodide_msgchan import HandshakeError, accept, connect

    popup = await open_peer("popup", peers["popup"])
    await popup.run("return 1")
    popup.close()
    for _ in range(1000):
        if popup.target.closed:
            break
        await asyncio.sleep(0.01)
    frame = js.document.createElement("iframe")
    host = js.document.createElement("div")
    shadow = host.attachShadow(mode="closed")
    inner = js.document.createElement("iframe")
    shadow.append(inner)
    for target, code in ((frame, "detached"), (inner, "detached"), (popup.target, "gone")):
        for wait in (connect, lambda source, **options: accept(source=source, **options)):
            async with asyncio.timeout(10):
                with pytest.raises(HandshakeError) as caught:
                    await wait(target, origin=popup.origin)
            assert caught.value.code == code


@run_in_pyodide
async def test_a_window_that_would_be_out_of_reach(selenium):
    import pytest

    from pyodide_msgchan import HandshakeError, open_window

    for features in ("noopener", "popup,width=100,NoReferrer", "noopener = 1 popup"):
        with pytest.raises(HandshakeError, match="nobody can connect to") as caught:
            await open_window("/pages/accepting.html", features=features).__aenter__()
        assert caught.value.code == "no-opener"


@run_in_pyodide
async def test_a_blocked_window(selenium):
    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import HandshakeError, open_window

    run_js("globalThis.trueOpen = globalThis.open; globalThis.open = () => null")
    try:
        with pytest.raises(HandshakeError, match="blocked the window") as caught:
            await open_window("/pages/accepting.html", features="noopener=0").__aenter__()
    finally:
        run_js("globalThis.open = trueOpen")
    assert caught.value.code == "blocked"


@pytest.mark.parametrize("script", SCRIPTS)
def test_javascript_and_a_worker_that_does_not_start(host, script):
    address, raises = SCRIPTS[script]
    got = host(
        """
        const worker = new Worker(arguments[2], { type: "module" });
        const { code, message, cause } = await failure(connect(worker, { timeout: 20 }));
        worker.terminate();
        return [code, message, cause?.message ?? ""];
        """,
        "worker",
        address,
    )
    assert got[0] == "worker-failed"
    assert all(("on purpose" in text) == raises for text in got[1:])


def test_javascript_and_what_is_not_there(host):
    got = host(
        """
        const [kind, address] = arguments;
        const codeOf = async (promise) => (await failure(promise)).code;
        const frame = document.createElement("iframe");
        const codes = [await codeOf(connect(frame)), await codeOf(accept({ source: frame }))];
        const host = document.createElement("div");
        host.attachShadow({ mode: "open" }).append(frame);
        codes.push(await codeOf(connect(frame)));
        document.body.append(host);
        const waiting = codeOf(connect(frame));
        host.remove();
        codes.push(await waiting, await codeOf(accept()));
        const peer = openPeer(kind, address);
        const first = accept({ source: peer.target, timeout: 0.2 });
        codes.push(await codeOf(accept({ source: peer.target })), await codeOf(first));
        codes.push(await codeOf(accept({ source: peer.target, timeout: 0.1 })));
        return codes;
        """,
        "same-origin",
    )
    assert got == [
        *["detached"] * 3,
        "gone",
        "no-owner",
        "name-in-use",
        "timeout",
        "timeout",
    ]
