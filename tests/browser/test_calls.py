"""Remote calls over native ports: what only a browser shows."""

import pytest
from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_values_go_the_short_way_and_the_general_one(selenium):
    import asyncio
    import math

    import pytest

    from pyodide_msgchan import DataCloneError, MessageChannel, RemoteError, expose, wrap

    def echo(*values):
        return values[0] if len(values) == 1 else list(values)

    here, there = MessageChannel()
    async with here, there:
        expose(
            {
                "echo": echo,
                "two words": echo,
                "none": lambda: None,
                "fail": lambda text: int(text, 10),
            },
            there,
        )
        remote = wrap(here)
        for value in (None, True, 0, -1, 1.5, math.inf, "", "☃𝄞\ud834", 2**53 - 1, 2**53, 2**70):
            answer = await remote.echo(value)
            assert (type(answer), answer) == (type(value), value)
        assert math.isnan(await remote.echo(math.nan))
        assert await remote.echo(2.0) == 2
        assert await remote.echo([1, (2,)], b"x", {1: 2}, {3}) == [[1, [2]], b"x", {1: 2}, {3}]
        assert await remote.echo(1, "two", None) == [1, "two", None]
        assert await remote["two words"](1) == 1
        assert await remote.none() is None
        with pytest.raises(ValueError, match="invalid literal") as caught:
            await remote.fail("x")
        assert isinstance(caught.value, RemoteError)
        with pytest.raises(DataCloneError, match=r"argument 2\[0\]: a function"):
            remote.echo(1, [print])
        calls = [remote.echo(i) if i % 3 else remote.echo([i]) for i in range(600)]
        for i, call in enumerate(calls):
            assert await call == (i if i % 3 else [i])
        await asyncio.sleep(0)


@run_in_pyodide
async def test_many_answers_of_javascript_that_come_together(selenium):
    import asyncio

    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort, wrap

    answer = run_js("""(port) => {
        port.onmessage = ({ data: { id, type, path, argumentList } }) => {
            if (type !== "APPLY") return; // what is said to a Python end
            const [{ value }] = argumentList;
            const name = path[0], text = { message: "no", name: "RangeError", stack: "" };
            if (name === "fail")
                return port.postMessage(
                    { id, type: "HANDLER", name: "throw", value: { isError: true, value: text } });
            port.postMessage({ id: "unknown", type: "RAW", value });
            port.postMessage({ id, type: "RAW", value: name === "none" ? undefined : value });
            port.postMessage({ id, type: "RAW", value: "again" });
        };
    }""")
    native = NativeChannel.new()
    answer(native.port2)
    async with MessagePort(native.port1) as port:
        remote = wrap(port)
        for often in (1, 2, 7, 100):
            calls = [
                remote.echo([i]) if i % often else (remote.none if i % 4 else remote.echo)(i)
                for i in range(1500)
            ]
            fails = [remote.fail(0) for _ in range(3)]
            last = remote.echo("last")
            cancelled = asyncio.ensure_future(calls[-1])
            await asyncio.sleep(0)
            cancelled.cancel()
            got = [await call for call in calls[:-1]]
            assert got == [[i] if i % often else None if i % 4 else i for i in range(1499)]
            for error in await asyncio.gather(*fails, return_exceptions=True):
                assert isinstance(error, ValueError)
            assert await last == "last"
        answers = await asyncio.gather(*(remote.echo(i) for i in range(1000)))
        assert answers == list(range(1000))
        assert not remote._handle.client.protocol._pending
    native.port2.close()


@run_in_pyodide
async def test_many_names_and_long_ones(selenium):
    from pyodide_msgchan import MessageChannel, expose, wrap

    names = [f"name {i}" for i in range(600)]
    names += ["☃", "𝄞" * 50, "𝄞" * 51, "x" * 100, "x" * 101, "x" * 100_000]
    here, there = MessageChannel()
    async with here, there:
        expose({name: (lambda name=name: name) for name in names}, there)
        remote = wrap(here)
        for _ in range(3):
            for name in names:
                assert await remote[name]() == name
        assert await remote["name 1"]() == "name 1"


