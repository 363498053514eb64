"""The handshake's rules, one by one: events in, actions out."""

import math
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyodide_msgchan._connection.handshake import initiator, responder
from pyodide_msgchan._connection.handshake.base import GOODBYE, TAKEN, WRONG_NONCE, fresh_id
from pyodide_msgchan._connection.handshake.initiator import Initiator
from pyodide_msgchan._connection.handshake.responder import Responder
from pyodide_msgchan._connection.wire import (
    Adopt,
    Close,
    Connected,
    Discard,
    Envelope,
    Fail,
    Offer,
    PeerReplaced,
    Post,
    Send,
    SetTimer,
    StopTimer,
)
from pyodide_msgchan.errors import HandshakeError, VersionMismatchError

APP = "https://app.example"
HOST = "https://host.example"
EVIL = "https://evil.example"
WINDOW = object()
ABOUT = {
    "version": "1.2",
    "runtime": "pyodide 314.0.7",
    "capabilities": ["clone"],
    "loaded": 12.5,
}


def ids(prefix):
    return map("{}{}".format, [prefix] * 1000, range(1000)).__next__


def caller(*, allowed=(APP,), opaque=False, **rest):
    return Initiator("n", opaque=opaque, allowed=allowed, make_id=ids("c"), **rest)


def listener(*, allowed=(HOST,), opaque=False, many=False, **rest):
    return Responder("n", opaque=opaque, allowed=allowed, many=many, make_id=ids("l"), **rest)


def envelope(kind, sender="x0", **fields):
    return Envelope(
        **{
            "version": 1,
            "type": kind,
            "name": "n",
            "id": sender,
            "nonce": f"secret of {sender}" if kind in {"hello", "probe"} else "",
            **fields,
        }
    )


def same(actions, *expected):
    """Compare with their types: named tuples of different names can be equal."""
    return [(type(a), a) for a in actions] == [(type(a), a) for a in expected]


def offer_to(machine, peer="c7", ports="ports", origin=HOST):
    return machine.heard(envelope("offer", peer, to="l0", ports=ports), origin, WINDOW)


def accepted(machine, peer="c7", ports="ports"):
    """Bring an accept to where it is taken."""
    offer_to(machine, peer, ports)
    return machine.control(1, {"type": "confirm"})


# Announcements


def test_each_side_announces_itself_once_to_each_allowed_origin():
    one, two = caller(allowed=[HOST, APP]).start()
    assert (one.origin, two.origin) == (APP, HOST)
    assert one == Post(envelope("probe", "c0", nonce="c1"), APP, None)
    assert same(listener().start(), Post(envelope("hello", "l0", nonce="l1"), HOST, None))


@pytest.mark.parametrize("allowed", [["*"], ["null"], [APP, "null"]])
def test_what_cannot_be_named_is_announced_to_everybody(allowed):
    assert [post.origin for post in caller(allowed=allowed).start()] == ["*"]


def test_an_announcement_says_when_the_page_had_loaded():
    [post] = caller(describe=lambda _: ABOUT).start()
    assert post.envelope.loaded == 12.5
    [post] = caller().start()
    assert post.envelope.loaded == -1


def test_ids_are_fresh_and_long():
    made = {fresh_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in made)


# Caller


def test_a_caller_offers_to_the_very_page_that_said_hello():
    actions = caller().heard(envelope("hello", "l0"), APP, WINDOW)
    assert same(actions, Offer(1, envelope("offer", "c0", to="l0"), APP, WINDOW))
    assert "secret" not in repr(actions)


def test_the_right_nonce_connects_and_the_peer_is_described():
    machine = caller(describe=lambda _: ABOUT)
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    acceptance = {**ABOUT, "type": "acceptance", "nonce": "secret of l0", "lock": "k"}
    confirm, connected = machine.control(1, acceptance)
    assert confirm == Send(1, {**ABOUT, "type": "confirm"})
    assert type(connected) is Connected
    assert connected.peer == (APP, "pyodide 314.0.7", "1.2", {"clone"}, 12.5, "k")
    assert machine.control(1, acceptance) == []


@pytest.mark.parametrize("nonce", ["secret of l1", "", None, 7, b"secret of l0"])
def test_a_wrong_nonce_closes_both_ports_and_the_next_hello_is_offered_to(nonce):
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    actions = machine.control(1, {"type": "acceptance", "nonce": nonce})
    assert same(actions, Send(1, WRONG_NONCE), Close(1))
    assert machine.control(1, {"type": "acceptance", "nonce": "secret of l0"}) == []
    [offer] = machine.heard(envelope("hello", "l0"), APP, WINDOW)
    assert offer.attempt == 2


