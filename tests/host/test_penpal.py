"""Penpal's handshake and calls as state machines: every order of messages, and forged ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_msgchan._rpc.protocol import Answer, Execute, SettleCall
from pyodide_msgchan.penpal.protocol import (
    Destroyed,
    DropPort,
    OfferPort,
    PenpalHandshake,
    PenpalProtocol,
    Post,
    UsePort,
)

HERE, THERE = "https://here.example", "https://there.example"
SYN = {"namespace": "penpal", "channel": None, "type": "SYN"}


class Page:
    """A side at work, with what is on its way to it."""

    def __init__(self, origin, id_, other_origins, channel=None):
        self.origin, self.machine = origin, PenpalHandshake(channel, other_origins, id_)
        self.coming, self.lines = [], []
        self.running = False

    def perform(self, steps, other, port=None):
        for step in steps:
            if isinstance(step, Post):
                other.coming.append((step.message, self.origin, step.origin, None))
            elif isinstance(step, OfferPort):
                line = object()
                other.coming.append((step.message, self.origin, step.origin, line))
                self.lines.append(line)
            elif isinstance(step, UsePort):
                self.lines.append(port)
            elif isinstance(step, DropPort):
                self.lines.append(None)

    def take(self, other):
        """Hear the next message, as the browser would deliver it."""
        message, origin, target, port = self.coming.pop(0)
        if self.running and target in ("*", self.origin):
            self.perform(self.machine.received(message, origin, port is not None), other, port)


@given(st.data(), st.sampled_from(["ab", "ba"]))
def test_either_side_first_in_every_order(data, ids):
    one, two = Page(HERE, ids[0], {THERE}), Page(THERE, ids[1], {HERE})
    pages = {"one": (one, two), "two": (two, one)}
    while True:
        able = [name for name, (page, _) in pages.items() if not page.running or page.coming]
        if not able:
            break
        page, other = pages[data.draw(st.sampled_from(able))]
        if page.coming and (page.running or data.draw(st.booleans())):
            page.take(other)  # which is lost, before it runs
        elif not page.running:
            page.running = True
            page.perform(page.machine.start(), other)
    assert one.lines == two.lines
    assert len(one.lines) == 1


def connected(ids="ab"):
    one, two = Page(HERE, ids[0], {THERE}), Page(THERE, ids[1], {HERE})
    for page, other in ((one, two), (two, one)):
        page.running = True
        page.perform(page.machine.start(), other)
    run(one, two)
    return one, two


def run(one, two):
    while one.coming or two.coming:
        page, other = (one, two) if one.coming else (two, one)
        page.take(other)


@pytest.mark.parametrize("ids", ["abA", "abc", "ba0", "bac"])
def test_a_page_that_was_replaced_is_connected_anew(ids):
    one, two = connected(ids)
    next_two = Page(THERE, ids[2], {HERE})
    next_two.running = True
    next_two.perform(next_two.machine.start(), one)
    run(one, next_two)
    first, gone, second = one.lines
    assert [first] == two.lines
    assert gone is None
    assert [second] == next_two.lines
    assert first is not second


def test_words_that_mean_nothing_here():
    machine = PenpalHandshake(None, {THERE}, "b")
    for message in (
        None,
        "SYN",
        {**SYN, "participantId": 1},
        {**SYN, "participantId": ""},
        {**SYN, "participantId": "x" * 10_000},
        {**SYN, "participantId": "b"},  # our own, reflected
        {**SYN, "participantId": "a", "channel": "other"},
        {**SYN, "participantId": "a", "namespace": "penpal2"},
        {**SYN, "type": ["SYN"], "participantId": "a"},
        {**SYN, "type": "ACK1"},  # before any SYN
        {**SYN, "type": "ACK2"},
    ):
        assert machine.received(message, THERE, 1) == [], message


def test_each_word_counts_once_and_from_who_said_syn():
    leader, other = PenpalHandshake(None, {"*"}, "b"), PenpalHandshake(None, {"*"}, "b")
    assert [
        step.message["type"] for step in leader.received({**SYN, "participantId": "a"}, HERE, 0)
    ]
    assert leader.received({**SYN, "participantId": "a"}, HERE, 0) == []
    ack = {**SYN, "type": "ACK2"}
    assert leader.received({**SYN, "type": "ACK1"}, HERE, 0) == []  # the leader says that
    assert leader.received(ack, THERE, 1) == []
    assert leader.received(ack, HERE, 0) == []  # without a port
    assert leader.received(ack, HERE, 1) == [UsePort()]
    assert leader.received(ack, HERE, 1) == []
    other.received({**SYN, "participantId": "c"}, "null", 0)
    assert other.received(ack, "null", 1) == []
    (offer,) = other.received({**SYN, "type": "ACK1"}, "null", 0)
    assert (offer.message["type"], offer.origin) == ("ACK2", "*")
    assert other.received({**SYN, "type": "ACK1"}, "null", 0) == []


def test_nothing_is_posted_to_an_origin_that_is_not_allowed():
    machine = PenpalHandshake("side", {HERE, THERE}, "b")
    steps = machine.start() + machine.received(
        {**SYN, "channel": "side", "participantId": "a"}, THERE, 0
    )
    assert [step.origin for step in steps] == [HERE, THERE, THERE, THERE]
    assert {step.message["channel"] for step in steps} == {"side"}
    assert [step.origin for step in PenpalHandshake(None, {"null", HERE}, "b").start()] == ["*"]


def call(**more):
    return {**SYN, "type": "CALL", "id": "1", "methodPath": ["add"], "args": [1, 2]} | more


def test_a_call_and_its_answers():
    calls, peer = PenpalProtocol("x", None), PenpalProtocol("y", None)
    message = calls.request("APPLY", ("a", "b"), calls.expect("token"), argumentList=[{"value": 1}])
    asked = peer.received(message)
    assert asked == Execute(message["id"], "APPLY", ("a", "b"), [{"type": "RAW", "value": 1}], {})
    assert peer.received(message) is None  # two calls can't have one answer
    reply = peer.reply(asked.id, {"type": "RAW", "value": 3})
    assert peer.reply(asked.id, {"type": "RAW", "value": 3}) is None
    assert calls.received(reply) == SettleCall("token", {"type": "RAW", "value": 3})
    assert calls.received(reply) is None

    message = calls.request("APPLY", ("a",), calls.expect("again"), argumentList=[])
    peer.received(message)
    error = {"name": "KeyError", "message": "'x'", "stack": ""}
    settled = calls.received(peer.fail(message["id"], error))
    assert settled.wire["value"] == {"isError": True, "value": error}
    assert peer.fail(message["id"], error) is None
    peer.received(call())
    words = peer.fail("1", error, found=False)["value"]
    assert (words["name"], words["penpalCode"]) == ("PenpalError", "METHOD_NOT_FOUND")


def test_what_was_thrown_and_is_no_error():
    calls = PenpalProtocol("x", None)
    id_ = calls.request("APPLY", ("a",), calls.expect("token"), argumentList=[])["id"]
    reply = {**SYN, "type": "REPLY", "callId": id_, "isError": True, "value": "text"}
    assert calls.received(reply).wire["value"] == {"isError": False, "value": "text"}


@pytest.mark.parametrize(
    "more",
    [
        {"methodPath": "add"},
        {"methodPath": [1]},
        {"methodPath": ["a"] * 99},
        {"methodPath": None},
        {"args": {}},
        {"args": None},
    ],
)
def test_malformed_calls_are_answered_by_an_error(more):
    answer = PenpalProtocol("x", None).received(call(**more))
    assert isinstance(answer, Answer)
    assert answer.message["value"]["name"] == "TypeError"


@pytest.mark.parametrize(
    "message",
    [
        None,
        3,
        [],
        call(id=1),
        call(id=""),
        call(id="x" * 10_000),
        call(channel="other"),
        call(namespace=""),
        call(type="WALK"),
        {"type": "RAW", "id": "x-1"},
        {**SYN, "type": "REPLY", "callId": "never", "value": 1},
        {**SYN, "type": "REPLY", "callId": ["x"]},
    ],
)
def test_what_nobody_can_answer_is_dropped(message):
    calls = PenpalProtocol("x", None)
    calls.request("APPLY", ("a",), calls.expect("token"), argumentList=[])
    assert calls.received(message) is None
    assert calls.received({**SYN, "type": "DESTROY"}) == Destroyed()
