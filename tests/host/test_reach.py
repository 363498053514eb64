"""Only what was declared is reachable from afar."""

import json
import math
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import ModuleType

import pytest

from pyodide_msgchan._rpc.access import AccessPolicy


class Lens:
    zoom = 2

    def focus(self):
        return "sharp"


class Model:
    def __call__(self):
        return "model"

    def train(self):
        return "trained"


@dataclass
class Theme:
    name: str = "light"
    sizes: dict = field(default_factory=lambda: {"small": 1, "_secret": 2})

    def reset(self):
        return "reset"


class Base:
    def inherited(self):
        return "inherited"


class Camera(Base):
    limit = 10
    Nested = Lens
    hook = staticmethod(lambda: "hook")

    def __init__(self):
        self.theme = Theme()
        self.lens = Lens()
        self.model = Model()
        self.callback = lambda: "callback"
        self.items = [1, 2]
        self.json = json
        self.parser = json.JSONDecoder
        self._private = "private"
        self.table = {"on": lambda: "on", "deep": {"er": 1}, "cls": Lens}

    def shoot(self, n=1):
        return f"shot {n}"

    @classmethod
    def make(cls):
        return "made"

    @property
    def battery(self):
        return 80

    @battery.setter
    def battery(self, value):
        self.charged = value

    @lru_cache  # noqa: B019 - the test's camera does not live long
    def cached(self):
        return "cached"


def path(text):
    return tuple(text.split(".")) if text else ()


@pytest.mark.parametrize(
    "name, value",
    [
        ("limit", 10),
        ("items", [1, 2]),
        ("battery", 80),
        ("theme.name", "light"),
        ("theme.sizes.small", 1),
        ("table.deep.er", 1),
    ],
)
def test_fields_are_read(name, value):
    assert AccessPolicy(Camera()).get(path(name)) == value


@pytest.mark.parametrize(
    "name, value",
    [
        ("shoot", "shot 1"),
        ("inherited", "inherited"),
        ("make", "made"),
        ("hook", "hook"),
        ("cached", "cached"),
        ("callback", "callback"),
        ("table.on", "on"),
    ],
)
def test_functions_are_called(name, value):
    assert AccessPolicy(Camera()).function(path(name))() == value


UNREACHABLE = [
    "_private",
    "__class__",
    "__dict__",
    "__init__.__globals__",
    "shoot.__globals__",
    "shoot.__func__",
    "shoot.__call__",
    "callback.__call__",
    "callback.func",
    "constructor",
    "__proto__",
    "toString",
    "missing",
    "shoot.x",
    "json.loads",
    "json",
    "parser.decode",
    "Nested.focus",
    "lens.zoom",
    "lens.focus",
    "items.append",
    "theme.reset",
    "theme.__class__",
    "theme.sizes._secret",
    "theme.sizes.clear",
    "theme.sizes.missing",
    "theme.name.upper",
    "table.clear",
    "table.cls.focus",
    "model",
    "model.train",
    "model.__call__",
]


@pytest.mark.parametrize("name", UNREACHABLE)
@pytest.mark.parametrize("how", ["get", "function", "constructor"])
def test_nothing_else_is_reachable(how, name):
    expected = AttributeError if name != "json" or how == "get" else (AttributeError, TypeError)
    with pytest.raises(expected) as refusal:
        getattr(AccessPolicy(Camera()), how)(path(name))
    assert name.split(".")[0] in str(refusal.value)


def test_nested_names_are_declared():
    reach = AccessPolicy(Camera(), nested=["lens", "model", "theme"])
    assert reach.get(("lens", "zoom")) == 2
    assert reach.function(("lens", "focus"))() == "sharp"
    assert reach.function(("model",))() == "model"
    assert reach.function(("theme", "reset"))() == "reset"
    for name in ("lens.focus.x", "lens._x", "model.__call__", "json.loads"):
        with pytest.raises(AttributeError):
            reach.function(path(name))
    for name in ("json", "parser", "Nested"):
        declared = AccessPolicy(Camera(), nested=[name])
        for inner in ("loads", "decode", "focus"):
            with pytest.raises(AttributeError):
                declared.function((name, inner))


def test_what_is_no_function_is_not_called():
    for name in ("limit", "theme", "items"):
        with pytest.raises(TypeError, match=f"'{name}' is no function"):
            AccessPolicy(Camera()).function((name,))
    with pytest.raises(TypeError, match="with new"):
        AccessPolicy(Camera()).function(("parser",))
    with pytest.raises(TypeError, match="with new"):
        AccessPolicy(Lens).function(())


