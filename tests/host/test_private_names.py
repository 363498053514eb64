"""No private name leaves by value: what is read from outside comes without it, at every depth."""

import asyncio
import re
from collections import OrderedDict
from dataclasses import InitVar, asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest

from pyodide_msgchan import (
    DataCloneError,
    RemoteError,
    expose,
    proxy,
    register_converter,
    register_type,
    wrap,
)
from pyodide_msgchan._codec import registry as registry_module
from pyodide_msgchan._codec.packed import types
from pyodide_msgchan.testing import MessageChannel

SECRET = "the secret"  # noqa: S105 - that of this test


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    for module, table in ((types, "_by_name"), (types, "_by_type")):
        monkeypatch.setattr(module, table, {})
    monkeypatch.setattr(registry_module, "converters", {})


@dataclass
class Account:
    limit: ClassVar[int] = 3
    shared: ClassVar[str] = SECRET
    once: InitVar[str] = SECRET
    name: str = "Ada"
    _token: str = SECRET
    table: dict = field(default_factory=lambda: {"a": 1, "_b": SECRET})


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any = None
    _y: str = SECRET


@dataclass
class Plain:
    rows: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class Api:
    def __init__(self):
        self.settings = {"theme": "dark", "_token": SECRET, "deep": [{"_t": SECRET, "er": (1, {})}]}
        self.account = Account()
        self.rows = [1, 2.5, "text", b"bytes", None, [[]], {3: {"_x": SECRET}, (1, 2): "tuple"}]

    @property
    def computed(self):
        return {"_token": SECRET, "public": 1}

    def whole(self):
        return {"_token": SECRET}

    def by_reference(self):
        return proxy({"_token": SECRET, "public": 1})


@pytest.fixture(params=["clone", "packed"])
async def ends(request):
    ends = tuple(MessageChannel())
    if request.param == "packed":
        for end in ends:
            end._core.endpoint.enable_packing()
    yield ends
    for end in ends:
        end.close()


async def read_root(port):
    """Read what is exposed itself, as Comlink can; ours has no word for that."""
    port.post_message({"id": "1", "type": "GET", "path": []})
    reply = await port.receive()
    assert SECRET not in repr(reply)
    return reply["value"]


@pytest.mark.parametrize("made_as", [dict, OrderedDict])
async def test_the_root_is_read_without_private_keys(ends, made_as):
    expose(made_as(a=1, _token=SECRET, deep={"_b": SECRET, "c": [{"_d": SECRET}]}), ends[1])
    assert await read_root(ends[0]) == {"a": 1, "deep": {"c": [{}]}}


async def test_dicts_are_read_without_private_keys(ends):
    api = Api()
    expose(api, ends[1])
    remote = wrap(ends[0])
    settings = await remote.settings
    assert settings["deep"][0].keys() == {"er"}
    assert settings.keys() == {"theme", "deep"}
    assert await remote.rows == [1, 2.5, "text", b"bytes", None, [[]], {3: {}, (1, 2): "tuple"}]
    assert await remote.account.table == {"a": 1}
    assert await remote.computed == {"public": 1}
    assert api.settings["_token"] == SECRET  # the object itself is as it was


async def test_what_methods_return_goes_whole(ends):
    expose(Api(), ends[1])
    remote = wrap(ends[0])
    assert await remote.whole() == {"_token": SECRET}
    by_reference = await remote.by_reference()
    assert await by_reference.public == 1
    with pytest.raises(AttributeError, match="private"):
        await by_reference["_token"]


@pytest.mark.parametrize("name", ["limit", "shared", "once", "_token", "__class__", "missing"])
async def test_only_public_fields_of_a_dataclass_are_reachable(ends, name):
    expose(Api(), ends[1])
    ends[0].post_message({"id": "1", "type": "GET", "path": ["account", name]})
    reply = await ends[0].receive()
    assert reply["name"] == "throw"
    assert "is not reachable" in reply["value"]["value"]["message"]
    assert SECRET not in repr(reply)


@pytest.mark.parametrize("name", ["account", "accounts", "inside", "frozen", "cycle"])
async def test_dataclasses_are_read_without_private_fields(ends, name):
    if not ends[0]._core.endpoint.packed:
        register_converter(Account, asdict)
        register_converter(Plain, asdict)
        register_converter(Frozen, lambda frozen: {"x": frozen.x, "_y": frozen._y})
    else:
        for kind in (Account, Plain, Frozen):
            register_type(kind)
    loop = {"_token": SECRET, "accounts": [Account()]}
    loop["self"] = loop
    api = {
        "account": Account(),
        "accounts": [Account(), {"deep": (Account(),)}],
        "inside": Plain([Plain(Account()), Pair(Account(), [Frozen()])]),
        "frozen": Frozen({"_y": SECRET, "z": Frozen()}),
        "cycle": loop,
    }
    expose(api, ends[1])
    got = await getattr(wrap(ends[0]), name)
    assert got
    assert SECRET not in re.sub("shared: .*?,", "", repr(got))
    if name == "account":
        public = got if isinstance(got, dict) else vars(got)
        assert {key: value for key, value in public.items() if value is not None} == {
            "name": "Ada",
            "table": {"a": 1},
        }
    if name == "cycle":
        assert got["self"] is got


async def test_what_pack_gives_goes_whole():
    near, far = MessageChannel()
    for end in (near, far):
        end._core.endpoint.enable_packing()
    register_type(Plain, lambda plain: {"_rows": plain.rows}, lambda state: Plain(state["_rows"]))
    expose({"plain": Plain(1)}, far)
    assert await wrap(near).plain == Plain(1)


async def test_public_values_are_not_copied_and_errors_keep_their_place(ends):
    def fail(_):
        raise LookupError("no more")

    register_converter(Plain, fail)
    deep = []
    for _ in range(5000):
        deep = [deep]
    expose({"bad": {"_a": 1, "rows": [Plain(1)]}, "deep": [deep, {"_a": 1}]}, ends[1])
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for name, words in (("bad", "Plain"), ("deep", "deep")):
        with pytest.raises(RemoteError, match=words) as caught:
            await getattr(wrap(ends[0]), name)
        assert caught.value.name == DataCloneError.__name__