def test_a_hello_without_a_nonce_is_no_hello():
    assert caller().heard(envelope("hello", "l0", nonce=""), APP, WINDOW) == []


def test_a_second_hello_of_the_same_listener_is_ignored():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    assert machine.heard(envelope("hello", "l0", to="c0"), APP, WINDOW) == []


def test_a_hello_of_another_listener_gets_the_offer_anew():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    actions = machine.heard(envelope("hello", "l5"), APP, WINDOW)
    assert same(
        actions,
        Send(1, GOODBYE),
        Close(1),
        Offer(2, envelope("offer", "c0", to="l5"), APP, WINDOW),
    )


def test_two_listeners_of_one_page_do_not_call_a_caller_to_and_fro():
    machine = caller()
    for peer in ("l0", "l5"):
        machine.heard(envelope("hello", peer), APP, WINDOW)
    assert machine.heard(envelope("hello", "l0", to="c0"), APP, WINDOW) == []
    machine.control(2, GOODBYE)
    assert type(machine.heard(envelope("hello", "l0", to="c2"), APP, WINDOW)[0]) is Offer


@pytest.mark.parametrize(
    "origin,changes",
    [
        (EVIL, {}),
        (APP + ".evil.example", {}),
        ("null", {}),
        (APP, {"name": "other"}),
        (APP, {"to": "c1"}),
        (APP, {"id": ""}),
        (APP, {"id": "c0"}),
    ],
)
def test_what_is_not_for_a_caller_is_dropped(origin, changes):
    machine = caller()
    hello = envelope("hello", "l0")._replace(**changes)
    assert machine.heard(hello, origin, WINDOW) == []
    refusal = envelope("refusal", "l0", to="c0", reason="taken")._replace(**changes)
    assert machine.heard(refusal, origin, WINDOW) == []


def test_any_origin_is_offered_to_by_its_name():
    [offer] = caller(allowed=["*"]).heard(envelope("hello", "l0"), EVIL, WINDOW)
    assert offer.origin == EVIL


def test_a_refusal_fails_at_once():
    for refuse in (
        lambda machine: machine.heard(
            envelope("refusal", "l0", to="c0", reason="taken"), APP, WINDOW
        ),
        lambda machine: machine.control(1, TAKEN),
    ):
        machine = caller()
        machine.heard(envelope("hello", "l0"), APP, WINDOW)
        *closing, fail = refuse(machine)
        assert same(closing, Send(1, GOODBYE), Close(1))
        assert type(fail) is Fail
        assert type(fail.error) is HandshakeError
        assert str(fail.error).startswith("already taken: ")
        assert machine.heard(envelope("hello", "l9"), APP, WINDOW) == []


def test_a_caller_whose_listener_ended_before_its_offer_came_finds_another_one_of_that_page():
    # Two runtimes of one page each have a listener, and both answered the probe.
    first, second = listener(), Responder("n", opaque=False, allowed=[HOST], many=False)
    machine = caller()
    hellos = [one.start()[0].envelope for one in (second, first)]
    offers = [action for hello in hellos for action in machine.heard(hello, APP, WINDOW)]
    late = offers[-1].envelope._replace(ports="ports")
    assert late.to == "l0"
    [goodbye] = first.cancel()
    assert same([goodbye], Post(envelope("goodbye", "l0"), HOST, None))
    assert same(first.heard(late, HOST, WINDOW), Discard("ports"))
    *closing, probe = machine.heard(goodbye.envelope, APP, WINDOW)
    assert same(closing, Send(2, GOODBYE), Close(2))
    assert same([probe], Post(envelope("probe", "c2", nonce="c3"), APP, None))
    [hello] = second.heard(probe.envelope, HOST, WINDOW)
    [offer] = machine.heard(hello.envelope, APP, WINDOW)
    assert type(offer) is Offer
    assert offer.envelope.to == second._id
    assert machine.heard(goodbye.envelope, APP, WINDOW) == []


def test_a_caller_that_waits_for_the_offer_of_a_listener_that_ended_starts_again():
    machine = caller(allowed=["null"])
    machine.heard(envelope("hello", "l0"), "null", WINDOW)
    goodbye = envelope("goodbye", "l0")
    probe = Post(envelope("probe", "c2", nonce="c3"), "*", None)
    assert same(machine.heard(goodbye, "null", WINDOW), probe)
    machine.heard(envelope("offer", "l5", to="c2", ports="ports"), "null", WINDOW)
    assert machine.heard(goodbye, "null", WINDOW) == []
    assert len(machine.control(1, GOODBYE)) == 2  # the control port tells of the end of that one