@run_in_pyodide
async def test_order_is_kept_between_both_ways(selenium):
    from pyodide_msgchan import MessageChannel, expose, wrap

    here, there = MessageChannel()
    async with here, there:
        seen = []
        expose({"note": seen.append}, there)
        note = wrap(here).note
        for i in range(300):
            call = note(i) if i % 2 else note([i])
        await call
        assert seen == [i if i % 2 else [i] for i in range(300)]


@run_in_pyodide
async def test_a_blocked_call_lets_others_in(selenium):
    import asyncio

    from pyodide.ffi import can_run_sync, run_sync

    from pyodide_msgchan import MessageChannel, expose, wrap

    if not can_run_sync():
        return
    here, there = MessageChannel()
    async with here, there:
        gate = asyncio.Event()

        def blocks():
            run_sync(gate.wait())
            return "blocked"

        expose({"blocks": blocks, "open": gate.set, "echo": lambda value: value}, there)
        remote = wrap(here)
        first, second = remote.blocks(), remote.echo(1)
        async with asyncio.timeout(5):
            assert await second == 1
            assert not first.done()
            await remote.open()
            assert await first == "blocked"


@run_in_pyodide
async def test_generators_send_buffers_ahead(selenium):
    from pyodide_msgchan import MessageChannel, expose, wrap

    here, there = MessageChannel()
    async with here, there:

        async def tiles(count):
            for i in range(count):
                yield {"i": i, "pixels": bytes([i]) * 100_000}

        expose(tiles, there)
        seen = [tile async for tile in wrap(here, prefetch=3)(20)]
        assert [tile["i"] for tile in seen] == list(range(20))
        assert all(tile["pixels"] == bytes([i]) * 100_000 for i, tile in enumerate(seen))


@run_in_pyodide
async def test_callbacks_leave_nothing_behind(selenium):
    import asyncio
    import gc

    from pyodide_msgchan import MessageChannel, expose, wrap
    from pyodide_msgchan._bridge.callbacks import _pending_steps, waiting_sinks

    async def call(callback):
        return await callback(1)

    before = [len(table) for table in (waiting_sinks, _pending_steps)]
    here, there = MessageChannel()
    async with here, there:
        expose(call, there)
        remote = wrap(here)
        for _ in range(200):
            assert await remote(lambda value: value + 1) == 2
        links = [port._core.queue.reader for port in (here, there)]
        async with asyncio.timeout(10):
            while any(link._children for link in links):
                gc.collect()
                await asyncio.sleep(0)
        assert not any(link.protocol._pending or link.protocol.running for link in links)
    del links, remote
    assert [len(table) for table in (waiting_sinks, _pending_steps)] == before


@run_in_pyodide
async def test_what_came_before_the_exposing_is_run_before_plain_calls(selenium):
    import asyncio

    from js import MessageChannel as NativeChannel
    from js import Object
    from pyodide.ffi import to_js

    from pyodide_msgchan import MessagePort, expose

    def request(i):
        message = {"id": f"x{i}", "type": "APPLY", "path": [], "argumentList": []}
        message["argumentList"].append({"type": "RAW", "value": i})
        return to_js(message, dict_converter=Object.fromEntries)

    native, seen = NativeChannel.new(), []
    full, answered = asyncio.Event(), asyncio.Event()

    def note(i):
        seen.append(i)
        if i == 9:
            answered.set()

    async with MessagePort(native.port1) as port:
        for i in range(5):
            native.port2.postMessage(request(i))
        listener = port.on_message(lambda event: full.set())
        await full.wait()
        listener.cancel()
        port.start()
        expose(note, port)
        for i in range(5, 10):
            native.port2.postMessage(request(i))
        await answered.wait()
        assert seen == sorted(seen)
    native.port2.close()


