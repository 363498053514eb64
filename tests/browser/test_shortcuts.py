"""The short cuts that make messages fast, and what they must not break."""

import pytest
from pytest_pyodide import run_in_pyodide

both_ways = pytest.mark.parametrize("stack_switching", [True, False])


@run_in_pyodide
async def test_a_call_that_may_suspend_waits_for_no_turn(selenium):
    import asyncio

    import pyodide_js
    import pytest
    from pyodide.code import run_js
    from pyodide.ffi import can_run_sync

    from pyodide_msgchan import MessageChannel

    if not run_js("'Suspending' in WebAssembly"):
        pytest.skip("this engine can't suspend: it has no WebAssembly.Suspending")
    one, two = MessageChannel()

    async def echo():
        async for message in two:
            assert can_run_sync()
            two.post_message(message)

    async with one, two:
        echoing = asyncio.create_task(echo())
        await asyncio.sleep(0)
        spy = run_js("""(api) => {
            const before = api.scheduleCallback, spy = {turns: 0};
            api.scheduleCallback = (...args) => { spy.turns++; return before(...args); };
            spy.end = () => { api.scheduleCallback = before; };
            return spy;
        }""")(pyodide_js._module.API)
        try:
            for number in range(100):
                one.post_message(number)
                assert await one.receive() == number
        finally:
            spy.end()
        assert spy.turns < 10
        one.close()
        await echoing


@both_ways
@run_in_pyodide
async def test_event_that_python_made_waits_for_a_turn(selenium, stack_switching):
    import asyncio

    from js import MessageEvent, Object

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    async with one, two:
        task = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        made = Object.fromEntries([["data", "made here"]])
        two.js.dispatchEvent(MessageEvent.new("message", made))  # while this task runs
        assert not task.done()
        assert await task == "made here"


@both_ways
@run_in_pyodide
async def test_lone_values_arrive_as_in_company(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    values = [
        "", "a", "\0", "é", "\U0001f600", "\ud800", "x\udfff", "\U0001f600" * 128, "y" * 256,
        "z" * 257, "\U0001f600" * 200, True, False, 0, -1, 2**31, 2**53 - 1, -(2**53) + 1, 2**53,
        2**70, 0.5, 2.0, 1e300, float("inf"), None,
    ]  # fmt: skip
    async with one, two:
        for value in values:
            for sent in (value, [value]):
                receiving = asyncio.create_task(two.receive())
                await asyncio.sleep(0)
                one.post_message(sent)
                if sent is value:
                    lone = await receiving
                else:
                    assert [lone] == await receiving
                    assert [type(lone)] == [type(value) if value != 2.0 else int]
                    assert lone == value


@both_ways
@run_in_pyodide
async def test_lone_value_keeps_its_event(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel(stack_switching=stack_switching)
    async with one, two:
        first = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        second = asyncio.create_task(two.receive_event())
        await asyncio.sleep(0)
        mine, theirs = MessageChannel()
        one.post_message("first")
        one.post_message("second", transfer=[theirs])
        assert await first == "first"
        event = await second
        assert event.data == "second"
        assert len(event.ports) == 1
        event.reply("reply")
        assert await mine.receive() == "reply"
        mine.close()


@both_ways
@run_in_pyodide
async def test_more_ports_than_flags(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel
    from pyodide_msgchan._bridge import bridge as bridge_module

    channels = [
        MessageChannel(stack_switching=stack_switching)
        for _ in range(bridge_module.MAX_FLAGS // 2 + 10)
    ]

    async def echo(port):
        async for message in port:
            port.post_message(message)

    for _ in range(2):
        used = [channels[0], channels[-1]]
        tasks = [asyncio.create_task(echo(channel.port2)) for channel in used]
        for number in range(3):
            for channel in used:
                channel.port1.post_message(number)
            assert [await channel.port1.receive() for channel in used] == [number] * 2
        for channel in channels:
            channel.port1.close()
        await asyncio.gather(*tasks)
        channels = [MessageChannel(stack_switching=stack_switching) for _ in range(2)]
    for channel in channels:
        channel.port1.close()


@both_ways
@run_in_pyodide
async def test_memory_of_a_large_message_is_used_again(selenium, stack_switching):
    import asyncio

    from pyodide_msgchan import MessageChannel
    from pyodide_msgchan._bridge.bridge import bridge

    size = 300_000
    one, two = MessageChannel(stack_switching=stack_switching)
    async with one, two:
        receiving = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        one.post_message({"first": b"1" * size, "second": [b"2" * (size + 1)]})
        first = await receiving
        await asyncio.sleep(0)
        assert bridge().spare(size - 1) is None
        assert bridge().spare(size).byteLength == size
        assert bridge().spare(size) is None  # it was handed out
        assert bridge().spare(size + 1).byteLength == size + 1
        for text in (b"3", b"4", b"5", b"6"):
            one.post_message(text * size)
        arrived = [await two.receive() for _ in range(4)]
        await asyncio.sleep(0)
        one.post_message(b"7" * size)
        assert await two.receive() == b"7" * size
        assert arrived == [text * size for text in (b"3", b"4", b"5", b"6")]
        assert first == {"first": b"1" * size, "second": [b"2" * (size + 1)]}


@both_ways
@pytest.mark.parametrize("seen", ["event", "later event", "listener", "adopted", "alias"])
@run_in_pyodide
async def test_memory_that_others_see_is_left_alone(selenium, stack_switching, seen):
    import asyncio

    from pyodide.code import run_js

    from pyodide_msgchan import MessageChannel, MessagePort
    from pyodide_msgchan._bridge.bridge import bridge

    size = 300_000
    while bridge().spare(size) is not None:
        pass  # of other tests
    keep = run_js("""(port) => {
        const seen = [];
        port.addEventListener("message", ({ data }) => seen.push(data));
        return seen;
    }""")
    sent = run_js(f"new Uint8Array({size}).fill(33)")

    async def receive(port, how="receive"):
        task = asyncio.create_task(getattr(port, how)())
        await asyncio.sleep(0)
        return task

    async def once(port, how="receive", message=sent):
        task = await receive(port, how)
        one.post_message(message)
        return await task

    one, two = MessageChannel(stack_switching=stack_switching)
    if seen == "event":
        event = await once(two, "receive_event")
        held = [event.js.data]
    elif seen == "later event":  # of a message that came together with one that needed none
        task, later = await receive(two), await receive(two, "receive_event")
        one.post_message(sent)
        one.post_message(sent)
        await task
        held = [(await later).js.data]
    elif seen == "listener":
        held = keep(two.js)
        await once(two)
    elif seen == "adopted":
        native = run_js("new MessageChannel()")
        held = keep(native.port2)
        one, two = MessagePort(native.port1), MessagePort(native.port2)
        await once(two)
    else:  # the message has it twice, once in what Python has no type for
        both = run_js("(bytes) => ({ bytes, map: new Map([[{}, bytes]]) })")(sent)
        message = await once(two, message=both)
        assert message["bytes"] == b"!" * size
        held = list(message["map"].values())

    await asyncio.sleep(0)
    assert bridge().spare(size) is None
    other, end = MessageChannel()
    for _ in range(3):
        task = await receive(end)
        other.post_message(b"?" * size)
        await task
    assert [part.to_bytes() == b"!" * size for part in held] == [True]
    for port in (one, two, other):
        port.close()
