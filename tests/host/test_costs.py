"""What a message costs is bounded by its size: counted in visits and bytes, not in seconds."""

import asyncio
import dataclasses
import decimal
import functools
import pathlib
import tracemalloc
import types
from collections import Counter

import pytest

from pyodide_msgchan import DataCloneError, register_type, wrap
from pyodide_msgchan._codec import encoder
from pyodide_msgchan._codec.exceptions import error_from, wire_of_error
from pyodide_msgchan._codec.outgoing import walk
from pyodide_msgchan._codec.packed import validation
from pyodide_msgchan._codec.packed.codec import pack
from pyodide_msgchan._codec.packed.opcodes import MAX_KEY_DEPTH, MAX_KEY_WEIGHT
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._printing import error_text, format_error, short_repr
from pyodide_msgchan.testing import MessageChannel
from pyodide_msgchan.testing.clone import clone

MANY = 2000


async def test_cancelled_receives_cost_the_same_however_many_they_are(monkeypatch):
    looks = 0
    done = Waiter.done

    def counting(waiter):
        nonlocal looks
        looks += 1
        return done(waiter)

    monkeypatch.setattr(Waiter, "done", counting)
    near, far = MessageChannel()
    async with near, far:
        for order in (1, -1):
            tasks = [asyncio.ensure_future(far.receive()) for _ in range(MANY)]
            await asyncio.sleep(0)
            for task in tasks[::order]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
        assert not far._queue.waiters
        assert not far._queue.served
    assert looks < 10 * 2 * MANY


async def test_messages_for_many_who_wait_cost_the_same_each(monkeypatch):
    looks = 0
    done = Waiter.done

    def counting(waiter):
        nonlocal looks
        looks += 1
        return done(waiter)

    near, far = MessageChannel()
    async with near, far:
        tasks = [asyncio.ensure_future(far.receive()) for _ in range(MANY)]
        await asyncio.sleep(0)
        monkeypatch.setattr(Waiter, "done", counting)
        for number in range(MANY):
            wake = far._queue.on_batch([number], None)  # each by itself, as a browser brings them
            if wake is not None:
                asyncio.get_running_loop().call_soon(wake)
        assert await asyncio.gather(*tasks) == list(range(MANY))
    assert looks < 10 * MANY


def shared(levels, of=0):
    """A value of a few hundred bytes that prints as 2**levels items."""
    value = [of]
    for _ in range(levels):
        value = [value, value]
    return value


ENDLESS = shared(200)


class Group(list):
    pass


@pytest.mark.parametrize(
    "value",
    [
        ENDLESS,
        {"a": ENDLESS},
        (ENDLESS, {1: ENDLESS}),
        Group(ENDLESS),
        KeyError(ENDLESS),
        dataclasses.make_dataclass("Holder", ["held"])(ENDLESS),
        functools.partial(print, ENDLESS),
        types.SimpleNamespace(held=ENDLESS),
        10**5000,
        "x" * 10_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_in_short(value):
    assert len(short_repr(value)) <= 80
    error_text(ValueError(value))
    error_text(ValueError("text", value))
    with pytest.raises(TypeError):
        register_type(value)
    with pytest.raises((TypeError, ValueError)):
        wrap(value)


def test_what_is_small_is_shown_as_python_writes_it():
    for value in (1, "a", b"b", None, 1.5, [1, 2], (1,), {"a": 1}, {1}, ([], {})):
        assert short_repr(value) == repr(value)
    assert short_repr([1, 2, 3, 4, 5]) == "[1, 2, 3, 4, …]"


@pytest.mark.parametrize("make", [ValueError, KeyError, OSError, lambda value: OSError(1, value)])
def test_an_error_that_holds_what_prints_without_end_crosses(make):
    noted = ValueError("noted")
    noted.__notes__ = [ENDLESS]
    caused = ValueError("caused")
    caused.__cause__ = make(ENDLESS)
    grouped = ExceptionGroup("grouped", [make(ENDLESS)])
    for error in (make(ENDLESS), noted, caused, grouped):
        assert len(format_error(error)) < 2000
        wire = wire_of_error(error, traceback=True)
        came = error_from(wire)
        assert len(str(came)) + len(repr(came)) < 2000


def test_what_was_thrown_is_shown_in_short():
    for value in (ENDLESS, {"isError": True, "value": {"name": ENDLESS, "message": ENDLESS}}):
        came = error_from({"type": "HANDLER", "name": "throw", "value": value})
        assert len(str(came)) + len(repr(came)) < 2000
        came = error_from({"value": {"isError": False, "value": value}})
        assert len(str(came)) < 200


async def test_a_message_that_prints_without_end_can_be_received_and_its_event_shown():
    near, far = MessageChannel()
    async with near, far:
        near.post_message(ENDLESS)
        event = await far.receive_event()
        assert len(repr(event)) < 200
        with pytest.raises(DataCloneError) as raised:
            near.post_message({(ENDLESS_KEY,): object()})
        assert len(str(raised.value)) < 300


ENDLESS_KEY = "key"
for _ in range(18):
    ENDLESS_KEY = (ENDLESS_KEY, ENDLESS_KEY)


def test_keys_whose_parts_are_shared_are_looked_at_once():
    visits = Counter()

    def leaf(value, where):
        visits[value] += 1
        return value

    walk({ENDLESS_KEY: 1}, leaf)
    assert visits["key"] < 10
    checker = validation._Validator({}, lambda _: "")
    key = ("a",) * 100
    for _ in range(MAX_KEY_DEPTH - 1):
        key = (key,) * 100
    assert checker.weight(key, 0) > MAX_KEY_WEIGHT


def test_what_is_shared_is_expanded_once():
    wide = [0] * 300
    for _ in range(2):
        wide = [wide] * 300  # 27 million values, if each were expanded
    tracemalloc.start()
    try:
        assert encoder._can_fast_encode(wide)
        assert validation.can_fast_pack(wide)
        assert clone(wide, {})[0] == wide
        assert pack(wide, {}).segments
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_keys_of_many_dicts_are_not_put_together(monkeypatch):
    compared = 0

    class Key(int):
        def __hash__(self):
            return 0

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return int(self) == int(other)

    monkeypatch.setattr(validation, "SIMPLE_KEYS", {*validation.SIMPLE_KEYS, Key})
    message = [{Key(i): 0} for i in range(300)]
    compared = 0
    assert validation._keys_are_simple(message, {dict})
    assert compared == 0


def test_errors_of_ordinary_values_read_as_python_writes_them():
    syntax = None
    try:
        compile("a b", "<there>", "exec")
    except SyntaxError as error:
        syntax = error
    for error in (
        ValueError("text"), ValueError("a", 1), KeyError("key"), OSError(2, "none", "/file"),
        ExceptionGroup("group", [ValueError(ENDLESS)]), ValueError(decimal.Decimal("1.50")),
        UnicodeDecodeError("ascii", b"x", 0, 1, "why"), syntax, ValueError(), ImportError("no"),
        RuntimeError(ValueError("inner")), StopAsyncIteration(), ValueError(pathlib.PurePath("/a")),
    ):  # fmt: skip
        assert error_text(error) == str(error)
    assert len(error_text(OSError(2, "none", ENDLESS))) < 100
    assert error_text(ValueError(ENDLESS)).startswith("[[[[…], […]], [[…]")
    assert error_text(ValueError("text", ["a"])) == str(ValueError("text", ["a"]))