@run_in_pyodide
async def test_plain_calls_end_as_others_do(selenium):
    import asyncio

    import pytest
    from js import MessageChannel as NativeChannel

    from pyodide_msgchan import MessageChannel, MessagePort, PortClosedError, expose, wrap

    here, there = MessageChannel()
    seen = []

    async def slowly(i):
        await asyncio.sleep(0)
        return i

    expose({"end": there.close, "slowly": slowly, "root": lambda: 3, "note": seen.append}, there)
    remote = wrap(here)
    calls = [remote.slowly(1), remote.root()]
    assert [await call for call in calls] == [1, 3]
    calls = [remote.end(), remote.note("too late")]
    for call in calls:
        with pytest.raises(PortClosedError):
            await call
    assert seen == []
    assert here.closed

    # The same id twice: one call, one answer.
    native = NativeChannel.new()
    async with MessagePort(native.port1) as port, MessagePort(native.port2) as other:
        gate = asyncio.Event()

        async def wait(i):
            seen.append(i)
            await gate.wait()
            return i

        expose(wait, port)
        for i in range(3):
            wires = [{"type": "RAW", "value": i}]
            other.post_message({"id": "same", "type": "APPLY", "path": [], "argumentList": wires})
        other.post_message({"id": "probe", "type": "GET", "path": ["__msgchan__"]})
        assert (await other.receive())["id"] == "probe"
        gate.set()
        assert await other.receive() == {"id": "same", "type": "RAW", "value": 0}
    assert seen == [0]


@run_in_pyodide
async def test_plain_calls_without_stack_switching(selenium):
    import asyncio

    from pyodide_msgchan import MessageChannel, expose, wrap

    async def twice(value):
        await asyncio.sleep(0)
        return value * 2

    here, there = MessageChannel(stack_switching=False)
    async with here, there:
        expose({"twice": twice, "same": lambda value: value}, there)
        remote = wrap(here)
        for value in (0, 1, "", "word", False, None, 2**70):
            assert await remote.same(value) == value
        assert await remote.twice(4) == 8
        assert [await call for call in [remote.same(i) for i in range(50)]] == [*range(50)]


