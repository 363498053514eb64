"""The packed lane: who speaks it, and what comes out of it, on CPython over memory."""

import array
import asyncio
import collections
import dataclasses
import datetime as dt
import enum
import math
import pathlib
import typing
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    DataCloneError,
    RemoteError,
    _interfaces,
    expose,
    introduce,
    introduced,
    register_converter,
    register_error,
    register_type,
    wrap,
)
from pyodide_msgchan._codec import registry as registry_module
from pyodide_msgchan._codec.packed import types
from pyodide_msgchan._codec.packed.codec import _Segments
from pyodide_msgchan.testing import Window
from pyodide_msgchan.testing.endpoint import copy_segment, decode_packed, encode_packed
from pyodide_msgchan.testing.round_trips import PACKED_TRIPS, same

HOST, APP = "https://host.example", "https://app.example"


def sent(value):
    packet, _ = encode_packed(value, {})
    result = decode_packed(packet)
    if isinstance(result, _interfaces.Notice):
        raise result.error
    return result


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    for module, table in ((types, "_by_name"), (types, "_by_type")):
        monkeypatch.setattr(module, table, {})
    monkeypatch.setattr(registry_module, "converters", {})


@dataclasses.dataclass
class Node:
    name: str
    children: list = dataclasses.field(default_factory=list)
    parent: "Node | None" = None


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: float = 2.0

    def __post_init__(self):
        if self.x == 13:
            raise ValueError("unlucky")


class Colour(enum.StrEnum):
    RED = "red"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Fraction:
    def __init__(self, over, under):
        self.over, self.under = over, under

    def __eq__(self, other):
        return (self.over, self.under) == (other.over, other.under)

    __hash__ = None


class Pair(typing.NamedTuple):
    one: int
    two: int


# Values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", PACKED_TRIPS, ids=lambda value: f"{value!r:.40}")
def test_values_stay_what_they_are(value):
    assert same(sent(value), value)
    assert all(same(item, value) for item in sent([value, (value,)])[1])


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.characters()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
KEYS = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.dates() | st.uuids(),
    lambda keys: st.lists(keys, max_size=3).map(tuple),
    max_leaves=6,
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values)
        | st.lists(values).map(tuple)
        | st.dictionaries(KEYS, values)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
)


@given(VALUES)
def test_random_values_stay_what_they_are(value):
    assert same(sent(value), value)
    assert same(sent([value, value]), [value, value])


ARRAYS = [
    np.arange(12).reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(100_000, dtype="f4"),
    np.arange(20)[::2],
    np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
    np.zeros((0, 3)),
    np.array(5),
    np.array(["a", "longer"]),
    np.array([b"a", b"bc"]),
    np.array(["2026-11-26"], "M8[D]"),
    np.array([True, False]),
    np.arange(5, dtype=">i4"),
    np.array([1 + 2j], "c8"),
    np.zeros(3, [("a", "i4"), ("b", "f8", (2,)), ("c", "U3")]),
    np.float16(2.5),
    np.int64(-3),
    np.datetime64("2026-11-26"),
    np.uint8(255),
]


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{value.dtype}{value.shape}")
def test_arrays_of_numpy(value):
    for got in (sent(value), sent({"in": [value]})["in"][0]):
        assert type(got) is type(value)
        assert (got.dtype, got.shape) == (value.dtype, value.shape)
        assert np.array_equal(got, value)
        if isinstance(got, np.ndarray) and got.size:
            assert got.flags.writeable
            fortran = value.flags.f_contiguous and not value.flags.c_contiguous
            assert got.flags.f_contiguous or not fortran


def test_what_was_registered():
    for kind in (Node, Point, Colour, Right):
        assert register_type(kind) is kind
    register_type(Fraction, lambda value: (value.over, value.under), lambda parts: Fraction(*parts))
    for value in (Point(1), Colour.RED, Right.READ, Right.READ | Right.WRITE, Right(0)):
        assert sent(value) == value
        assert type(sent([value])[0]) is type(value)
    assert sent(Colour.RED) is Colour.RED
    assert sent({Colour.RED: {Right.READ}}) == {Colour.RED: {Right.READ}}
    assert sent([Fraction(1, Point(3))]) == [Fraction(1, Point(3))]
    unlucky = object.__new__(Point)
    object.__setattr__(unlucky, "x", 13)
    object.__setattr__(unlucky, "y", 1.0)
    assert sent(unlucky).x == 13  # no __init__ is run


