"""The packed lane in browsers: values, ports and errors between two Pythons of one origin."""

import pytest
from pytest_pyodide import run_in_pyodide

from pyodide_msgchan.testing import CONTRACT, LINKED

pytestmark = pytest.mark.needs_windows


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
@run_in_pyodide
async def test_contract(selenium, pair, name):
    from packed_pair import connected

    from pyodide_msgchan.testing import CONTRACT, LINKED

    await (CONTRACT | LINKED)[name](connected)


@run_in_pyodide
async def test_objects_of_javascript_and_ports_go_beside(selenium, pair):
    import js
    import pytest
    from packed_pair import connected
    from pyodide.code import run_js

    from pyodide_msgchan import DataCloneError, MessageChannel

    near, far = await connected()
    blob = js.Blob.new(["text"])
    ours, theirs = MessageChannel()
    async with near, far, ours:
        message = {"blob": (blob, blob), "port": theirs, "pattern": run_js("/x/g"), 1: {2.0}}
        near.post_message(message, transfer=[theirs])
        event = await far.receive_event()
        got = event.data
        assert type(got["blob"]) is tuple
        assert await got["blob"][1].text() == "text"
        assert got["pattern"].source == "x"
        assert type(next(iter(got[1]))) is float
        assert event.ports == (got["port"],)
        async with got["port"] as arrived:
            arrived.post_message((1,))  # a port that was sent is a plain one
            assert await ours.receive() == [1]
        buffer = js.ArrayBuffer.new(8)
        near.post_message({"buffer": buffer}, transfer=[buffer])
        assert buffer.byteLength == 0
        assert (await far.receive())["buffer"].byteLength == 8
        first, second = MessageChannel()
        async with first, second:
            for bad, path in (
                ({"rows": [0, (run_js("() => 1"),)]}, "message['rows'][1][0]"),
                ([first], "message[0]"),
                ([first.js], "message[0]"),
            ):
                with pytest.raises(DataCloneError) as caught:
                    near.post_message(bad)
                assert caught.value.path == path
        near.post_message("goes on")
        assert await far.receive() == "goes on"


@run_in_pyodide
async def test_javascript_may_post_by_hand(selenium, pair):
    import asyncio

    import js
    from packed_pair import connected
    from pyodide.ffi import to_js

    near, far = await connected()
    async with near, far:
        native = near.js
        native.postMessage(to_js({"plain": [1, 2.5]}, dict_converter=js.Object.fromEntries))
        assert await far.receive() == {"plain": [1, 2.5]}
        channel = js.MessageChannel.new()
        native.postMessage("question", to_js([channel.port2]))
        answered = js.Promise.new(lambda resolve, _: setattr(channel.port1, "onmessage", resolve))
        (await far.receive_event()).reply([1, (2,)])
        assert (await answered).data.to_py() == [1, [2]]
        channel.port1.close()
        task = asyncio.ensure_future(near.request((1, 2.0)))
        event = await far.receive_event()
        assert event.data == (1, 2.0)
        event.ports[-1].js.postMessage(to_js([1, 2]))
        assert await task == [1, 2]
        event.ports[-1].close()
        for value in ("text", (1.0, {2}), None, 3.0):
            task = asyncio.ensure_future(near.request(value))
            event = await far.receive_event()
            event.reply((event.data, 4.0))
            answer = await task
            assert answer == (value, 4.0)
            assert [type(part) for part in answer] == [type(value), float]


@run_in_pyodide
async def test_large_and_deep(selenium, pair):
    import dataclasses

    import pytest
    from packed_pair import connected

    from pyodide_msgchan import DataCloneError, register_type

    @register_type
    @dataclasses.dataclass
    class Node:
        child: object

    near, far = await connected()
    data = bytes(range(256)) * 65536
    async with near, far:
        message = [
            {"data": data, "again": (data,)},
            bytearray(data),
            "x" * 1_000_000,
            memoryview(data),
        ]
        near.post_message(message)
        got = await far.receive()
        assert got == message
        assert got[0]["data"] is got[0]["again"][0]
        assert [type(part) for part in got] == [dict, bytearray, str, memoryview]

        def nested(levels, make, inner):
            for _ in range(levels):
                inner = make(inner)
            return inner

        deep = nested(499, Node, ())
        near.post_message(deep)
        got = await far.receive()
        for _ in range(499):
            assert type(got) is Node
            got = got.child
        assert got == ()
        for make in (Node, lambda inner: (inner,), lambda inner: {"x": inner}):
            for levels in (501, 20_000):
                value = nested(levels, make, [])
                with pytest.raises(DataCloneError, match="nested deeper"):
                    near.post_message(value)
                while value:  # Pyodide overflows its stack where such a thing is dropped whole
                    value = (
                        value.child
                        if type(value) is Node
                        else next(iter(value.values() if type(value) is dict else value))
                    )
        key = nested(8, lambda inner: (inner,), ())  # hashing much deeper ones kills Pyodide
        with pytest.raises(DataCloneError, match="keys and members"):
            near.post_message({key: 1})
        near.post_message({"fine": (1.0,)})
        assert await far.receive() == {"fine": (1.0,)}


