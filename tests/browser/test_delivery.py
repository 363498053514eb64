"""No message stays behind: not beside an unreadable one, nor while the page has its hands full."""

import pytest
from pytest_pyodide import run_in_pyodide

both_ways = pytest.mark.parametrize("stack_switching", [True, False])


@both_ways
@run_in_pyodide
async def test_message_whose_buffer_was_taken_is_told_and_stops_no_other(selenium, stack_switching):
    import asyncio

    from pyodide.code import run_js

    from pyodide_msgchan import MessageChannel, MessageError

    take_buffers = run_js("""port => port.addEventListener("message", ({ data }) => {
        if (data.buffer) structuredClone(data.buffer, { transfer: [data.buffer] });
    })""")
    messages = ["before", b"taken", "between", b"this too", "after"]
    for listening in (False, True):
        one, two = MessageChannel(stack_switching=stack_switching)
        errors, got, done = [], [], asyncio.Event()

        def listen(event, got=got, done=done):
            got.append(event.data)
            if event.data == "after":
                done.set()

        async with one, two:
            take_buffers(two.js)
            two.on_message_error(errors.append)
            two.start()
            for message in messages:
                one.post_message(message)
            while two.buffered < len(messages):  # noqa: ASYNC110 - the browser does not tell
                await asyncio.sleep(0)
            if listening:
                two.on_message(listen)
                await asyncio.wait_for(done.wait(), 5)
            else:
                got += [await asyncio.wait_for(two.receive(), 5) for _ in range(3)]
            assert got == ["before", "between", "after"]
            assert [type(error) for error in errors] == [MessageError] * 2
            one.post_message(b"one by one")
            one.post_message("after")
            if not listening:
                assert await asyncio.wait_for(two.receive(), 5) == "after"