def test_references_and_cycles():
    register_type(Node)
    root = Node("root")
    root.children = [Node(str(i), [], root) for i in range(3)]
    root.parent = root
    got = sent((root, root.children))
    assert got[0].children is got[1]
    assert got[0].parent is got[0]
    assert [child.parent is got[0] for child in got[1]] == [True] * 3
    loop = []
    pair = (loop, {"loop": loop})
    loop.append(pair)
    got = sent(pair)
    assert got[0][0] is got
    assert got[1]["loop"] is got[0]
    data = bytearray(b"x" * 100_000)
    got = sent([data, data])
    assert got[0] is got[1]


def test_subclasses_become_their_built_in_type():
    ordered = collections.OrderedDict(a=Pair(1, 2))
    got = sent([ordered, ordered, collections.Counter("aa"), {Pair(1, 2): Pair(3, 4)}])
    assert got == [{"a": (1, 2)}, {"a": (1, 2)}, {"a": 2}, {(1, 2): (3, 4)}]
    assert [type(item) for item in got] == [dict] * 4
    assert got[0] is got[1]
    assert type(next(iter(got[3]))) is tuple


def test_a_zone_becomes_its_offset():
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Vienna"))
    got = sent(moment)
    assert got == moment
    assert got.tzinfo == dt.timezone(dt.timedelta(hours=2))
    assert sent(dt.time(12, tzinfo=ZoneInfo("Europe/Vienna"))) == dt.time(12)


def test_exceptions_keep_what_calls_keep():
    class AppError(Exception):
        pass

    register_error(AppError)
    error = AppError("text", (1, 2.0))
    error.code = {3}
    got, plain, odd = sent([error, KeyError(1), ValueError(print)])
    assert isinstance(got, AppError)
    assert isinstance(got, RemoteError)
    assert got.args == ("text", (1, 2.0))
    assert got.code == {3}
    assert isinstance(plain, KeyError)
    assert (plain.name, plain.args) == ("KeyError", (1,))
    assert isinstance(odd, ValueError | RemoteError)  # its argument stays where it is


def test_converters_serve_here_too():
    register_converter(Fraction, lambda value: {"over": value.over})
    assert sent([Fraction((1,), 2)]) == [{"over": (1,)}]
    register_type(Fraction, lambda value: value.over, lambda over: Fraction(over, 1))
    assert sent(Fraction(5, 1)) == Fraction(5, 1)


