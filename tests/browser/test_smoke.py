"""The harness itself: the wheel runs in every runtime, and leaks are seen."""

import pytest
from pytest_pyodide import run_in_pyodide
from tools.pytest_runtimes import LeakError, no_leaks


@run_in_pyodide
def test_wheel_imports(selenium):
    import pyodide_msgchan

    assert pyodide_msgchan.__version__
    assert "site-packages" in pyodide_msgchan.__file__


@run_in_pyodide
async def test_message_crosses_a_native_channel(selenium):
    import asyncio

    from js import MessageChannel
    from pyodide.ffi import create_proxy, to_js

    channel = MessageChannel.new()
    arrived = asyncio.Event()
    messages = []

    def listen(event):
        messages.append(event.data.to_py())
        arrived.set()

    proxy = create_proxy(listen)
    channel.port2.onmessage = proxy
    channel.port1.postMessage(to_js([1, "two", {"three": [3, {"four": []}]}]))
    await arrived.wait()
    channel.port2.onmessage = None
    proxy.destroy()
    channel.port1.close()
    channel.port2.close()
    assert messages == [[1, "two", {"three": [3, {"four": []}]}]]


@run_in_pyodide
def leak(selenium):
    from js import globalThis
    from pyodide.ffi import create_proxy

    globalThis.leaked = create_proxy(lambda: None)


@pytest.mark.may_leak("shows that leaks are seen")
def test_leak_is_seen(selenium):
    with pytest.raises(LeakError, match="leaked 1 Python proxies"), no_leaks(selenium):
        leak(selenium)


@run_in_pyodide
def test_what_a_first_import_keeps_is_no_leak(selenium):
    import pyodide.http
    from js import fetch

    assert pyodide.http
    assert fetch
