"""Buffers, which are moved and never cloned, and converters, which add types."""

from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_buffers_are_moved_never_cloned(selenium):
    from array import array

    from pyodide.code import run_js

    from pyodide_msgchan import post_to_window

    spy = run_js("""({
        calls: [],
        postMessage(value, origin, list) {
            const buffers = value.map(part => part.buffer);
            this.calls.push([
                origin, list.length, buffers.every(one => list.includes(one)),
                buffers.every((one, i) => one.byteLength === value[i].byteLength),
            ].join());
        },
    })""")
    for size in (1, 5_000, 100_000):
        message = [bytes(size), bytearray(size), memoryview(bytes(size)), array("d", [1.5]) * size]
        post_to_window(spy, message, origin="https://app.example")
    assert list(spy.calls) == ["https://app.example,4,true,true"] * 3


@run_in_pyodide
async def test_javascript_buffers_move_only_if_listed(selenium):
    from js import Uint8Array

    from pyodide_msgchan import MessageChannel

    one, two = MessageChannel()
    async with one, two:
        view = Uint8Array.new(8)
        one.post_message({"view": view})
        assert view.byteLength == 8
        one.post_message({"view": view, "buffer": view.buffer}, transfer=[view.buffer])
        assert view.byteLength == 0
        other = Uint8Array.new(8)
        one.post_message(other, transfer=[other])  # a view stands for its buffer
        assert other.byteLength == 0
        assert await two.receive() == {"view": bytes(8)}
        assert await two.receive() == {"view": bytes(8), "buffer": bytes(8)}
        assert await two.receive() == bytes(8)


@run_in_pyodide
async def test_converters(selenium):
    from dataclasses import asdict, dataclass
    from decimal import Decimal

    import pytest

    from pyodide_msgchan import DataCloneError, MessageChannel, register_converter
    from pyodide_msgchan._codec import registry

    @dataclass
    class Point:
        x: object
        y: object

    class Point3(Point):
        pass

    class Endless:
        pass

    class Broken:
        pass

    def fail(_):
        raise KeyError("inside")

    kinds = {Point: asdict, Decimal: str, Endless: lambda _: [Endless()], Broken: fail}
    one, two = MessageChannel()
    async with one, two:
        with pytest.raises(DataCloneError, match="register_converter"):
            one.post_message([Point(1, 2)])
        try:
            for kind, convert in kinds.items():
                register_converter(kind, convert)
            one.post_message({"p": [Point3(1, Decimal("1.5"))], Decimal(2): 0})
            assert await two.receive() == {"p": [{"x": 1, "y": "1.5"}], "2": 0}
            with pytest.raises(DataCloneError, match=r"never end|nested"):
                one.post_message(Endless())
            with pytest.raises(DataCloneError, match=r"Broken raised KeyError: 'inside'") as caught:
                one.post_message({"a": [0, Broken()]})
            assert caught.value.path == "message['a'][1]"
            assert isinstance(caught.value.__cause__, KeyError)
        finally:
            for kind in kinds:
                registry.converters.pop(kind, None)
    for wrong in ((int, str), (list, list), ("Point", str), (Point, 5), (object, str)):
        with pytest.raises(TypeError):
            register_converter(*wrong)
