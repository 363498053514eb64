"""Comlink's wire as a state machine: what each message, good or bad, makes it do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_msgchan._codec.wire import raw, thrown
from pyodide_msgchan._rpc.protocol import (
    Answer,
    Cancel,
    ComlinkProtocol,
    Detach,
    Discard,
    Execute,
    SettleCall,
    StreamItem,
    StreamRequest,
)


@pytest.fixture
def exposing():
    machine = ComlinkProtocol("test-")
    machine.expose()
    return machine


def test_request_and_reply():
    machine = ComlinkProtocol("me-")
    message = machine.request("APPLY", ("a", "b"), machine.expect("token"), argumentList=[raw(1)])
    assert message == {
        "id": "me-1",
        "type": "APPLY",
        "path": ["a", "b"],
        "argumentList": [{"type": "RAW", "value": 1}],
    }
    reply = {"id": "me-1", "type": "RAW", "value": 2}
    assert machine.received(reply) == SettleCall("token", reply)
    assert machine.received(reply) == Discard([reply])  # it was answered before
    assert machine.request("GET", (), machine.expect("next"))["id"] == "me-2"


NUMBERS = ["", "01", "2", "0", "-1", "+1", "1 ", " 1", "1.0", "1e0", "1_0", "\u0661", "0x1"]


@pytest.mark.parametrize(
    "reply",
    [
        {"id": "other", "type": "RAW", "value": 2},
        *({"id": f"me-{what}", "type": "RAW"} for what in (*NUMBERS, "9" * 5000)),
        {"type": "RAW", "value": 2},
        {"id": ["unhashable"], "type": "HANDLER", "name": "proxy", "value": None},
        {"id": "x" * 10**6, "type": "RAW"},
    ],
)
def test_replies_to_calls_never_made_are_let_go(reply):
    machine = ComlinkProtocol("me-")
    machine.request("GET", ("x",), machine.expect("token"))
    assert machine.received(reply) == Discard([reply])


@pytest.mark.parametrize("kind", ["GET", "APPLY", "CONSTRUCT", "ENDPOINT"])
def test_requests_run_once_something_is_exposed(exposing, kind):
    wires = [raw(1)]
    run = Execute(7, kind, ("x",), wires, {})
    message = {"id": 7, "type": kind, "path": ["x"], "argumentList": wires}
    assert exposing.received(message) == run
    assert exposing.running == {7}
    assert exposing.reply(7, raw("done")) == {"type": "RAW", "value": "done", "id": 7}
    assert exposing.reply(7, raw("again")) is None


def test_what_comes_before_anything_is_exposed_waits():
    machine = ComlinkProtocol("me-")
    for id_ in ("a", "b"):
        assert machine.received({"id": id_, "type": "GET", "path": ["x"]}) is None
    assert machine.received({"id": "a", "type": "CANCEL"}) == Discard([])
    assert [run.id for run in machine.expose()] == ["b"]
    assert machine.running == {"b"}


def test_not_everything_waits_for_ever():
    machine = ComlinkProtocol("me-")
    for id_ in range(1, 1001):
        assert machine.received({"id": id_, "type": "GET", "path": ["x"]}) is None
    refusal = machine.received({"id": 1001, "type": "GET", "path": ["x"]})
    assert isinstance(refusal, Answer)
    assert refusal.message["name"] == "throw"
    assert refusal.message["id"] == 1001


def test_missing_path_and_arguments_are_empty(exposing):
    assert exposing.received({"id": "a", "type": "APPLY"}) == Execute("a", "APPLY", (), [], {})
    nulls = {"id": "b", "type": "APPLY", "path": None, "argumentList": None, "keywords": None}
    assert exposing.received(nulls) == Execute("b", "APPLY", (), [], {})


def test_set_brings_its_value(exposing):
    message = {"id": "a", "type": "SET", "path": ["x"], "value": raw(3)}
    assert exposing.received(message) == Execute("a", "SET", ("x",), [raw(3)], {})


def test_release_detaches(exposing):
    exposing.received({"id": "slow", "type": "APPLY", "path": ["x"]})
    answer = exposing.received({"id": "r", "type": "RELEASE"})
    assert answer == Detach({"type": "RAW", "value": None, "id": "r"})
    exposing.stop_exposing()
    assert exposing.reply("slow", raw(1)) is None
    late = exposing.received({"id": "late", "type": "GET", "path": ["x"]})
    assert isinstance(late, Answer)
    assert "nothing is exposed here any more" in str(late.message)
    again = exposing.received({"id": "again", "type": "RELEASE"})
    assert again == Answer({"type": "RAW", "value": None, "id": "again"}, [])


def test_cancel(exposing):
    exposing.received({"id": "a", "type": "APPLY", "path": ["x"]})
    assert exposing.received({"id": "a", "type": "CANCEL"}) == Cancel("a")
    assert exposing.received({"id": "a", "type": "CANCEL"}) is None
    assert exposing.reply("a", raw(1)) is None
    number = exposing.expect("token")
    message = exposing.request("GET", ("x",), number)
    assert exposing.number_of(message["id"]) == number
    assert exposing.cancel(number) == {"type": "CANCEL", "id": message["id"]}
    assert exposing.cancel(number) is None
    late = {"id": message["id"], "type": "RAW", "value": 1}
    assert exposing.received(late) == Discard([late])


def test_two_calls_of_one_id_get_one_answer(exposing):
    first = {"id": "same", "type": "APPLY", "path": ["x"], "argumentList": [raw(1)]}
    assert isinstance(exposing.received(first), Execute)
    assert exposing.received(first) == Discard([raw(1)])
    exposing.reply("same", raw(1))
    assert isinstance(exposing.received(first), Execute)


@pytest.mark.parametrize(
    "message",
    [
        None,
        "GET",
        ["GET"],
        {},
        {"id": "a"},
        {"id": "a", "type": "get"},
        {"id": "a", "type": ["GET"]},
        {"id": "a", "type": None},
        {"type": "GET", "path": []},
        {"id": "", "type": "GET"},
        {"id": 0, "type": "GET"},
        {"id": None, "type": "GET"},
        {"id": True, "type": "GET"},
        {"id": {}, "type": "GET"},
        {"id": "x" * 1001, "type": "GET", "path": []},
        {"id": 10**5000, "type": "GET", "path": []},
        {"id": float("nan"), "type": "GET", "path": []},
        {"id": "nobody", "type": "CANCEL"},
        {"type": "ITEM"},
        {"type": "ITEM", "item": 3},
        {"type": "THROW", "item": {"type": "other"}},
        {"type": "END", "item": []},
    ],
)
def test_what_nobody_can_answer_is_dropped(exposing, message):
    assert exposing.received(message) is None
    assert not exposing.running


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "add"},
        {"path": {"0": "add"}},
        {"path": [1]},
        {"path": [["add"]]},
        {"path": ["x"] * 33},
        {"argumentList": {"length": 1}},
        {"argumentList": [1]},
        {"argumentList": [{"type": "OTHER", "value": 1}]},
        {"argumentList": "RAW"},
        {"keywords": [raw(1)]},
        {"keywords": {"a": 1}},
        {"keywords": {1: raw(1)}},
    ],
)
def test_malformed_requests_are_answered_with_an_error(exposing, wrong):
    answer = exposing.received({"id": "a", "type": "APPLY", "path": ["f"], **wrong})
    assert isinstance(answer, Answer)
    assert answer.message["id"] == "a"
    assert answer.message["value"]["value"]["name"] == "TypeError"
    assert not exposing.running


def test_what_came_with_a_malformed_request_is_let_go(exposing):
    message = {"id": "a", "type": "APPLY", "path": 3, "argumentList": [raw("port"), 5]}
    assert exposing.received(message).discard == [raw("port")]


def test_probe_tells_a_python_end(exposing):
    for machine in (exposing, ComlinkProtocol("nothing exposed")):
        answer = machine.received({"id": "p", "type": "GET", "path": ["__msgchan__"]})
        assert answer == Answer({"type": "RAW", "value": {"msgchan": 1}, "id": "p"}, [])


def test_iteration_passes_through():
    machine = ComlinkProtocol("me-")
    for message in ({"type": "ITEM", "item": raw(1)}, {"type": "END"}):
        assert machine.received(message) == StreamItem(message)
    failed = {"type": "END", "item": thrown("KeyError", "x")}
    assert machine.received(failed) == StreamItem(failed)
    for message in ({"type": "PULL", "credit": 3}, {"type": "CLOSE"}):
        assert machine.received(message) == StreamRequest(message)


def test_end_gives_all_that_waits(exposing):
    exposing.request("GET", ("x",), exposing.expect("one"))
    exposing.request("GET", ("x",), exposing.expect("two"))
    exposing.received({"id": "a", "type": "APPLY", "path": ["x"]})
    assert exposing.end() == ["one", "two"]
    assert exposing.end() == []
    assert exposing.reply("a", raw(1)) is None


FIELDS = ["id", "type", "path", "argumentList", "keywords", "value", "name", "item", "credit"]
WORDS = [
    *("GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE", "CANCEL", "RAW", "HANDLER"),
    *("PULL", "CLOSE", "THROW", "ITEM", "END", "proxy", "throw", "__msgchan__", "me-1", ""),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=8))
def test_no_message_raises(messages):
    machine = ComlinkProtocol("me-")
    machine.request("GET", ("x",), machine.expect("token"))
    for i, message in enumerate(messages):
        if i == 2:
            machine.expose()
        action = machine.received(message)
        if isinstance(action, Execute):
            assert machine.reply(action.id, raw(1))["id"] == action.id
        elif isinstance(action, Answer | Discard):
            assert all(type(wire) is dict for wire in action.discard)


@pytest.mark.parametrize("kind", ["GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE"])
def test_where_others_listen_too_nothing_is_answered_for_them(kind):
    machine = ComlinkProtocol("me-", shared=True)
    request = {"id": 1, "type": kind, "path": ["x"], "argumentList": [raw(1)], "value": raw(1)}
    malformed = {"id": 2, "type": kind, "path": 3}
    probe = {"id": 3, "type": "GET", "path": ["__msgchan__"]}
    for message in (request, malformed, probe, {"id": 1, "type": "CANCEL"}) * 1001:
        assert machine.received(message) is None
    assert machine.expose() == []  # they were meant for somebody else
    assert machine.received(probe) == Answer(raw({"msgchan": 1}) | {"id": 3}, [])
    assert machine.received(request) is not None
    machine.stop_exposing()
    for message in (request, malformed, probe):
        assert machine.received(message) is None


def test_where_others_listen_too_their_replies_are_left_alone():
    machine = ComlinkProtocol("me-", shared=True)
    number = machine.expect("token")
    for id_ in ("theirs", "me-", "me-x", "me-0", 1, None, "me2-1"):
        for reply in (raw(1), {"type": "HANDLER", "name": "proxy", "value": "port"}):
            assert machine.received({**reply, "id": id_}) is None
    reply = {**raw(1), "id": machine.id_of(number)}
    assert machine.received(reply) == SettleCall("token", reply)
    assert machine.received(reply) == Discard([reply])  # this one is known to be for nobody