def test_a_goodbye_that_overtakes_the_confirm_of_an_opaque_listener_ends_nothing():
    machine = caller(allowed=["null"])
    machine.heard(envelope("hello", "l0"), "null", WINDOW)
    machine.heard(envelope("offer", "l0", to="c0", ports="ports"), "null", WINDOW)
    assert machine.heard(envelope("goodbye", "l0"), "null", WINDOW) == []
    [connected] = machine.control(1, {"type": "confirm"})
    assert connected.peer.origin == "null"


def test_the_next_hello_of_an_opaque_listener_may_overtake_its_confirm():
    machine = caller(allowed=["null"])
    machine.heard(envelope("hello", "l0"), "null", WINDOW)
    machine.heard(envelope("offer", "l0", to="c0", ports="ports"), "null", WINDOW)
    probe = Post(envelope("probe", "c0", to="l5", nonce="c1"), "*", WINDOW)
    assert same(machine.heard(envelope("hello", "l5"), "null", WINDOW), probe)
    assert machine.heard(envelope("goodbye", "l5"), "null", WINDOW) == []
    assert same(
        machine.heard(envelope("hello", "l6"), "null", WINDOW),
        probe._replace(envelope=probe.envelope._replace(to="l6")),
    )
    [connected] = machine.control(1, {"type": "confirm"})
    assert type(connected) is Connected
    # Its accept learns at once that nobody will answer this offer, and offers to the next one.
    late = envelope("offer", "l6", to="c0", ports="late")
    assert same(machine.heard(late, "null", WINDOW), Discard("late", GOODBYE))


def test_an_opaque_listener_whose_page_was_replaced_is_superseded_by_the_offer_of_the_next():
    machine = caller(allowed=["null"])
    machine.heard(envelope("hello", "l0"), "null", WINDOW)
    machine.heard(envelope("offer", "l0", to="c0", ports="ports"), "null", WINDOW)
    machine.heard(envelope("hello", "l5"), "null", WINDOW)
    offer = envelope("offer", "l5", to="c0", ports="new")
    *closing, adopt, _acceptance = machine.heard(offer, "null", WINDOW)
    assert same(closing, Send(1, GOODBYE), Close(1))
    assert adopt == Adopt(2, "new")
    [connected] = machine.control(2, {"type": "confirm"})
    assert type(connected) is Connected


def test_a_goodbye_of_any_other_listener_changes_nothing():
    machine = caller()
    for peer in ("l0", "l5"):
        assert machine.heard(envelope("goodbye", peer), APP, WINDOW) == []
        machine.heard(envelope("hello", peer), APP, WINDOW)
    assert machine.heard(envelope("goodbye", "l0"), APP, WINDOW) == []
    machine.control(2, {"type": "acceptance", "nonce": "secret of l5"})
    assert machine.heard(envelope("goodbye", "l5"), APP, WINDOW) == []


def test_who_calls_again_waits_for_the_next_hello_instead():
    # The listener's connection before may be over, and its last goodbye still on its way.
    machine = caller()
    machine.wait_if_taken = True
    refusal = envelope("refusal", "l0", to="c0", reason="taken")
    assert machine.heard(refusal, APP, WINDOW) == []
    assert type(machine.heard(envelope("hello", "l1"), APP, WINDOW)[0]) is Offer
    assert machine.control(1, TAKEN) == [Close(1)]
    assert type(machine.heard(envelope("hello", "l2"), APP, WINDOW)[0]) is Offer
    version = refusal._replace(id="l2", reason="version", version=9)
    assert type(machine.heard(version, APP, WINDOW)[-1]) is Fail


REFUSAL = envelope("refusal", "l0", to="c0", reason="taken")
PROBE = Post(envelope("probe", "c0", nonce="c1"), APP, None)


def leaver(*, ending=True):
    """A caller whose page has just left the listener that it calls."""
    machine = caller()
    machine.may_be_ending = lambda: ending
    return machine


def test_who_was_there_just_now_probes_again_when_its_goodbye_must_have_come():
    machine = leaver()
    assert same(machine.heard(REFUSAL, APP, WINDOW), SetTimer(initiator.RETRY_DELAY))
    assert machine.heard(REFUSAL, APP, WINDOW) == []
    assert "on the other side is taken" in str(machine.timeout(1))
    assert same(machine.expired(), PROBE)
    assert machine.expired() == []
    machine.may_be_ending = lambda: False
    [fail] = machine.heard(REFUSAL, APP, WINDOW)
    assert fail.error.code == "taken"


