"""Errors from outside: whatever stands in them, they stay errors that can be read and passed on."""

import copy
import functools
import pickle
import traceback

import pytest

from pyodide_msgchan import RemoteError, expose, register_error, wrap
from pyodide_msgchan._codec.exceptions import error_from, wire_of_error
from pyodide_msgchan._codec.wire import thrown
from pyodide_msgchan.testing import MessageChannel


@register_error
class ShopError(Exception):
    hint = "none"
    limit: int

    def explain(self):
        return "it is closed"

    @property
    def shown(self):
        return "as it is"

    @functools.cached_property
    def lazy(self):
        return "computed"

    @staticmethod
    def helper():
        return "helped"


@register_error
class OwnWordsError(Exception):
    """A class with ideas of its own about the names of this package."""

    @property
    def message(self):
        raise LookupError

    @property
    def name(self):
        return 3

    def add_note(self, note):
        raise LookupError

    def __setattr__(self, name, value):
        raise LookupError


OWN = sorted({*dir(BaseException), *dir(RemoteError), *dir(OSError), *dir(SyntaxError)})
SHOP = [*OWN, "explain", "shown", "lazy", "helper"]


def hostile(kind, fields, args=("text",), **more):
    """Return the Wire of an error with these details, as a peer may write it."""
    details = {"type": kind, "args": list(args), "fields": fields, "notes": [], **more}
    return {**thrown("ValueError", "text", "stack"), "python": details}


def check_whole(error):
    """Check that an error does what every exception does, and what a `RemoteError` does."""
    assert isinstance(error, RemoteError)
    assert (error.name, error.message, error.stack) == ("ValueError", "text", "stack")
    error.add_note("one more")
    assert error.with_traceback(None) is error
    assert str(error) in {"text", "ValueError: text"}
    assert repr(error)
    assert error.value is None
    assert isinstance(error.builtin, type | None)
    assert error.__notes__[-2:] == ["Remote traceback:\nstack", "one more"]
    with pytest.raises(RemoteError) as caught:
        raise error from error.__cause__
    assert "text" in "".join(traceback.format_exception(caught.value))
    assert copy.copy(error).message == pickle.loads(pickle.dumps(error)).message == "text"  # noqa: S301 - our own


@pytest.fixture(params=["clone", "packed"])
def channel(request):
    """A function that makes the two ends of a channel on either lane."""

    def make():
        ends = tuple(MessageChannel())
        if request.param == "packed":
            for end in ends:
                end._core.endpoint.enable_packing()
        return ends

    return make


async def answered(ends, wire):
    """Return the error that a call ends with, if the other side answers by that Wire."""
    here, there = ends
    call = wrap(here).act()
    request = await there.receive()
    there.post_message({**wire, "id": request["id"]})
    with pytest.raises(RemoteError) as caught:
        await call
    return caught.value


async def relayed(ends, error):
    """Return what an error becomes for who calls a function that raises it."""

    def fail():
        raise error

    expose(fail, ends[1], tracebacks=True)
    with pytest.raises(RemoteError) as caught:
        await wrap(ends[0])()
    return caught.value


@pytest.mark.parametrize("value", [1, [1], None, "text", {"a": 1}])
@pytest.mark.parametrize("kind", ["builtins:ValueError", f"{__name__}:ShopError"])
async def test_received_fields_hide_nothing_of_the_error(channel, kind, value):
    error = await answered(channel(), hostile(kind, dict.fromkeys(SHOP, value) | {"code": 7}))
    check_whole(error)
    assert error.args == ("text",)
    assert error.code == 7
    if isinstance(error, ShopError):
        assert (error.explain(), error.helper()) == ("it is closed", "helped")
        assert (error.shown, error.lazy, error.hint) == ("as it is", "computed", "none")
    again = await relayed(channel(), error)
    assert type(again) is type(error)
    assert (again.name, again.message, again.code) == ("ValueError", "text", 7)


async def test_a_default_of_the_class_may_be_replaced(channel):
    error = ShopError("text")
    error.hint, error.limit, error.code = "come back", 3, 1
    vars(error)["explain"] = error.value = 1
    got = await relayed(channel(), error)
    assert isinstance(got, ShopError)
    assert (got.hint, got.limit, got.code) == ("come back", 3, 1)
    assert (got.explain(), got.value) == ("it is closed", None)


async def test_the_names_of_this_package_go_before_those_of_a_class(channel):
    error = await answered(channel(), hostile(f"{__name__}:OwnWordsError", {"code": 7}))
    assert isinstance(error, OwnWordsError)
    assert (error.name, error.message, error.stack, error.code) == (
        "ValueError",
        "text",
        "stack",
        7,
    )
    assert error.__notes__ == ["Remote traceback:\nstack"]
    again = await relayed(channel(), error)
    assert (type(again), again.message) == (type(error), "text")