@both_ways
@run_in_pyodide
async def test_message_that_python_can_not_make_is_told_and_reading_goes_on(
    selenium, stack_switching
):
    import asyncio
    import datetime as dt

    import pytest

    from pyodide_msgchan import MessageChannel, MessageError
    from pyodide_msgchan._codec import incoming

    def fail(number):
        raise MemoryError(number)

    one, two = MessageChannel(stack_switching=stack_switching)
    three, four = MessageChannel(stack_switching=stack_switching)
    errors, got, done = [], [], asyncio.Event()
    async with one, two, three, four:
        two.on_message_error(errors.append)
        four.on_message_error(errors.append)
        four.on_message(lambda event: (got.append(event.data), done.set()))
        receiving = asyncio.create_task(two.receive())
        await asyncio.sleep(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(incoming, "date_of", fail)
            for port in (one, three):
                port.post_message(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
            while len(errors) < 2:  # noqa: ASYNC110 - their listener can't end this wait alone
                await asyncio.sleep(0)
        for port in (one, three):
            port.post_message("next")
        assert await asyncio.wait_for(receiving, 5) == "next"
        await asyncio.wait_for(done.wait(), 5)
    assert got == ["next"]
    assert [type(error) for error in errors] == [MessageError] * 2
    assert all(type(error.__cause__) is MemoryError for error in errors)


@run_in_pyodide
async def test_unreadable_messages_count_when_the_peer_ends(selenium):
    import asyncio

    from pyodide.code import run_js

    from pyodide_msgchan import MessageChannel

    spoil = run_js("""port => port.addEventListener("message", (event) => {
        if (event.data !== "bad") return;
        event.stopImmediatePropagation(); // what a browser does that can't read a message
        port.dispatchEvent(new Event("messageerror"));
    })""")
    one, two = MessageChannel()
    spoil(two.js)
    errors = []
    two.on_message_error(errors.append)
    for message in ("good", "bad", "fine"):
        one.post_message(message)
    one.close()

    async def read():
        return [message async for message in two]

    assert await asyncio.wait_for(read(), 5) == ["good", "fine"]
    assert len(errors) == 1


@run_in_pyodide
async def test_messages_come_while_the_page_is_busy_with_other_events(selenium):
    import asyncio

    import js
    import pytest
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    if not hasattr(js, "document"):
        pytest.skip("Node lets one busy port keep all others waiting")
    # More messages than are handed over one by one, fewer than fill a batch; then the page has
    # something to do at every moment, for two seconds or until all have come.
    keep_busy = run_js("""(port, count) => {
        const { port1, port2 } = new MessageChannel(), busy = { stop: false, over: false };
        const end = performance.now() + 2000;
        for (let i = 0; i < count; i++) port.postMessage(i);
        port1.onmessage = () => {
            busy.over ||= performance.now() > end;
            const until = performance.now() + 2;
            while (performance.now() < until);
            if (busy.stop || busy.over) port1.close();
            else port2.postMessage(0);
        };
        for (let i = 0; i < 5; i++) port2.postMessage(0);
        return busy;
    }""")
    native = NativeChannel.new()
    got, done = [], asyncio.Event()

    def listen(event):
        got.append(event.data)
        if len(got) == 100:
            done.set()

    async with MessagePort(native.port1) as port:
        port.on_message(listen)
        busy = keep_busy(native.port2, 100)
        await done.wait()
        busy.stop = True
        assert not busy.over
    assert got == list(range(100))
    native.port2.close()


@run_in_pyodide
async def test_messages_that_finalizers_post_mix_with_no_other(selenium):
    import datetime as dt
    import gc

    import pytest
    from pyodide.code import run_js

    from pyodide_msgchan import MessageChannel
    from pyodide_msgchan._bridge import ffi
    from pyodide_msgchan._codec import incoming, sending

    one, two = MessageChannel()
    three, four = MessageChannel()
    count = 0

    class Last:
        def __init__(self):
            self.itself = self

        def __del__(self):
            nonlocal count
            count += 1
            three.post_message(["from a finalizer"] * 9)

    def collecting(function):
        def call(*args):  # a collection may come with any call that Python makes
            Last()
            gc.collect()
            return function(*args)

        return call

    noon = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    async with one, two, three, four:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sending, "to_js_list", collecting(ffi.to_js_list))
            patch.setattr(incoming, "date_of", collecting(incoming.date_of))
            for number in range(3):
                one.post_message([number, run_js("/x/"), [noon], "text"])  # by a list beside it
                message = await two.receive()
                assert (message[0], *message[2:]) == (number, [noon], "text")
        assert count > 3
        for _ in range(count):
            assert await four.receive() == ["from a finalizer"] * 9


@both_ways
@run_in_pyodide
async def test_many_who_wait_are_served_in_their_order(selenium, stack_switching):
    import asyncio

    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    # The first come one by one, the others in a batch, since nobody answers.
    post = run_js("(port, count) => { for (let i = 0; i < count; i++) port.postMessage([i]); }")
    native = NativeChannel.new()
    async with MessagePort(native.port1, stack_switching=stack_switching) as port:
        tasks = [asyncio.create_task(port.receive()) for _ in range(100)]
        await asyncio.sleep(0)
        post(native.port2, 100)
        got = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert got == [[number] for number in range(100)]
    native.port2.close()


@both_ways
@pytest.mark.parametrize("seed", range(4))
@run_in_pyodide
async def test_readers_of_all_kinds_in_any_order_lose_nothing(  # noqa: C901, PLR0915 - one body crosses
    selenium, stack_switching, seed
):
    import asyncio
    from random import Random

    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort

    post = run_js(
        "(port, from, to) => { for (; from < to; from++) port.postMessage({ n: from }); }"
    )
    random = Random(seed)  # noqa: S311 - to be had again
    native = NativeChannel.new()
    port = MessagePort(native.port1, stack_switching=stack_switching)
    sent, got = 0, []

    def send():
        nonlocal sent
        count = random.choice([0, 1, 2, 20, 40, 300])
        post(native.port2, sent, sent + count)
        sent += count

    async def turns():
        for _ in range(random.randrange(4)):
            await asyncio.sleep(random.choice([0, 0, 0.002]))

    async def take_one():
        got.append(await port.receive())

    async def take_event():
        got.append((await port.receive_event()).data)

    async def by_tasks():
        takers = [random.choice([take_one, take_event]) for _ in range(random.randrange(1, 30))]
        tasks = [asyncio.create_task(take()) for take in takers]
        await turns()
        send()
        await turns()
        for task in random.sample(tasks, random.randrange(len(tasks) + 1)):
            task.cancel()
        send()
        await turns()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def by_timeouts():
        for _ in range(random.randrange(20)):
            if not port.buffered and random.random() < 0.8:
                break  # few of these waits are in vain
            try:
                async with asyncio.timeout(0.02):
                    await take_one()
            except TimeoutError:
                pass

    async def by_listener():
        listener = port.on_message(lambda event: got.append(event.data))
        await turns()
        send()
        await turns()
        listener.cancel()

    async def by_taking():
        port.start()
        send()
        await turns()
        got.extend(port.take_buffered())

    async with port:
        for _ in range(60):
            send()
            await random.choice([by_tasks, by_timeouts, by_listener, by_taking])()
        while len(got) < sent:
            await asyncio.wait_for(take_one(), 5)
    assert [message["n"] for message in got] == list(range(sent))
    native.port2.close()