def test_the_next_hello_is_taken_in_the_meantime():
    machine = leaver()
    machine.heard(REFUSAL, APP, WINDOW)
    stop, offer = machine.heard(envelope("hello", "l1"), APP, WINDOW)
    assert same([stop], StopTimer())
    assert type(offer) is Offer
    assert machine.expired() == []
    assert machine.heard(REFUSAL, APP, WINDOW) == []  # another one's
    assert same(machine.control(1, TAKEN), Close(1), SetTimer(initiator.RETRY_DELAY))
    assert same(machine.cancel(), StopTimer())


def test_an_offer_that_is_refused_with_its_probe_is_given_up_once():
    machine = leaver()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    assert machine.heard(REFUSAL, APP, WINDOW) == []
    assert same(machine.control(1, TAKEN), Close(1), SetTimer(initiator.RETRY_DELAY))
    assert type(machine.heard(envelope("hello", "l0"), APP, WINDOW)[1]) is Offer


def test_who_would_be_taken_by_its_own_page_fails_at_once():
    [fail] = leaver(ending=False).heard(REFUSAL, APP, WINDOW)
    assert fail.error.code == "taken"


def test_a_refusal_that_is_not_ours_changes_nothing():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    for changes in ({"to": ""}, {"to": "c9"}, {"id": "l7"}, {"reason": "mood"}):
        refusal = envelope("refusal", "l0", to="c0", reason="taken")._replace(**changes)
        assert machine.heard(refusal, APP, WINDOW) == []
    assert machine.control(1, {"type": "acceptance", "nonce": "secret of l0"})


def test_a_caller_that_is_dropped_starts_again_as_a_new_one():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    probe = Post(envelope("probe", "c2", nonce="c3"), APP, None)
    assert same(machine.control(1, GOODBYE), Close(1), probe)
    assert type(machine.heard(envelope("hello", "l0", to="c2"), APP, WINDOW)[0]) is Offer


@pytest.mark.parametrize("kind", ["hello", "refusal"])
def test_another_version_fails_a_caller(kind):
    [fail] = caller().heard(envelope(kind, "l0", version=2, to="c0"), APP, WINDOW)
    assert (fail.error.ours, fail.error.theirs) == (1, 2)
    assert type(fail.error) is VersionMismatchError


def test_another_listener_in_the_connected_window_is_told_once_each():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    machine.control(1, {"type": "acceptance", "nonce": "secret of l0"})
    assert machine.heard(envelope("hello", "l0"), APP, WINDOW) == []
    assert same(machine.heard(envelope("hello", "l5"), APP, WINDOW), PeerReplaced(1))
    assert machine.heard(envelope("hello", "l5"), APP, WINDOW) == []
    assert same(machine.heard(envelope("hello", "l6"), APP, WINDOW), PeerReplaced(1))
    assert machine.release(1) == []
    assert machine.heard(envelope("hello", "l7"), APP, WINDOW) == []
    assert machine.restored() == []


def test_a_cancelled_caller_says_goodbye_and_is_deaf():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    assert same(machine.cancel(), Send(1, GOODBYE), Close(1))
    assert machine.cancel() == []
    assert machine.restored() == []
    assert machine.heard(envelope("hello", "l5"), APP, WINDOW) == []
    assert machine.control(1, {"type": "acceptance", "nonce": "secret of l0"}) == []


def test_a_restored_caller_is_a_new_one():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    *closing, probe = machine.restored()
    assert same(closing, Send(1, GOODBYE), Close(1))
    assert same([probe], Post(envelope("probe", "c2", nonce="c3"), APP, None))
    assert machine.heard(envelope("hello", "l0", to="c0"), APP, WINDOW) == []
    assert type(machine.heard(envelope("hello", "l0", to="c2"), APP, WINDOW)[0]) is Offer


def test_a_restored_connection_ends():
    machine = caller()
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    machine.control(1, {"type": "acceptance", "nonce": "secret of l0"})
    assert same(machine.restored(), Close(1))
    assert machine.heard(envelope("hello", "l5"), APP, WINDOW) == []


# Turned: an opaque listener offers


