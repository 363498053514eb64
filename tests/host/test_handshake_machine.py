"""The handshake under every order of events that Hypothesis finds, in a world of windows.

The world does what browsers do: messages between two windows keep their order and nothing else is
promised; one that names a target origin arrives only if that origin is then in the window; ports
that nobody takes are dead; a page may go at any moment, with or without a word, and come back.
The profile `thorough` (conftest.py) looks for much longer.
"""

from collections import deque
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyodide_msgchan._connection.handshake.initiator import Initiator
from pyodide_msgchan._connection.handshake.responder import Responder
from pyodide_msgchan._connection.wire import Envelope

A, B, EVIL, OPAQUE, ANY = (
    "https://a.example",
    "https://b.example",
    "https://evil.example",
    "null",
    "*",
)
WINDOWS = ["host", "frame", "other"]
ROUTE = st.sampled_from(
    [("host", "frame"), ("other", "frame"), ("host", "frame"), ("frame", "host")]
)
NAME = st.sampled_from("nnnm")
CHOICE = st.sampled_from(["fit", "fit", "any", "opaque", "a"])
SAID = st.sampled_from(["acceptance", "acceptance", "confirm", "goodbye", "refusal", "ping", "?"])
HOSTILE = "hostile"  # as the holder of a port


class End:
    """One end of a channel; data and control are one here, since they travel together."""

    def __init__(self, maker, holder):
        self.maker = maker  # the side that made the channel
        self.holder = holder
        self.attempt = None
        self.addressed = None  # the offer that carried it: its envelope, and whether it was honest
        self.inbox = deque()
        self.open = True
        self.other = None


def channel(maker):
    near, far = End(maker, maker), End(maker, None)
    near.other, far.other = far, near
    return near, far


class Page:
    def __init__(self, window, origin, *, hostile=False):
        self.window, self.origin, self.hostile = window, origin, hostile
        self.sides = []


class Side:
    """A machine with what its shell keeps for it."""

    def __init__(self, page, machine, windows, **given):
        self.page, self.machine, self.windows = page, machine, windows
        self.name, self.allowed = given["name"], given["allowed"]
        self.calls, self.many = given["calls"], given.get("many", False)
        self.ids = {}  # its ids, with their nonces
        self.ends = {}
        self.connected = {}
        self.greeted = {}  # id of a peer: the origins it was heard from
        self.promised = {}  # attempt: (origin, id) of the peer
        self.connections = 0
        self.failed = None
        self.over = self.timer = False

    @property
    def call(self):
        return self.page, self.windows[0], self.name

    @property
    def waits(self):
        return not self.over and self.failed is None and not (self.connections and not self.many)

    def allows(self, origin):
        return ANY in self.allowed or origin in self.allowed