@run_in_pyodide
async def test_a_silent_peer_holds_up_nobody(selenium):
    import asyncio
    import contextlib

    import pytest
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort, release, wrap

    silent = run_js("""(port, heard) => {
        port.onmessage = ({ data: { id, type, path } }) => {
            heard.push(type);
            if (type !== "APPLY") return;
            const { port1, port2 } = new MessageChannel();
            let left = 2;
            port1.onmessage = ({ data }) => {
                heard.push(data.path?.[0] ?? data.type);
                if (data.type === "PULL")
                    while (left-- > 0)
                        port1.postMessage({ type: "ITEM", item: { type: "RAW", value: 1 } });
                else if (data.path?.[0] === "next" && left-- > 0)
                    port1.postMessage(
                        { id: data.id, type: "RAW", value: { value: 1, done: false } });
            };
            const proxy = { type: "HANDLER", name: "proxy", value: port2 };
            port.postMessage({ id, ...proxy, iterator: path[0] === "items" }, [port2]);
        };
    }""")
    native, heard = NativeChannel.new(), run_js("[]")
    silent(native.port2, heard)

    async def loop(items, got):
        async for item in items:
            got.append(item)

    async def closing(items, got):
        async with contextlib.aclosing(aiter(items)) as iterator:
            await loop(iterator, got)

    async def fail(got):
        while len(got) < 2:  # noqa: ASYNC110 - the task under test is not to be touched
            await asyncio.sleep(0)
        raise ZeroDivisionError

    async def beside_one_that_fails(iteration, got):
        async with asyncio.TaskGroup() as group:
            group.create_task(iteration)
            group.create_task(fail(got))

    async def everything(remote):
        for name in ("items", "steps"):
            for use in (loop, closing):
                got = []
                with pytest.raises(ExceptionGroup):
                    await beside_one_that_fails(use(remote[name](), got), got)
                assert got == [1, 1]
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await use(remote[name](), [])
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(use(remote[name](), []), 0.01)
        items = await remote.items()
        await anext(items)
        for wait in (items.aclose, lambda: remote.nothing, lambda: release(remote)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await wait()

    async with MessagePort(native.port1) as port:
        task = asyncio.ensure_future(everything(wrap(port)))
        await asyncio.wait([task], timeout=20)
        assert task.done()
        await task
        while not {"CLOSE", "return", "RELEASE"} <= {*heard}:  # noqa: ASYNC110 - JavaScript's array
            await asyncio.sleep(0)
    native.port2.close()


@pytest.mark.parametrize("count", [100, 101, 130_000])  # which is more than Chrome can spread
@pytest.mark.parametrize("lane", ["clone", "packed"])
@run_in_pyodide
async def test_many_plain_arguments(selenium, lane, count):
    from pyodide_msgchan import MessageChannel, expose, wrap

    here, there = MessageChannel()
    async with here, there:
        if lane == "packed":
            here._core.endpoint.enable_packing()
            there._core.endpoint.enable_packing()
        expose({"last": lambda *values: [len(values), values[-1]]}, there)
        assert await wrap(here).last(*range(count)) == [count, count - 1]


@pytest.mark.parametrize("count", [100, 101, 600_000])  # which is more than Firefox can spread
@run_in_pyodide
async def test_many_plain_arguments_to_javascript(selenium, count):
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort, wrap

    native = NativeChannel.new()
    run_js("""(port) => {
        port.onmessage = ({ data: { id, argumentList } }) => {
            const right = argumentList.filter(({ value }, i) => value === i);
            port.postMessage({ id, type: "RAW", value: right.length });
        };
    }""")(native.port2)
    async with MessagePort(native.port1) as port:
        assert await wrap(port).count(*range(count)) == count
    native.port2.close()


@pytest.mark.parametrize("count", [100, 101, 600_000])
@run_in_pyodide
async def test_many_plain_arguments_from_javascript(selenium, count):
    from js import MessageChannel as NativeChannel
    from pyodide.code import run_js

    from pyodide_msgchan import MessagePort, expose

    call = run_js("""(port, count) => new Promise((resolve) => {
        port.onmessage = ({ data }) => resolve(data.value);
        const argumentList = Array.from({ length: count }, (_, value) => ({ type: "RAW", value }));
        port.postMessage({ id: "call", type: "APPLY", path: ["count"], argumentList });
    })""")
    native = NativeChannel.new()
    async with MessagePort(native.port1) as port:
        expose({"count": lambda *values: len(values)}, port)
        assert await call(native.port2, count) == count
    native.port2.close()


@run_in_pyodide
async def test_base_exceptions_of_what_is_exposed_end_the_call(selenium):
    import asyncio

    import pytest

    from pyodide_msgchan import MessageChannel, RemoteError, expose, wrap

    class OwnError(BaseException):
        pass

    loop = asyncio.get_running_loop()
    before, codes = loop._system_exit_handler, []
    errors = [asyncio.CancelledError(), OwnError(), SystemExit(7)]

    def at_once(number):
        raise errors[number]

    async def later(number):
        await asyncio.sleep(0)
        raise errors[number]

    async def eagerly(number):
        raise errors[number]

    async def items(number):
        yield 1
        raise errors[number]

    here, there = MessageChannel()
    loop._system_exit_handler = codes.append
    try:
        async with here, there:
            expose({"at_once": at_once, "later": later, "eagerly": eagerly, "items": items}, there)
            remote = wrap(here)
            for number, error in enumerate(errors):
                for name in ("at_once", "later", "eagerly"):
                    with pytest.raises(RemoteError, match=type(error).__name__):
                        await remote[name](number)
                iterator = await remote["items"](number)
                assert await anext(iterator) == 1
                with pytest.raises(RemoteError, match=type(error).__name__):
                    await anext(iterator)
            await asyncio.sleep(0)
    finally:
        loop._system_exit_handler = before
    assert codes == [7] * 4