def test_a_caller_asks_an_opaque_listener_for_the_offer_and_accepts_it():
    machine = caller(allowed=["null"])
    machine.start()
    assert same(
        machine.heard(envelope("hello", "l0"), "null", WINDOW),
        Post(envelope("probe", "c0", nonce="c1", to="l0"), "*", WINDOW),
    )
    offer = envelope("offer", "l0", to="c0", ports="ports")
    assert same(
        machine.heard(offer, "null", WINDOW),
        Adopt(1, "ports"),
        Send(1, {"type": "acceptance", "nonce": "c1"}),
    )
    assert same(machine.heard(offer._replace(ports="again"), "null", WINDOW), Discard("again"))
    assert machine.heard(envelope("hello", "l0"), "null", WINDOW) == []
    [connected] = machine.control(1, {"type": "confirm"})
    assert connected.peer.origin == "null"
    late = envelope("offer", "l5", to="c0", ports="late")
    assert same(machine.heard(late, "null", WINDOW), Discard("late", GOODBYE))


def test_a_hello_that_asks_for_a_probe_ends_an_offer_to_the_page_before():
    machine = caller(allowed=["*"])
    machine.heard(envelope("hello", "l0"), APP, WINDOW)
    *closing, probe = machine.heard(envelope("hello", "l5"), "null", WINDOW)
    assert same(closing, Send(1, GOODBYE), Close(1))
    assert probe.envelope.to == "l5"
    refusal = envelope("refusal", "l5", to="c0", reason="taken")
    assert type(machine.heard(refusal, "null", WINDOW)[0]) is Fail


def test_an_offer_of_another_opaque_listener_replaces_the_pending_one():
    machine = caller(allowed=["null"])
    machine.heard(envelope("offer", "l0", to="c0", ports="old"), "null", WINDOW)
    actions = machine.heard(envelope("offer", "l5", to="c0", ports="new"), "null", WINDOW)
    assert same(actions[:3], Send(1, GOODBYE), Close(1), Adopt(2, "new"))


@pytest.mark.parametrize(
    "origin,changes",
    [
        (APP, {}),
        ("null", {"version": 2}),
        ("null", {"name": "m"}),
    ],
)
def test_an_offer_that_a_caller_must_not_take_has_its_ports_closed(origin, changes):
    offer = envelope("offer", "l0", to="c0", ports="ports")._replace(**changes)
    machine = caller(allowed=["null", APP])
    assert same(machine.heard(offer, origin, WINDOW), Discard("ports"))


def test_an_opaque_listener_offers_to_the_origin_it_heard_and_checks_the_nonce():
    for nonce in ("secret of c7", "guess"):
        machine = listener(opaque=True)
        assert same(
            machine.heard(envelope("probe", "c7"), HOST, WINDOW),
            Offer(1, envelope("offer", "l0", to="c7"), HOST, WINDOW),
        )
        assert machine.heard(envelope("probe", "c7"), HOST, WINDOW) == []
        actions = machine.control(1, {"type": "acceptance", "nonce": nonce})
        if nonce == "guess":
            assert same(actions, Send(1, WRONG_NONCE), Close(1))
        else:
            assert [type(action) for action in actions] == [Send, Connected]
            assert machine.heard(envelope("probe", "c7"), HOST, WINDOW) == []


def test_an_opaque_accept_offers_to_one_caller_at_a_time():
    machine = listener(opaque=True)
    machine.heard(envelope("probe", "c7"), HOST, WINDOW)
    assert same(machine.heard(envelope("probe", "c8"), HOST, WINDOW), SetTimer(5))
    assert machine.heard(envelope("probe", "c8"), HOST, WINDOW) == []
    assert same(
        machine.expired(),
        Send(1, GOODBYE),
        Close(1),
        Offer(2, envelope("offer", "l0", to="c8"), HOST, WINDOW),
        StopTimer(),
    )
    machine.heard(envelope("probe", "c9"), HOST, WINDOW)
    actions = machine.control(2, {"type": "acceptance", "nonce": "secret of c8"})
    refusal = envelope("refusal", "l0", to="c9", reason="taken")
    assert same(actions[:2], StopTimer(), Post(refusal, HOST, WINDOW))


def test_two_opaque_pages_have_no_name_to_offer_to():
    [offer] = caller(opaque=True, allowed=["null"]).heard(envelope("hello", "l0"), "null", WINDOW)
    assert (type(offer), offer.origin) == (Offer, "*")
    machine = listener(opaque=True, allowed=["*"])
    [hello] = machine.heard(envelope("probe", "c7"), "null", WINDOW)
    assert (hello.envelope.type, hello.origin) == ("hello", "*")
    assert type(offer_to(machine, origin="null")[0]) is Adopt


# Listener

PARTING = Post(envelope("goodbye", "l0"), HOST, None)