@pytest.mark.parametrize(
    "args",
    [
        ("text", ("file", 1, 1, "", 1, 10**12)),
        ("text", ("file", 1, 1, 5)),
        ("text", ["file", "1", {}, "line"]),
        ("text", (1, 1, 1, "line", 1, 2, (1, 2, "source"))),
        ("text", ("file", 1, 10**7, "line")),
        ({"a": 1}, ("file", 1, 1, "line")),
        (["text"],),
        ("text", None),
        ("text", ()),
        ("text", 1, 2),
    ],
    ids=repr,
)
async def test_the_place_of_a_syntax_error_is_checked(channel, args):
    error = await answered(
        channel(), hostile("builtins:SyntaxError", {"print_file_and_line": 1}, args)
    )
    assert isinstance(error, SyntaxError)
    assert len("".join(traceback.format_exception(error))) < 5000
    check_whole(error)
    assert (await relayed(channel(), error)).message == "text"


async def test_the_place_of_an_honest_syntax_error_arrives(channel):
    with pytest.raises(SyntaxError) as raised:
        compile("a = (1,,2)", "<cell>", "exec")
    error = raised.value
    got = await relayed(channel(), error)
    assert (got.msg, got.lineno, got.offset) == (error.msg, error.lineno, error.offset)
    assert "a = (1,,2)" in "".join(traceback.format_exception(got))


NOT_STRINGS = [None, 0, 1.5, True, b"text", [1], {"a": [1]}, {1}, [None] * 3]


@pytest.mark.parametrize("part", NOT_STRINGS, ids=repr)
async def test_name_message_and_stack_are_always_strings(channel, part):
    wire = {"isError": True, "value": dict.fromkeys(("name", "message", "stack", "cause"), part)}
    for python in (
        {},
        {"python": part},
        {"python": dict.fromkeys(("type", "args", "notes"), part)},
    ):
        message = {"type": "HANDLER", "name": "throw", "value": wire, **python}
        error = await answered(channel(), message)
        assert {type(text) for text in (error.name, error.message, error.stack)} == {str}
        again = await relayed(channel(), error)
        assert again.name == error.name
        assert again.message == error.message


@pytest.mark.parametrize("notes", [[1, None, ["x"], "note"], "notes", {"a": 1}, ["note"] * 1000])
async def test_notes_are_a_few_strings(channel, notes):
    error = await answered(channel(), hostile("builtins:KeyError", {}, notes=notes))
    assert all(type(note) is str for note in error.__notes__)
    assert len(error.__notes__) <= 21
    assert isinstance(await relayed(channel(), error), KeyError)


async def test_what_cannot_be_passed_on_is_left_out(channel):
    error = await answered(
        channel(), hostile("builtins:KeyError", {"code": 7, "rows": [1]}, ["key"])
    )
    error.rows, error.port = print, MessageChannel().port1
    got = await relayed(channel(), error)
    assert isinstance(got, KeyError)
    assert (got.args, got.code, vars(got).get("rows"), vars(got).get("port")) == (
        *(("key",), 7),
        *(None, None),
    )
    error.args = (print,)
    got = await relayed(channel(), error)
    assert isinstance(got, KeyError)
    assert (got.args, got.message) == ((), "text")


async def test_an_error_with_odd_attributes_is_answered_nevertheless(channel):
    class OddError(Exception):
        def __str__(self):
            raise LookupError

        @property
        def __dict__(self):
            raise LookupError

    noted = ValueError("text")
    noted.__notes__ = 1
    numbered = ValueError("text")
    vars(numbered)[1] = vars(numbered)["a b"] = 2
    named = RemoteError(1, [2], {3: 4})
    for error, name in [
        (OddError(), "OddError"),
        (noted, "ValueError"),
        (numbered, "ValueError"),
        (named, "1"),
    ]:
        got = await relayed(channel(), error)
        assert got.name == name


async def test_a_stack_is_passed_on_only_where_it_may_be_seen(channel):
    error = await answered(channel(), hostile("builtins:KeyError", {}))
    wire = wire_of_error(error, traceback=False)
    assert "stack" not in repr(wire).replace("'stack': ''", "")
    again = error_from(wire_of_error(error, traceback=True))
    assert again.__notes__ == error.__notes__ == ["Remote traceback:\nstack"]


async def test_errors_as_values_keep_the_same_rules(channel):
    here, there = channel()
    error = error_from(hostile("builtins:ValueError", {"code": 7}))
    vars(error).update(js_error=5, builtin=[1], add_note=1)
    here.post_message([error, {"error": error}])
    first, second = await there.receive()
    for error in (first, second["error"]):
        assert (error.name, error.message, str(error)) == ("ValueError", "text", str(error))
        error.add_note("one more")
        assert type(wire_of_error(error, traceback=True)["value"]["value"]["stack"]) is str
