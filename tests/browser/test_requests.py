"""Requests and their replies, and ports that nobody holds any more."""

import pytest
from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_request_and_reply(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import DataCloneError, MessageChannel, PortClosedError, PortStateError

    one, two = MessageChannel()
    inner, passed = MessageChannel()
    async with one, two, inner:
        first = asyncio.create_task(one.request("first", transfer=[passed]))
        second = asyncio.create_task(one.request("second"))
        event, later = await two.receive_event(), await two.receive_event()
        assert (event.data, later.data) == ("first", "second")
        assert len(event.ports) == 2  # the reply port is the last
        later.reply({"two": 2})
        with pytest.raises(DataCloneError):
            event.reply(print)
        event.reply("one")
        with pytest.raises(PortClosedError):
            event.reply("again")
        assert await asyncio.gather(first, second) == ["one", {"two": 2}]
        event.ports[0].close()
        one.post_message("not a request")
        with pytest.raises(PortStateError, match="not a request"):
            (await two.receive_event()).reply(1)
        with pytest.raises(DataCloneError):
            await one.request(print)


@run_in_pyodide
async def test_request_answered_by_javascript(selenium):
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    native = NativeChannel.new()
    run_js("""port => {
        port.onmessage = ({ data, ports }) => ports.at(-1).postMessage({ answer: data.ask * 2 });
    }""")(native.port2)
    async with MessagePort(native.port1) as port:
        assert await port.request({"ask": 21}) == {"answer": 42}
    native.port2.close()


@run_in_pyodide
async def test_request_given_up_or_left_unanswered(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, PeerClosedError, PortClosedError

    one, two = MessageChannel()
    task = asyncio.create_task(one.request("never mind"))
    event = await two.receive_event()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    event.reply("to nobody")  # quietly
    unanswered = asyncio.create_task(one.request("anybody?"))
    await two.receive()
    two.close()
    with pytest.raises(PeerClosedError):
        await unanswered

    one, two = MessageChannel()
    task = asyncio.create_task(one.request("and this?"))
    event = await two.receive_event()
    one.close()
    with pytest.raises(PortClosedError) as caught:
        await task
    assert type(caught.value) is PortClosedError
    event.ports[0].close()


@run_in_pyodide
async def test_dropped_port_warns_and_its_partner_learns(selenium):
    import asyncio
    import gc
    import warnings

    import pytest

    from pyodide_msgchan import MessageChannel, PeerLostError

    one, two = MessageChannel()
    two.post_message("before")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del two
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "unclosed <MessagePort open>" in str(caught[0].message)
    assert await one.receive() == "before"
    with pytest.raises(PeerLostError):
        await one.receive()
    await asyncio.wait_for(one.wait_closed(), 5)


@pytest.mark.parametrize("reader", ["receive", "events", "on_message", "wait_closed"])
@run_in_pyodide
async def test_port_that_somebody_waits_on_is_kept(selenium, reader):
    import asyncio
    import gc
    import weakref

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    got = []
    done = asyncio.Event()

    async def wait(port):
        if reader == "receive":
            got.append(await port.receive())
        elif reader == "events":
            got.append((await anext(port.events())).data)
        else:
            await port.wait_closed()
            got.append("ended")
        done.set()

    if reader == "on_message":
        two.on_message(lambda event: (got.append(event.data), done.set()))
    else:
        asyncio.create_task(wait(two))  # noqa: RUF006 - that nobody else holds it is the point
        await asyncio.sleep(0)
    kept = weakref.ref(two)
    del two
    gc.collect()
    assert kept() is not None
    if reader == "wait_closed":
        one.close()
    else:
        one.post_message("ended")
    await done.wait()
    assert got == ["ended"]
    if kept() is not None:
        kept().close()
    one.close()


@pytest.mark.needs_windows
@run_in_pyodide
async def test_what_javascript_may_answer_is_waited_for(selenium, pair):
    import asyncio

    from packed_pair import connected
    from pyodide.code import run_js

    near, far = await connected()
    asked = asyncio.ensure_future(near.request("question"))
    event = await far.receive_event()
    native = event.js
    far.close()
    run_js("(event) => event.ports.at(-1).postMessage('late')")(native)
    assert await asked == "late"
    near.close()