def test_a_listener_answers_each_probe_with_its_hello():
    machine = listener()
    hello = envelope("hello", "l0", nonce="l1", to="c7")
    for _ in range(2):
        actions = machine.heard(envelope("probe", "c7"), HOST, WINDOW)
        assert same(actions, Post(hello, HOST, WINDOW))


def test_an_offer_is_accepted_and_the_confirm_connects():
    machine = listener(describe=lambda _: ABOUT)
    assert same(
        offer_to(machine),
        Adopt(1, "ports"),
        Send(1, {**ABOUT, "type": "acceptance", "nonce": "l1"}),
    )
    assert machine.control(1, {"type": "acceptance", "nonce": "l1"}) == []
    [connected] = machine.control(1, {"type": "confirm", "runtime": "javascript"})
    assert (connected.attempt, connected.peer.origin) == (1, HOST)
    assert connected.peer.runtime == "javascript"


@pytest.mark.parametrize(
    "origin,changes",
    [
        (EVIL, {}),
        ("null", {}),
        (HOST, {"name": "m"}),
        (HOST, {"version": 2}),
        (HOST, {"id": "l0"}),
    ],
)
def test_an_offer_that_a_listener_must_not_take_has_its_ports_closed(origin, changes):
    offer = envelope("offer", "c7", to="l0", ports="ports")._replace(**changes)
    assert same(listener().heard(offer, origin, WINDOW), Discard("ports"))


def test_an_offer_to_another_side_of_the_page_is_left_to_it():
    for to in ("", "x"):
        offer = envelope("offer", "y0", to=to, ports="ports")
        assert listener().heard(offer, HOST, WINDOW) == []
        assert caller(allowed=["null"]).heard(offer, "null", WINDOW) == []


def test_an_opaque_listener_takes_no_offer_of_a_page_that_it_can_name():
    assert same(offer_to(listener(opaque=True)), Discard("ports"))


def test_an_offer_without_ports_is_dropped():
    assert offer_to(listener(), ports=None) == []


@pytest.mark.parametrize("many", [False, True])
def test_a_replayed_offer_is_dropped_while_the_first_lives(many):
    machine = listener(many=many)
    offer_to(machine)
    assert same(offer_to(machine, ports="again"), Discard("again"))
    machine.control(1, {"type": "confirm"})
    assert same(offer_to(machine, ports="again"), Discard("again"))
    machine.release(1)
    assert type(offer_to(machine, ports="again")[0]) is (Adopt if many else Discard)


def test_nobody_can_use_up_the_id_of_a_page_of_another_origin():
    machine = listener(allowed=["*"], many=True)
    offer_to(machine, origin=EVIL)
    assert type(offer_to(machine)[0]) is Adopt


def test_an_accept_that_is_taken_refuses_until_it_is_released():
    machine = listener()
    accepted(machine)
    probe = machine.heard(envelope("probe", "c8"), HOST, WINDOW)
    refusal = envelope("refusal", "l0", to="c8", reason="taken")
    assert same(probe, Post(refusal, HOST, WINDOW))
    assert same(offer_to(machine, "c8"), Discard("ports", TAKEN))
    assert machine.cancel() == []
    assert same(offer_to(machine, "c8"), Discard("ports", TAKEN))
    assert same(machine.release(1), PARTING)
    assert machine.release(1) == machine.cancel() == []
    assert machine.heard(envelope("probe", "c8"), HOST, WINDOW) == []
    assert same(offer_to(machine, "c8"), Discard("ports"))


def test_rivals_wait_for_the_pending_one_and_are_refused_when_it_confirms():
    machine = listener()
    offer_to(machine, "c0")
    assert same(offer_to(machine, "c1", "one"), SetTimer(5))
    for number in range(2, 9):
        assert offer_to(machine, f"c{number}", f"{number}") == []
    assert same(offer_to(machine, "c9", "nine"), Discard("nine", TAKEN))
    assert same(offer_to(machine, "c1", "again"), Discard("again"))
    stop, *refusals, connected = machine.control(1, {"type": "confirm"})
    assert type(stop) is StopTimer
    assert refusals == [Discard("one", TAKEN), *(Discard(f"{n}", TAKEN) for n in range(2, 9))]
    assert connected.attempt == 1


@pytest.mark.parametrize("message", [GOODBYE, WRONG_NONCE, TAKEN])
def test_the_next_rival_comes_up_when_the_pending_one_leaves(message):
    machine = listener()
    offer_to(machine, "c0")
    offer_to(machine, "c1", "one")
    offer_to(machine, "c2", "two")
    close, adopt, _, timer = machine.control(1, message)
    assert (close, adopt, timer) == (Close(1), Adopt(2, "one"), SetTimer(5))
    *_, stop = machine.control(2, message)
    assert type(stop) is StopTimer
    assert same(machine.control(3, message), Close(3))
    assert type(offer_to(machine, "c0")[0]) is Adopt