class World(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        numbers = count()
        self.make_id = lambda: f"i{next(numbers)}"
        self.now = {window: Page(window, A) for window in WINDOWS}
        self.past = {window: [] for window in WINDOWS}
        self.queues = {(one, two): deque() for one in WINDOWS for two in WINDOWS if one != two}
        self.sides = []
        self.loot = []  # envelopes that reached a hostile page
        self.looted_ends = []
        self.used = set()  # ids that a hostile page spoke in
        self.ended = set()  # (page, window, name) of calls whose goodbye may still be on its way

    # What the shell of a side does

    def perform(self, side, actions):
        for action in actions:
            getattr(self, f"do_{type(action).__name__.lower()}")(side, action)

    def do_post(self, side, action):
        for window in side.windows if action.sender is None else [action.sender]:
            self.post(side.page, window, action.origin, action.envelope)

    def post(self, page, window, target, envelope, ports=None):
        message = (envelope, ports, target, page.origin, page.hostile)
        self.queues[page.window, window].append(message)

    def do_offer(self, side, action):
        to = action.envelope.to
        assert to in side.greeted, "offered to somebody who was never heard"
        if action.origin == ANY:
            assert OPAQUE in side.greeted[to], "a page that could be named was not"
            assert side.page.origin == OPAQUE, "should have been turned"
        else:
            assert action.origin in side.greeted[to]
        assert not action.envelope.nonce
        near, far = channel(side)
        self.take(side, action.attempt, near, (action.origin, to))
        self.post(side.page, action.sender, action.origin, action.envelope, far)

    def do_adopt(self, side, action):
        end = action.ports
        assert end.holder is None, "these ports are somebody's"
        assert end.open
        envelope, origin, _ = end.addressed
        assert envelope.to == side.machine._id
        assert envelope.name == side.name
        assert side.allows(origin), "took an offer of a wrong origin"
        end.holder = side
        self.take(side, action.attempt, end, (origin, envelope.id))

    def take(self, side, attempt, end, peer):
        assert attempt not in side.promised, "an attempt's number was used twice"
        assert all(side.promised[one] != peer for one in side.ends), "replayed"
        side.promised[attempt] = peer
        side.ends[attempt] = end
        end.attempt = attempt
        if not side.many:
            assert len(side.ends) == 1, "two attempts of one side at once"

    def do_send(self, side, action):
        side.ends[action.attempt].other.inbox.append(action.message)

    def do_close(self, side, action):
        side.ends.pop(action.attempt).open = False
        side.connected.pop(action.attempt, None)

    def do_discard(self, side, action):
        assert action.ports.holder is None, "these ports are somebody's"
        if action.message is not None:
            action.ports.other.inbox.append(action.message)
        action.ports.open = False

    def do_connected(self, side, action):
        end, peer = side.ends[action.attempt], action.peer
        assert side.allows(peer.origin)
        side.connected[action.attempt] = peer
        side.connections += 1
        assert side.many or side.connections == 1, "more than one connection"
        if end.maker is side:
            # Whoever has the other end must be who said this hello, if that one keeps its secret.
            to = side.promised[action.attempt][1]
            owner = next((one for one in self.sides if to in one.ids), None)
            if owner is not None and owner.ids[to] not in {one.nonce for one in self.loot}:
                assert end.other.holder is owner, "connected to somebody else"
                assert owner.page.origin == peer.origin
                assert (owner.name, owner.calls) == (side.name, not side.calls)
        else:
            envelope, origin, honest = end.addressed
            assert origin == peer.origin
            if honest:
                assert (end.maker.name, end.maker.calls) == (side.name, not side.calls)
                assert end.maker.page.origin == peer.origin
                assert end.maker.promised[end.other.attempt][1] == envelope.to

    def do_fail(self, side, action):
        assert side.calls
        assert action.error.code in {"taken", "version"}
        if action.error.code == "taken":
            assert not self.may_be_ending(side)
        assert side.failed is None
        assert not side.ends
        side.failed = action.error

    def do_settimer(self, side, action):
        assert action.seconds > 0
        side.timer = True

    def do_stoptimer(self, side, _):
        assert side.timer
        side.timer = False

    def do_peerreplaced(self, side, action):
        assert action.attempt in side.connected

    # What the browser does

    def arrive(self, route):
        envelope, end, target, origin, hostile = self.queues[route].popleft()
        page = self.now[route[1]]
        if target not in (ANY, page.origin):
            return  # as if it had never been posted
        if end is not None:
            end.addressed = (envelope, origin, not hostile)
        if page.hostile:
            self.loot.append(envelope)
            if end is not None:
                assert target == ANY or not end.maker.page.hostile
                if end.maker is not HOSTILE and target != ANY:
                    assert end.maker.allows(page.origin), "a port reached a wrong origin"
                end.holder = HOSTILE
                self.looted_ends.append(end)
            return
        for side in list(page.sides):
            if route[0] not in side.windows:
                continue
            if not side.allows(origin):
                side.machine.rejected(origin)
            elif envelope.type in ("hello", "probe"):
                side.greeted.setdefault(envelope.id, set()).add(origin)
            self.hear(side, envelope._replace(ports=end), origin, route[0])

    def hear(self, side, envelope, origin, window):
        self.note_ids(side)
        self.perform(side, side.machine.heard(envelope, origin, window))

    def note_ids(self, side):
        side.ids[side.machine._id] = side.machine._nonce

    def readable(self):
        return [
            (side, attempt)
            for page in self.now.values()
            for side in page.sides
            for attempt, end in side.ends.items()
            if end.inbox
        ]

    def read(self, side, attempt):
        message = side.ends[attempt].inbox.popleft()
        if attempt not in side.connected:
            self.perform(side, side.machine.control(attempt, message))
            return
        assert side.machine.control(attempt, message) == []
        if message.get("type") == "goodbye":
            self.end(side, attempt)

    def end(self, side, attempt):
        """A connection is over, as its shell sees it."""
        side.ends.pop(attempt).open = False
        del side.connected[attempt]
        if side.calls:
            self.ended.add(side.call)
        self.perform(side, side.machine.release(attempt))
        side.over = side.over or not side.many

    def leave(self, page, *, word):
        for side in page.sides:
            for attempt, end in list(side.ends.items()):
                if word:
                    end.other.inbox.append({"type": "goodbye", "sent": 0, "reason": "pagehide"})
                if attempt in side.connected:
                    self.end(side, attempt)

    def go(self, page):
        """A page is gone for good."""
        for side in page.sides:
            for end in side.ends.values():
                end.open = False

    # Rules: what people do

    @initialize(origins=st.tuples(*[st.sampled_from([A, A, B, OPAQUE])] * 3))
    def open(self, origins):
        for window, origin in zip(WINDOWS, origins, strict=True):
            self.now[window] = Page(window, origin)

    def place(self, window):
        page = self.now[window]
        if page.hostile or len(page.sides) > 5:
            self.change(window, Page(window, page.origin if page.origin != EVIL else A), "word")
        return self.now[window]

    def add(self, side):
        self.note_ids(side)
        self.sides.append(side)
        side.page.sides.append(side)
        self.perform(side, side.machine.start())

    def origins_of(self, windows, choice):
        fit = {self.now[window].origin for window in windows}
        return {"fit": fit, "any": {ANY}, "opaque": {A, OPAQUE}, "a": {A}}[choice]

    def call(self, route, name, choice):
        page = self.place(route[0])
        allowed = self.origins_of(route[1:], choice)
        opaque = page.origin == OPAQUE
        machine = Initiator(name, opaque=opaque, allowed=allowed, make_id=self.make_id)
        side = Side(page, machine, [route[1]], name=name, allowed=allowed, calls=True)
        machine.may_be_ending = lambda: self.may_be_ending(side)
        self.add(side)

    def may_be_ending(self, side):
        rivals = [one for one in side.page.sides if one.calls and one.connected]
        is_open = any(one.call == side.call for one in rivals)
        return side.call in self.ended and not is_open

    def listen(self, window, name, choice, *, many, only=None):
        page = self.place(window)
        windows = [one for one in WINDOWS if one != window and only in (None, one)]
        given = {"name": name, "allowed": self.origins_of(windows, choice), "many": many}
        machine = Responder(opaque=page.origin == OPAQUE, make_id=self.make_id, **given)
        self.add(Side(page, machine, windows, calls=False, **given))

    @rule(route=ROUTE, name=NAME, choice=CHOICE)
    def start_caller(self, route, name, choice):
        self.call(route, name, choice)

    @rule(route=ROUTE, name=NAME, choice=CHOICE, many=st.booleans(), all_windows=st.booleans())
    def start_listener(self, route, name, choice, many, all_windows):
        self.listen(route[1], name, choice, many=many, only=None if all_windows else route[0])

    @rule(
        route=ROUTE,
        choice=CHOICE,
        many=st.booleans(),
        callers=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    )
    def start_some(self, route, choice, many, callers):
        for _ in range(callers[0]):
            self.call(route, "n", choice)
        self.listen(route[1], "n", choice, many=many)
        for _ in range(callers[1]):
            self.call(route, "n", choice)

    @rule(data=st.data(), steps=st.integers(1, 12))
    def deliver(self, data, steps):
        """Deliver some messages, in any order that browsers leave open."""
        for _ in range(steps):
            pending = [(self.arrive, (route,)) for route, queue in self.queues.items() if queue]
            pending += [(self.read, one) for one in self.readable()]
            if not pending:
                break
            run, arguments = data.draw(st.sampled_from(pending), label="delivered")
            run(*arguments)

    @rule()
    def calm(self):
        self.settle()

    @rule(
        window=st.sampled_from(WINDOWS),
        origin=st.sampled_from([A, B, OPAQUE]),
        way=st.sampled_from(["kept", "word", "silent"]),
    )
    def navigate(self, window, origin, way):
        self.change(window, Page(window, origin), way)

    @rule(
        window=st.sampled_from(WINDOWS),
        origin=st.sampled_from([EVIL, OPAQUE, A]),
        way=st.sampled_from(["kept", "word"]),
    )
    def invade(self, window, origin, way):
        self.change(window, Page(window, origin, hostile=True), way)

    def change(self, window, page, way):
        old = self.now[window]
        self.leave(old, word=way != "silent")
        if way == "kept" and len(self.past[window]) < 3:
            self.past[window].append(old)
        else:
            self.go(old)
        self.now[window] = page

    @precondition(lambda self: any(self.past.values()))
    @rule(data=st.data())
    def back(self, data):
        window = data.draw(st.sampled_from([one for one in WINDOWS if self.past[one]]))
        page = self.past[window].pop()
        self.change(window, page, "word")
        for side in page.sides:
            before = set(side.ends)
            actions = side.machine.restored()
            self.note_ids(side)
            self.perform(side, actions)
            assert not before & set(side.ends), "something old lives on"

    def live(self):
        return [side for page in self.now.values() for side in page.sides]

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def cancel(self, data):
        side = data.draw(st.sampled_from(self.live()))
        self.perform(side, side.machine.cancel())
        self.after_cancel(side)

    def after_cancel(self, side):
        side.over = side.over or side.many or not side.connected
        assert set(side.ends) == set(side.connected), "left open"
        assert not side.timer

    @precondition(lambda self: any(side.connected for side in self.live()))
    @rule(data=st.data())
    def hang_up(self, data):
        side = data.draw(st.sampled_from([one for one in self.live() if one.connected]))
        attempt = data.draw(st.sampled_from(list(side.connected)))
        side.ends[attempt].other.inbox.append({"type": "goodbye", "sent": 3, "reason": "close"})
        self.end(side, attempt)

    @precondition(lambda self: any(side.timer for side in self.live()))
    @rule(data=st.data())
    def ring(self, data):
        self.expire(data.draw(st.sampled_from([one for one in self.live() if one.timer])))

    def expire(self, side):
        side.timer = False
        if side.calls:  # by then a goodbye has come
            self.ended.discard(side.call)
        actions = side.machine.expired()
        # A timer that has rung may still be stopped: the shell tells no difference.
        side.timer = True
        self.perform(side, actions)
        side.timer = side.timer and any(type(one).__name__ == "SetTimer" for one in actions)

    # Rules: what a hostile page does

    def invaded(self):
        return [page for page in self.now.values() if page.hostile]

    @precondition(lambda self: self.invaded())
    @rule(data=st.data(), times=st.integers(1, 3))
    def attack(self, data, times):
        page = data.draw(st.sampled_from(self.invaded()))
        heard_in = {side.page.window for side in self.live() if page.window in side.windows}
        window = data.draw(st.sampled_from(sorted(heard_in) or ["host", "frame"]))
        if window == page.window:
            return
        known = sorted({i for one in self.loot for i in (one.id, one.to)} | {"", "x", "y"})
        nonces = sorted({one.nonce for one in self.loot} | {"xx"})
        fresh = Envelope(1, "hello", "n", "x", "xx")
        envelope = data.draw(st.sampled_from([fresh, *self.loot[-8:]]))
        changes = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "type": st.sampled_from(["hello", "probe", "offer", "refusal"]),
                    "id": st.sampled_from(known),
                    "to": st.sampled_from(known),
                    "nonce": st.sampled_from(nonces),
                    "version": st.sampled_from([1, 1, 1, 2]),
                    "reason": st.sampled_from(["taken", "version"]),
                },
            )
        )
        envelope = envelope._replace(**changes)
        self.used.add(envelope.id)
        for _ in range(times):
            ports = None
            if envelope.type == "offer":
                loose = [one for one in self.looted_ends if one.open and one.maker is not HOSTILE]
                if loose and data.draw(st.booleans(), label="forwards a port"):
                    ports = loose[-1]
                    self.looted_ends.remove(ports)
                    ports.holder = None
                else:
                    near, ports = channel(HOSTILE)
                    self.looted_ends.append(near)
            self.post(page, window, ANY, envelope, ports)

    def in_flight(self, kind):
        return [
            route
            for route, queue in self.queues.items()
            if any(envelope.type == kind for envelope, *_ in queue)
        ]

    @precondition(lambda self: self.in_flight("offer"))
    @rule(data=st.data(), origin=st.sampled_from([None, None, EVIL, OPAQUE]), kind=SAID)
    def take_place(self, data, origin, kind):
        self.intercept(data, origin, kind)

    def intercept(self, data, origin, kind):
        """Take the place of a page that an offer is on its way to, perhaps in its own origin."""
        route = data.draw(st.sampled_from(self.in_flight("offer")))
        origin = origin or self.now[route[1]].origin
        self.change(route[1], Page(route[1], origin, hostile=True), "word")
        while self.queues[route]:
            self.arrive(route)
        self.speak(data, kind)

    @rule(data=st.data(), route=ROUTE, origin=st.sampled_from([EVIL, OPAQUE]), kind=SAID)
    def usurp(self, data, route, origin, kind):
        """Take a page's place and say its part in one's own name."""
        self.change(route[1], Page(route[1], origin, hostile=True), "kept")
        self.used.add("x")
        self.post(self.now[route[1]], route[0], ANY, Envelope(1, "hello", "n", "x", "xx"))
        self.settle()
        self.speak(data, kind)

    @rule(data=st.data(), route=ROUTE, kind=SAID)
    def steal(self, data, route, kind):
        """Wait for two that meet, and intercept."""
        self.settle()
        self.listen(route[1], "n", "fit", many=True)
        self.call(route, "n", "fit")
        while not self.in_flight("offer"):
            waiting = [one for one, queue in self.queues.items() if queue]
            if not waiting:
                return
            for one in waiting:
                self.arrive(one)
        self.intercept(data, None, kind)

    @rule(data=st.data(), route=ROUTE, origin=st.sampled_from([None, None, EVIL, OPAQUE]))
    def offer_twice(self, data, route, origin):
        """Replay an offer of one's own, to somebody who greets the window that was taken."""
        origin = origin or self.now[route[0]].origin
        self.change(route[0], Page(route[0], origin, hostile=True), "word")
        self.listen(route[1], "n", "fit", many=data.draw(st.booleans()), only=route[0])
        self.settle()
        self.used.add("y")
        for hello in self.loot[-1:]:
            offer = Envelope(1, "offer", hello.name, "y", to=hello.id)
            for _ in range(2):
                near, far = channel(HOSTILE)
                self.looted_ends.append(near)
                self.post(self.now[route[0]], route[1], ANY, offer, far)

    @precondition(lambda self: self.looted_ends)
    @rule(data=st.data(), kind=SAID)
    def speak_on_port(self, data, kind):
        self.speak(data, kind)

    def speak(self, data, kind):
        if self.looted_ends:
            end = data.draw(st.sampled_from(self.looted_ends[::-1]))
            known = sorted({one.nonce for one in self.loot} | {"guess", "xx"})
            message = {"type": kind, "nonce": data.draw(st.sampled_from(known)), "reason": "taken"}
            end.other.inbox.append(message)

    # What always holds, and what holds in the end

    @invariant()
    def open_ends_are_known(self):
        for side in self.live():
            machine = side.machine
            pending = set(side.ends) - set(side.connected)
            if side.calls:
                ours = {machine._attempt} if machine._peer and not machine._connected else set()
                assert side.timer == machine._retries
                assert not (side.timer and side.ends)
            else:
                ours = set(machine._pending)
                assert set(machine._connected) == set(side.connected)
                assert len(machine._queue) <= 8
                assert side.timer == bool(machine._queue)
                assert len(machine._known) == len(side.ends) + len(machine._queue)
            assert pending == ours

    def settle(self):
        """Deliver everything, in turns, and let timers ring where nothing else happens."""
        for _ in range(5000):
            busy = [route for route, queue in self.queues.items() if queue]
            for route in busy:
                self.arrive(route)
            reading = self.readable()
            for side, attempt in reading:
                if attempt in side.ends and side.ends[attempt].inbox:
                    self.read(side, attempt)
            if not busy and not reading:
                timing = [side for side in self.live() if side.timer]
                if not timing:
                    return
                for side in timing:
                    self.expire(side)
        raise AssertionError("they talk for ever")

    def meet(self, caller, listener):
        """Whether the two should find each other; the last listener of a page is the one found."""
        later = listener.page.sides[listener.page.sides.index(listener) + 1 :]
        return (
            not listener.calls
            and caller.windows == [listener.page.window]
            and caller.page.window in listener.windows
            and caller.name == listener.name
            and caller.allows(listener.page.origin)
            and listener.allows(caller.page.origin)
            and not listener.over
            and not any(not one.calls and one.name == listener.name for one in later)
        )

    def teardown(self):
        self.settle()
        for caller in self.live():
            if caller.calls and caller.waits and not self.used & set(caller.ids):
                for listener in self.live():
                    assert not self.meet(caller, listener), "they never met"
        for side in self.live():
            for end in side.ends.values():
                if end.other.holder in self.live():
                    assert end.other.open, "closed without a word"
            if side.waits:
                assert str(side.machine.timeout(1)).startswith("no ")
            self.perform(side, side.machine.cancel())
            self.after_cancel(side)
        self.settle()
        for side in self.live():
            self.after_cancel(side)


@pytest.mark.slow("a random search through hundreds of worlds")
@pytest.mark.timeout(3000)  # for the profile
def test_the_handshake_holds_in_a_world_of_windows():
    examples = max(settings().max_examples, 400)
    run_state_machine_as_test(World, settings=settings(max_examples=examples))