@pytest.mark.parametrize(
    "value,path,reason",
    [
        ({"rows": [0, 1, 2, Node(print)]}, "message['rows'][3].name", "a function"),
        ([(1, {2: object()})], "message[0][1][2]", "register_type(object"),
        ({"a": [Point]}, "message['a'][0]", "the class Point"),
        ([np.array([object()])], "message[0]", "NumPy array of object"),
        ({"x": Right(1)}, "message['x']", "not registered"),
        ({"x": {frozenset(): 1}}, "message['x']<key of type frozenset>", "keys and members"),
        ([{(1, (2, Point(1))): 1}], "message[0]<key of type tuple>", "keys and members"),
        ([{(((((((((1,),),),),),),),),)}], "message[0]<key of type tuple>", "keys and members"),
        ([{(0,) * 256: 1}], "message[0]<key of type tuple>", "more than 256 values"),
        ([{1 << 2039: 1}], "message[0]<key of type int>", "keys and members"),
        ([memoryview(b"ab").cast("?")], "message[0]", "memoryview of format"),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_errors_name_the_place(value, path, reason):
    if "name" in path:
        register_type(Node)
    with pytest.raises(DataCloneError) as caught:
        sent(value)
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_the_most_that_a_key_may_be():
    for key in ((0,) * 255, ((((((((1,),),),),),),),), (1 << 2039) - 1, "k" * 100_000):
        assert sent({key: (key,)}) == {key: (key,)}
        assert sent([{key}]) == [{key}]


def test_what_holds_itself_by_a_function_of_the_users():
    register_type(Fraction, lambda value: value.over, lambda over: Fraction(over, 1))
    value = Fraction(None, 1)
    value.over = [value]
    with pytest.raises(DataCloneError, match="holds itself"):
        sent(value)
    register_type(Fraction, lambda value: value.missing, Fraction)
    with pytest.raises(DataCloneError, match="packing a Fraction raised AttributeError"):
        sent([value])


def test_a_container_of_a_subclass_that_holds_itself_is_named():
    record = type("Record", (dict,), {})(rows=[])
    record["rows"].append(record)
    with pytest.raises(DataCloneError, match="Record that holds itself") as caught:
        sent([record])
    assert caught.value.path == "message[0]['rows'][0]"
    plain = []
    plain.append(type("Items", (list,), {})([plain]))
    got = sent(plain)
    assert got[0][0] is got


def test_what_is_not_registered_there():
    register_type(Point)
    packet, _ = encode_packed([Point(1)], {})
    types._by_name.clear()
    notice = decode_packed(packet)
    assert notice.kind == "messageerror"
    assert "Point is not registered here" in str(notice.error)


@pytest.mark.parametrize("arguments", [(1,), (int,), (dict,), (Fraction,), (Fraction, str)])
def test_what_can_not_be_registered(arguments):
    with pytest.raises(TypeError):
        register_type(*arguments)


def test_a_name_is_taken_once():
    register_type(Point, name="thing")
    register_type(Point, name="thing")
    with pytest.raises(ValueError, match="registered already"):
        register_type(Node, name="thing")


# Who speaks it ------------------------------------------------------------------------------------


async def joined(ours, theirs, lanes, **origins):
    host = Window(ours)
    app = Window(theirs, parent=host)
    here, there = lanes
    accepting = asyncio.create_task(app.accept(origin=origins.get("there", ours), lane=there))
    near = await host.connect(app, origin=origins.get("here", theirs), timeout=5, lane=here)
    return near, await accepting


@pytest.mark.parametrize(
    "theirs,lanes,lane",
    [
        (HOST, (None, None), "packed"),
        (HOST, ("packed", None), "packed"),
        (HOST, ("clone", None), "clone"),
        (HOST, (None, "clone"), "clone"),
        (HOST, ("packed", "clone"), "clone"),
        (APP, (None, None), "clone"),
        (APP, ("packed", None), "clone"),
        (APP, (None, "packed"), "clone"),
        (APP, ("packed", "packed"), "packed"),
        (APP, ("packed", "clone"), "clone"),
    ],
)
async def test_the_lane_that_both_want(theirs, lanes, lane):
    near, far = await joined(HOST, theirs, lanes)
    async with near, far:
        assert (near.lane, far.lane) == (lane, lane)
        offers = [lanes[i] == "packed" or (lanes[i] is None and theirs == HOST) for i in (0, 1)]
        assert ["packed" in far.peer.capabilities, "packed" in near.peer.capabilities] == offers
        for one, other in ((near, far), (far, near)):
            one.post_message((1, 2.0))
            assert same(await other.receive(), (1, 2.0) if lane == "packed" else [1, 2])


async def test_opaque_pages_speak_it_only_if_told():
    for lanes, lane in (((None, None), "clone"), (("packed", "packed"), "packed")):
        near, far = await joined("null", "null", lanes, here=OPAQUE_ORIGIN, there=OPAQUE_ORIGIN)
        async with near, far:
            assert (near.lane, far.lane) == (lane, lane)


async def test_a_lane_that_there_is_none_of():
    with pytest.raises(ValueError, match="lane is"):
        Window(HOST).connect(Window(HOST), lane="fast")


async def test_many_who_connect():
    host = Window(HOST)
    callers = [Window(origin, parent=host) for origin in (HOST, APP)]
    listening = host.listen(origin=[HOST, APP])
    async with listening:
        for caller, lane in zip(callers, ("packed", "clone"), strict=True):
            connecting = asyncio.ensure_future(caller.connect(host, origin=HOST))
            async with await anext(listening) as near, await connecting as far:
                assert (near.lane, far.lane) == (lane, lane)


@pytest.mark.parametrize(
    "origins,lane,spoken",
    [
        ((APP, APP), (None, None, None), "clone"),
        ((HOST, HOST), (None, None, None), "clone"),
        ((APP, APP), (None, "packed", None), "clone"),
        ((APP, APP), (None, "packed", "packed"), "packed"),
        ((APP, "https://b.example"), (None, "packed", "packed"), "packed"),
        ((APP, APP), (None, "packed", "clone"), "clone"),
        ((APP, APP), ("clone", "packed", "packed"), "clone"),
        (("null", "null"), (None, None, None), "clone"),
    ],
)
async def test_introduced_peers(origins, lane, spoken):
    """The lane is agreed by those who are introduced, never by who introduces them."""
    host = Window(HOST)
    apps = [Window(origin, parent=host) for origin in origins]

    async def meet(app, wanted):
        async with await app.accept(origin=HOST) as to_host:
            return await introduced(to_host, lane=wanted)

    meetings = [
        asyncio.create_task(meet(app, wanted)) for app, wanted in zip(apps, lane[1:], strict=True)
    ]
    shown = [OPAQUE_ORIGIN if origin == "null" else origin for origin in origins]
    ends = [await host.connect(app, origin=to) for app, to in zip(apps, shown, strict=True)]
    introduce(*ends, "meet", lane=lane[0])
    a, b = await asyncio.gather(*meetings)
    for end in ends:
        end.close()
    async with a, b:
        assert (a.lane, b.lane) == (spoken, spoken)
        a.post_message((1,))
        assert await b.receive() == ((1,) if spoken == "packed" else [1])


async def test_requests_and_replies():
    near, far = await joined(HOST, HOST, (None, None))
    async with near, far:
        for value in ((1, 2.0), "text", 3.0, {4}):
            asked = asyncio.ensure_future(near.request(value))
            event = await far.receive_event()
            event.reply((event.data, 5.0))
            assert same(await asked, (value, 5.0))


async def test_calls_use_it():
    near, far = await joined(HOST, HOST, (None, None))

    def echo(*values, **named):
        return (*values, named)

    async def count():
        for i in range(3):
            yield (i, float(i))

    async def each(values, callback):
        return [await callback(value) for value in values]

    async with near, far:
        expose({"echo": echo, "count": count, "each": each}, far)
        remote = wrap(near)
        got = await remote.echo(1, 2.0, (3,), {4}, name={5: b"6"})
        assert same(got, (1, 2.0, (3,), {4}, {"name": {5: b"6"}}))
        assert [item async for item in remote.count()] == [(0, 0.0), (1, 1.0), (2, 2.0)]
        got = await remote.each([(1,), 2.0], lambda value: (value, math.inf))
        assert same(got, [((1,), math.inf), (2.0, math.inf)])


async def test_sizes_are_told():
    near, far = await joined(HOST, HOST, (None, None))
    async with near, far:
        before = near._core.endpoint.sent_bytes()
        near.post_message([bytes(1000), array.array("d", range(1000)), pathlib.PurePath("x")])
        assert 9000 < near._core.endpoint.sent_bytes() - before < 9500
        assert (await far.receive())[1][999] == 999.0


def test_values_of_the_standard_library_stand_for_themselves():
    value = {uuid.UUID(int=1): Decimal("1.0"), pathlib.Path("/x"): [dt.timedelta(1)]}
    assert same(sent(value), value)


def test_payloads_are_read_whole_or_in_parts():
    payload = bytes(range(256)) * 4096
    for sizes in ([1 << 20], [1 << 19, 1 << 18, 1 << 18]):
        for first in ("read", "readinto"):
            segments = _Segments([b"before", payload, b"after"], copy_segment)
            assert segments.read(1) == b"before"
            got = bytearray()
            for size in sizes:
                part = bytearray(size)
                if first == "read" and not got:
                    part = segments.read(size)
                else:
                    assert segments.readinto(memoryview(part)) == size
                got += part
            assert got == payload
            assert segments.read(1) == b"after"
            assert segments.read(1) == b""