def test_patience_ends_only_for_a_rival():
    machine = listener()
    offer_to(machine, "c0")
    assert machine.expired() == []
    offer_to(machine, "c1", "one")
    assert same(machine.expired()[:3], Send(1, GOODBYE), Close(1), Adopt(2, "one"))


def test_a_listen_takes_all_and_drops_its_oldest_pending_one():
    machine = listener(many=True)
    for number in range(responder.MAX_PENDING):
        assert type(offer_to(machine, f"c{number}")[0]) is Adopt
    machine.control(1, {"type": "confirm"})
    assert type(offer_to(machine, "d0")[0]) is Adopt
    assert same(offer_to(machine, "d1")[:2], Send(2, GOODBYE), Close(2))
    assert machine.heard(envelope("probe", "e0"), HOST, WINDOW)[0].envelope.type == "hello"


def test_another_version_is_refused_and_the_listener_goes_on():
    machine = listener()
    refusal = envelope("refusal", "l0", to="c7", reason="version")
    probe = envelope("probe", "c7", version=2, nonce="")
    assert same(machine.heard(probe, HOST, WINDOW), Post(refusal, HOST, WINDOW))
    assert machine.heard(envelope("hello", "c7", version=2), HOST, WINDOW) == []
    assert type(offer_to(machine)[0]) is Adopt


def test_a_cancelled_listener_closes_all_that_is_pending():
    machine = listener()
    offer_to(machine, "c0")
    offer_to(machine, "c1", "one")
    dropping = StopTimer(), Discard("one", GOODBYE), Send(1, GOODBYE), Close(1)
    assert same(machine.cancel(), *dropping, PARTING)
    assert machine.cancel() == []
    assert machine.heard(envelope("probe", "c7"), HOST, WINDOW) == []
    assert machine.expired() == []
    assert machine.restored() == []


def test_a_cancelled_listen_leaves_its_connections_alone():
    machine = listener(many=True)
    offer_to(machine, "c0")
    offer_to(machine, "c1")
    machine.control(1, {"type": "confirm"})
    assert same(machine.cancel(), Send(2, GOODBYE), Close(2), PARTING)
    assert machine.release(1) == []
    assert same(offer_to(machine, "c2"), Discard("ports"))


def test_a_restored_listener_is_a_new_one():
    machine = listener(many=True)
    offer_to(machine, "c0")
    offer_to(machine, "c1")
    machine.control(1, {"type": "confirm"})
    assert same(
        machine.restored(),
        Send(2, GOODBYE),
        Close(2),
        Close(1),
        Post(envelope("hello", "l2", nonce="l3"), HOST, None),
    )
    assert offer_to(machine) == []
    machine = listener()
    accepted(machine)
    assert same(machine.restored(), Close(1))


# Workers


def test_workers_have_no_origins_and_the_owner_offers():
    machine = caller(allowed=(), worker=True)
    assert machine.start() == [Post(envelope("probe", "c0", nonce="c1"), "", None)]
    [offer] = machine.heard(envelope("hello", "l0"), "", None)
    assert (type(offer), offer.origin, offer.sender) == (Offer, "", None)
    _, connected = machine.control(1, {"type": "acceptance", "nonce": "secret of l0"})
    assert connected.peer.origin is None
    machine = listener(allowed=(), worker=True)
    assert same(offer_to(machine, origin="")[:1], Adopt(1, "ports"))
    assert str(machine.timeout(1)) == (
        "no connect from the owner of this worker within 1 s; "
        "the owner of this worker called and then fell silent"
    )


# Timeouts


def test_a_timeout_says_who_was_waited_for_and_who_spoke_instead():
    machine = caller()
    machine.rejected(EVIL)
    machine.rejected(EVIL)
    assert str(machine.timeout(10)) == (
        "no accept from https://app.example within 10 s; "
        "heard from https://evil.example, which is not allowed"
    )
    for number in range(20):
        machine.rejected(f"https://{number}.example")
    assert len(machine.timeout(10).heard) == 8


def test_a_timeout_names_all_that_were_allowed():
    assert str(caller(allowed=[HOST, APP]).timeout(0.5)) == (
        "no accept from https://app.example or https://host.example within 0.5 s"
    )
    assert str(listener(allowed=["*"]).timeout(3)) == "no connect from any origin within 3 s"
    text = "no connect from https://host.example or an opaque origin within 3 s"
    assert str(listener(allowed=["null", HOST]).timeout(3)) == text