@run_in_pyodide
async def test_keys_of_one_hash_are_refused_and_many_others_cross(selenium, pair):
    import sys

    import js
    from packed_pair import connected
    from pyodide.ffi import to_js

    near, far = await connected()
    bad = []
    numbers = [((i + 2**32) * sys.hash_info.modulus).to_bytes(12, "little") for i in range(3000)]
    keys = [b"\x8a\x0c" + number for number in numbers]
    async with near, far:
        far.on_message_error(bad.append)
        for attack in (keys, [key + b"\x85" for key in keys]):
            stream = b"\x80\x05\x8f(" + b"".join(attack) + b"\x90."
            envelope = to_js({"msgchan": stream}, dict_converter=js.Object.fromEntries)
            near.js.postMessage(envelope)
            near.post_message("next")
            assert await far.receive() == "next"
            assert "too many keys have one hash" in str(bad[-1])
        for message in (
            {i + 0.5: i for i in range(20_000)},
            {(i, -i) for i in range(5_000)},
            {2.0**n: n for n in range(-1000, 1000)},
        ):
            near.post_message(message)
            assert await far.receive() == message
        assert len(bad) == 2


@run_in_pyodide
async def test_memory_is_reused_unless_javascript_has_the_port(selenium, pair):
    import asyncio

    from packed_pair import connected
    from pyodide.code import run_js

    from pyodide_msgchan._browser import bridge

    near, far = await connected()
    first, second = b"1" * 300_000, b"2" * 300_000
    listen = run_js("""port => {
        const seen = [];
        port.addEventListener("message", ({ data }) => seen.push(...data.msgchan));
        const intact = part => part.byteLength === 300_000 && new Uint8Array(part)[0] === 49;
        return () => seen.some(intact);
    }""")
    async with near, far:
        for here, there in ((near, far), (far, near)):
            here.post_message(first)
            assert await there.receive() == first
            await asyncio.sleep(0)  # the handler of that message ends
            assert bridge().spare(300_000) is not None  # which takes it out
        intact = listen(far.js)
        near.post_message(first)
        assert await far.receive() == first
        await asyncio.sleep(0)
        assert bridge().spare(300_000) is None
        far.post_message(second)
        assert await near.receive() == second
        assert intact()


@run_in_pyodide
async def test_calls_keep_types(selenium, pair):
    import pytest
    from packed_pair import connected

    from pyodide_msgchan import expose, wrap

    near, far = await connected()
    seen = []

    def echo(*values, **named):
        seen.append((values, named))
        return (*values, named)

    async def items():
        for i in range(3):
            yield (i, float(i))

    def fail():
        raise KeyError((1, 2.0))

    async def each(values, callback):
        return [await callback(value) for value in values]

    expose({"echo": echo, "items": items, "fail": fail, "each": each}, far)
    remote = wrap(near)
    answer = await remote.echo(1, 2.0, -0.0, 1.5, (3,), {4}, name={1: b"x"})
    assert answer == (1, 2.0, 0.0, 1.5, (3,), {4}, {"name": {1: b"x"}})
    assert [type(part) for part in answer[:5]] == [int, float, float, float, tuple]
    for value in (1, 2.0, "x", None, True, 2**70, (1,)):
        [back, _] = await remote.echo(value)
        assert (back, type(back)) == (value, type(value))
    assert [item async for item in remote.items()] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert await remote.each([(1,), 2.0], lambda value: (value, {3})) == [((1,), {3}), (2.0, {3})]
    with pytest.raises(KeyError) as caught:
        await remote.fail()
    assert caught.value.args == ((1, 2.0),)
    near.close()
    await far.wait_closed()