def test_classes_are_constructed_where_they_are_declared():
    assert AccessPolicy(Lens).constructor(()) is Lens
    assert AccessPolicy({"Lens": Lens}).constructor(("Lens",)) is Lens
    assert AccessPolicy(Camera()).constructor(("table", "cls")) is Lens
    for name in ("Nested", "parser", "shoot", "limit"):
        with pytest.raises(TypeError):
            AccessPolicy(Camera()).constructor((name,))
    with pytest.raises(AttributeError):
        AccessPolicy(Lens).function(("focus",))
    with pytest.raises(AttributeError):
        AccessPolicy(Lens).get(("zoom",))


def test_only_what_is_writable_is_written():
    camera = Camera()
    reach = AccessPolicy(
        camera, writable=["limit", "battery", "theme.name", "table.on", "shoot", "hook", "make"]
    )
    reach.set(("limit",), 11)
    reach.set(("theme", "name"), "dark")
    reach.set(("battery",), 90)
    reach.set(("table", "on"), "off")
    assert (camera.limit, camera.theme.name, camera.charged) == (11, "dark", 90)
    assert camera.table["on"] == "off"
    for name in ("items", "_private", "__class__", "new", "theme.sizes", "lens", ""):
        with pytest.raises(AttributeError, match="writable"):
            reach.set(path(name), 1)
    for name in ("shoot", "hook", "make"):
        with pytest.raises(AttributeError, match="a method"):
            reach.set((name,), 1)
    assert camera.shoot() == "shot 1"


def test_declarations_are_checked():
    for bad in ("_x", "a._b", "", "a..b", "__class__"):
        with pytest.raises(ValueError, match="private or empty"):
            AccessPolicy({}, nested=[bad])
        with pytest.raises(ValueError, match="private or empty"):
            AccessPolicy({}, writable=[bad])
    with pytest.raises(TypeError):
        AccessPolicy({}, nested="lens")
    with pytest.raises(TypeError):
        AccessPolicy({}, writable=[3])


def test_functions_offer_nothing_but_the_call():
    def function():
        return "called"

    function.helper = lambda: "never"
    for root in (function, partial(function), Camera().shoot, math.sqrt):
        reach = AccessPolicy(root)
        assert callable(reach.function(()))
        for name in ("helper", "func", "args", "call", "apply", ""):
            with pytest.raises(AttributeError):
                reach.function((name,))


def test_builtin_classes_lend_nothing():
    class Store(dict):
        def total(self):
            return sum(self.values())

    class Names(list):
        def first(self):
            return self[0]

    with pytest.raises(AttributeError):
        AccessPolicy(Store(a=1)).function(("total",))  # a dict offers its items
    assert AccessPolicy(Store(a=1)).get(("a",)) == 1
    names = AccessPolicy(Names(["x"]))
    assert names.function(("first",))() == "x"
    for root, name in ((Names(), "clear"), (OrderedDict(), "popitem"), ("text", "upper")):
        with pytest.raises(AttributeError):
            AccessPolicy(root).function((name,))


def make_module(source, **extra):
    module = ModuleType("made_for_a_test")
    vars(module).update(extra)
    exec(source, vars(module))  # noqa: S102 - it stands in this test
    return module


def test_a_module_offers_what_it_defines():
    source = """
import json, os
from os import environ
from math import sqrt
from functools import partial
limit = 3
bound = partial(print)
class Own:
    def method(self): pass
def add(a, b): return a + b
def _hidden(): pass
"""
    reach = AccessPolicy(make_module(source))
    assert reach.function(("add",))(1, 2) == 3
    assert reach.constructor(("Own",)).__name__ == "Own"
    imported = (
        "json",
        "os",
        "environ",
        "sqrt",
        "partial",
        "limit",
        "bound",
        "_hidden",
        "Own.method",
    )
    for name in (*imported, "json.loads", "os.system", "__builtins__", "__builtins__.eval"):
        for how in (reach.function, reach.get):
            with pytest.raises(AttributeError):
                how(path(name))
    listed = AccessPolicy(make_module(source + "\n__all__ = ['limit', 'sqrt', 'json', '_hidden']"))
    assert listed.get(("limit",)) == 3
    for name in ("add", "sqrt", "json", "_hidden"):
        with pytest.raises(AttributeError):
            listed.function((name,))


def test_no_module_by_another_way():
    for root in ({"sys": sys}, Camera()):
        name = "sys" if isinstance(root, dict) else "json"
        with pytest.raises(AttributeError):
            AccessPolicy(root, nested=[name]).get((name, "path" if name == "sys" else "loads"))
        with pytest.raises(AttributeError):
            AccessPolicy(root).get((name,))


def test_slots_and_dynamic_names():
    class Slotted:
        __slots__ = ("model", "value")

    class Dynamic:
        def __getattr__(self, name):
            return lambda: name

    slotted = Slotted()
    slotted.value, slotted.model = 3, Model()
    assert AccessPolicy(slotted).get(("value",)) == 3
    with pytest.raises(AttributeError):
        AccessPolicy(slotted).function(("model",))
    with pytest.raises(AttributeError):
        AccessPolicy(Dynamic()).function(("anything",))