def test_two_that_call_each_other_are_told_so():
    machine = caller()
    machine.heard(envelope("probe", "c7"), APP, WINDOW)
    assert str(machine.timeout(10)).endswith(
        "; both sides called connect: one of them must accept or listen"
    )
    machine = listener()
    machine.heard(envelope("hello", "l7"), HOST, WINDOW)
    assert machine.timeout(1).hint == "both sides called accept or listen: one of them must connect"


def test_a_timeout_in_the_middle_says_how_far_it_came():
    machine = caller(allowed=["null"], opaque=True)
    machine.heard(envelope("hello", "l0"), "null", WINDOW)
    hint = "a page of an opaque origin answered and then fell silent"
    assert machine.timeout(1).hint == hint
    machine = listener()
    offer_to(machine)
    assert machine.timeout(1).hint == "a page of https://host.example called and then fell silent"


# Junk

FIELDS = ["type", "nonce", "reason", "runtime", "version", "capabilities", "loaded", "lock", "n"]
WORDS = ["acceptance", "confirm", "refusal", "goodbye", "ping", "taken", "nonce", "c1", "__proto__"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.binary()
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=100) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=10,
)
JUNK = st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES) | st.fixed_dictionaries(
    {"type": st.sampled_from(WORDS)},
    optional=dict.fromkeys(FIELDS[1:], VALUES),
)


def stages():
    """Give machines that have an attempt 1, at every stage."""
    normal = caller()
    normal.heard(envelope("hello", "l0"), APP, WINDOW)
    turned = caller(allowed=["null"])
    turned.heard(envelope("offer", "l0", to="c0", ports="ports"), "null", WINDOW)
    accepting, offering, taken = listener(many=True), listener(opaque=True), listener()
    offer_to(accepting)
    offering.heard(envelope("probe", "c7"), HOST, WINDOW)
    accepted(taken)
    return [caller(), listener(), normal, turned, accepting, offering, taken]


@settings(max_examples=60)
@given(st.lists(JUNK, max_size=4), st.integers(-1, 3))
def test_junk_on_the_control_port_never_raises(messages, attempt):
    for machine in stages():
        for message in messages:
            for action in machine.control(attempt, message):
                if type(action) is Connected:
                    peer = action.peer
                    assert all(isinstance(peer[n], str) for n in (1, 2))
                    assert all(isinstance(one, str) and one for one in peer.capabilities)
                    assert len(peer.capabilities) <= 64
                    assert isinstance(peer.loaded, float)
                    assert math.isfinite(peer.loaded)
                    assert peer.lock is None or 0 < len(peer.lock) <= 200


def grown(work):
    """Give the bytes that a long piece of work leaves, beyond what a short one does."""
    tracemalloc.start()
    try:
        work(0, 2000)
        before = tracemalloc.get_traced_memory()[0]
        work(2000, 100_000)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_a_flood_of_junk_leaves_nothing_behind():
    machines = stages()
    kinds = ["ping", "farewell", "__proto__", "", None, 7, ["acceptance"], {"confirm": 1}]

    def flood(start, count):
        for number in range(start, start + count):
            junk = {"type": kinds[number % 8], "n": number, str(number): [number]}
            machines[number % 7].control(number // 7 % 3, junk)

    assert grown(flood) < 20_000
    assert sum(Close(1) in machine.cancel() for machine in machines) == 4


def test_a_flood_of_window_messages_leaves_no_more_than_the_limits_allow():
    machines = [listener(opaque=opaque) for opaque in (False, True)]
    machines += [caller(allowed=allowed) for allowed in ([APP], ["null"])]

    def flood(start, count):
        for number in range(start, start + count // 16):
            for kind in ("probe", "hello", "offer", "refusal"):
                junk = envelope(kind, f"x{number}", to="" if number % 2 else "l0", ports=number)
                for machine, origin in zip(machines, (HOST, HOST, APP, "null"), strict=True):
                    machine.heard(junk, origin, WINDOW)
                    machine.rejected(f"https://{number}.example")

    assert grown(flood) < 20_000


def test_a_flood_of_offers_to_a_listen_leaves_no_more_than_its_limit():
    machine = listener(many=True)

    def flood(start, count):
        for number in range(start, start + count):
            offer_to(machine, f"x{number}", number)

    assert grown(flood) < 20_000
    assert len(machine.cancel()) == 2 * responder.MAX_PENDING + len([PARTING])
