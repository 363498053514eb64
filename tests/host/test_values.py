"""What may be sent, which form it takes, and what the errors say: on CPython, over memory."""

import array
import collections
import dataclasses
import datetime as dt
import enum
import math
import typing

import numpy as np
import pytest

from pyodide_msgchan import DataCloneError, register_converter
from pyodide_msgchan._codec import registry
from pyodide_msgchan._codec.encoder import _can_fast_encode
from pyodide_msgchan._codec.outgoing import typed_view, walk
from pyodide_msgchan.testing.clone import clone


def sent(value):
    return clone(value, {})[0]


@pytest.fixture
def converters(monkeypatch):
    monkeypatch.setattr(registry, "converters", {})


class Point(typing.NamedTuple):
    x: int
    y: int


class Colour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class User:
    name: str
    friends: list = dataclasses.field(default_factory=list)


class Key:
    def __init__(self, name):
        self.name = name


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not this"


def test_subclasses_become_their_built_in_type():
    value = sent(
        [Point(1, 2), collections.OrderedDict(a=1), collections.Counter("aa"), Text("text")]
    )
    assert value == [[1, 2], {"a": 1}, {"a": 2}, "text"]
    assert [type(item) for item in value] == [list, dict, dict, str]


class Impostor:
    """Shows other contents than it holds."""

    def __iter__(self):
        return iter(["shown"])

    def __getitem__(self, key):
        return "shown"

    def __len__(self):
        return 1

    def __buffer__(self, flags):
        return memoryview(b"shown")

    def items(self):
        return [("shown", 0)]


@pytest.mark.parametrize(
    "kind,held",
    [
        (list, [1, 2]),
        (tuple, (1, 2)),
        (dict, {"a": 1, 2: 3}),
        (collections.OrderedDict, {"a": 1, 2: 3}),
        (set, {1, 2}),
        (frozenset, {1, 2}),
        (str, "held"),
        (bytes, b"held"),
        (bytearray, b"held"),
    ],
)
def test_a_subclass_is_sent_as_what_it_holds(kind, held):
    value = type(kind.__name__, (Impostor, kind), {})(held)
    expected = list(held) if kind is tuple else held
    assert sent([value, {"in": value}]) == [expected, {"in": expected}]


def test_a_subclass_of_float_keeps_its_sign():
    value = walk(type("Real", (float,), {})(-0.0), lambda leaf, _where: leaf)
    assert (type(value), math.copysign(1, value)) == (float, -1)


def test_an_ordered_dict_keeps_the_order_it_was_given():
    value = collections.OrderedDict(a=1, b=2)
    value.move_to_end("a")
    assert list(sent(value)) == ["b", "a"]


@pytest.mark.parametrize(
    "value", [Colour.RED, User("Ada"), object(), print, int, iter([]), 1j, range(3)]
)
def test_anything_else_is_refused_with_its_place(value):
    with pytest.raises(DataCloneError) as caught:
        sent({"list": [0, value]})
    assert caught.value.path == "message['list'][1]"


def test_a_converter_serves_at_any_depth_and_for_subclasses(converters):
    register_converter(User, lambda user: {"name": user.name, "friends": user.friends})

    class Admin(User):
        pass

    ada = User("Ada")
    ada.friends = [Admin("Bob", [ada])]
    got = sent([ada])[0]
    assert got["friends"][0]["name"] == "Bob"


def test_a_converter_makes_an_enum_sendable(converters):
    register_converter(Colour, lambda colour: colour.name)
    assert sent([Colour.RED]) == ["RED"]


def test_a_converter_that_raises_is_named_with_the_place(converters):
    register_converter(User, lambda user: user.nothing)
    with pytest.raises(DataCloneError, match="converter for User raised AttributeError") as caught:
        sent({"user": User("Ada")})
    assert caught.value.path == "message['user']"
    assert isinstance(caught.value.__cause__, AttributeError)


def test_keys_that_a_converter_makes_one_are_refused(converters):
    register_converter(Key, lambda key: key.name)
    for value in ({Key("a"): 1, Key("a"): 2}, {Key("a"), "a"}):
        with pytest.raises(DataCloneError, match="become 'a' once") as caught:
            sent({"rows": value})
        assert caught.value.path == "message['rows']"
    assert sent({Key("a"): 1, Key("b"): 2}) == {"a": 1, "b": 2}


def test_memory_has_no_place_for_moments_outside_of_datetime():
    early = dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))
    with pytest.raises(DataCloneError, match="outside of datetime") as caught:
        sent({"when": early})
    assert caught.value.path == "message['when']"


def test_a_converter_without_end_ends(converters):
    register_converter(User, lambda user: User(user.name))
    with pytest.raises(DataCloneError, match="never end"):
        sent(User("Ada"))


@pytest.mark.parametrize(
    "kind,convert",
    [(int, str), (dict, list), (object, str), ("User", str), (User, "not callable")],
)
def test_a_converter_that_makes_no_sense_raises(kind, convert, converters):
    with pytest.raises(TypeError):
        register_converter(kind, convert)


@pytest.mark.parametrize("code", "bBhHiIqQefd")
def test_numpy_arrays_of_one_dimension(code):
    values = np.arange(5, dtype=code)
    got = sent(values)
    if code == "B":
        assert got == values.tobytes()
    else:
        assert np.array_equal(np.asarray(got), values)
        assert np.asarray(got).dtype == values.dtype
        np.asarray(got)[0] = 1  # it is a copy of its own, and can be written


def test_numpy_arrays_that_are_strided_are_copied_flat():
    assert np.asarray(sent(np.arange(10, dtype="float64")[::3])).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize(
    "value", [np.zeros((2, 2)), np.zeros(2, "complex128"), np.zeros(2, bool), np.zeros(2, ">f8")]
)
def test_other_arrays_are_refused(value):
    with pytest.raises(DataCloneError):
        sent(value)


def test_numpy_scalars_are_numbers():
    assert sent([np.float64(1.5), np.int64(7), np.bool_(1)]) == [1.5, 7, True]


@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_every_code_of_an_array_has_a_typed_array(code):
    view = typed_view(array.array(code, [1, 2]))
    assert view.tolist() == [1, 2]
    assert view.itemsize == array.array(code).itemsize


def test_memory_has_no_place_for_keys_that_are_objects_in_javascript():
    with pytest.raises(DataCloneError, match="key"):
        sent({(1, [2][0]): 3, b"x": 1, frozenset([np.int64(1)]): 2, User: 1})


def test_a_deep_value_is_refused_before_the_stack_ends():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert not _can_fast_encode(deep)
    with pytest.raises(DataCloneError, match="500 levels"):
        sent(deep)
    while deep:
        [deep] = deep


def test_wide_sharing_costs_no_time():
    shared = [1]
    for _ in range(200):
        shared = [shared, shared]
    got = sent(shared)
    assert got[0] is got[1]