@run_in_pyodide
async def test_a_stream_that_comes_alone_is_scanned_too(selenium, pair):
    import asyncio
    import sys

    from packed_pair import connected
    from pyodide.code import run_js
    from pyodide.ffi import to_js

    from pyodide_msgchan import MessageError

    near, far = await connected()
    errors = []
    far.on_message_error(errors.append)
    forged = {
        "a name": b"\x80\x05\x8c\x04this\x8c\x01s\x93.",
        "a call": b"\x80\x05\x8c\x02os\x8c\x06getpid\x93)R.",
        "a deep list": b"\x80\x05" + b"]" * 501 + b"a" * 500 + b".",
        "a memo of 500 MB": b"\x80\x05Nr\x00\x00\x00\x04.",
        "text that is none": b"\x80\x05\x8c\x01\xff.",
        "two values": b"\x80\x05NN.",
    }
    shapes = ["s => ({ msgchan: s })", "s => ({ msgchan: [s.buffer], side: [], buffers: [] })"]
    async with near, far:
        for shape in map(run_js, shapes):
            for title, stream in forged.items():
                waiting = asyncio.ensure_future(far.receive())
                await asyncio.sleep(0)
                before = len(errors)
                near.js.postMessage(shape(to_js(stream)))
                near.post_message(("after", title))
                assert await waiting == ("after", title)
                assert len(errors) == before + 1, title
            near.js.postMessage(shape(to_js(b"\x80\x05K\x01K\x02\x86.")))
            assert await far.receive() == (1, 2)
    assert {type(error) for error in errors} == {MessageError}
    assert "this" not in sys.modules


@pytest.mark.driver_timeout(120)
@run_in_pyodide
async def test_ten_thousand_mutated_messages(selenium, pair):
    import datetime as dt
    import random

    from js import Object
    from packed_pair import connected
    from pyodide.code import run_js
    from pyodide.ffi import to_js

    from pyodide_msgchan import MessageError
    from pyodide_msgchan._packed import pack
    from pyodide_msgchan._scan import TABLE

    near, far = await connected()
    rng = random.Random(5)  # noqa: S311 - the same ones each time
    seeds = []
    for message in (
        [{"id": i, "name": f"row {i}", "price": i + 0.25} for i in range(3)],
        {(1, "a"): {1, 2}, 2.5: b"bytes", None: bytearray(b"x"), "x": frozenset({1})},
        [dt.datetime.now(dt.UTC), 1j, ValueError("text", 3), memoryview(b"abc"), 2**80],
    ):
        [segment] = pack(message, {}).segments
        seeds.append(segment[:2] + segment[11:])
    allowed = [code for code in range(256) if TABLE[code]]

    def mutated():
        stream = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            at, way = rng.randrange(len(stream)), rng.randrange(4)
            if way == 0:
                stream[at] ^= 1 << rng.randrange(8)
            elif way == 1:
                stream[at:at] = bytes([rng.choice(allowed)])
            elif way == 2:
                del stream[at : at + rng.randint(1, 4)]
            else:
                other = rng.choice(seeds)
                start = rng.randrange(len(other))
                stream[at:at] = other[start : start + rng.randint(1, 12)]
        return bytes(stream)

    attack = run_js("""(port, bytes, lengths) => {
        let at = 0;
        for (const n of lengths) {
            const stream = bytes.slice(at, at += n);
            if (at % 2) port.postMessage({ msgchan: stream });
            else port.postMessage({
                msgchan: [stream.buffer], side: [null, {}], buffers: [new ArrayBuffer(8)],
            });
        }
    }""")
    errors, messages = [], 0
    far.on_message_error(errors.append)
    async with near, far:
        for turn in range(20):
            streams = [mutated() for _ in range(500)]
            attack(near.js, to_js(b"".join(streams)), to_js([len(stream) for stream in streams]))
            near.post_message(("turn", turn))
            while (await far.receive()) != ("turn", turn):
                messages += 1
        for odd in (
            "{msgchan: [1e9], side: [], buffers: []}",
            "{msgchan: [], side: [], buffers: []}",
            "{msgchan: [new ArrayBuffer(0)], side: [], buffers: [7]}",
            "{msgchan: new Uint8Array(0)}",
            "{msgchan: new Float64Array(2), side: [1]}",
        ):
            near.js.postMessage(run_js(f"({odd})"))
        near.js.postMessage(Object.new())
        assert await far.receive() == {}
    assert len(errors) + messages == 10_005
    assert {type(error) for error in errors} == {MessageError}
    assert len(errors) > 5_000
    assert messages > 100
