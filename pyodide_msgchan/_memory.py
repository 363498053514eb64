"""Channels and windows in memory: what lies below the ports that tests without a browser use."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, final

from ._browser import unreadable
from ._clone import copy
from ._inbox import Inbox
from ._packed import Packet, is_scalar, pack, unpack
from ._scan import prepare, scan
from ._sealed import Making
from ._types import Batch, Moved, Notice, Taker
from ._wire import Envelope, is_introduction
from .errors import DataCloneError, PortDetachedError
from .port import MessagePort

__all__ = ["MemoryEndpoint", "MemoryWorld", "memory_pair"]

LISTEN = 3


def memory_pair() -> tuple[MemoryEndpoint, MemoryEndpoint]:
    first, second = MemoryEndpoint(), MemoryEndpoint()
    first.peer, second.peer = second, first
    return first, second


class _MemoryEvent:
    """The event of a message that came through memory."""

    origin = ""
    source = None
    last_event_id = ""
    js = None

    def __init__(self, ports: tuple[MessagePort, ...], *, packed: bool) -> None:
        self._ports = ports
        self.packed = packed
        self.endpoint: MemoryEndpoint | None = None

    @property
    def ports(self) -> tuple[MessagePort, ...]:
        if self._ports and self.endpoint is not None:
            reply: Any = self._ports[-1]._endpoint
            if not reply.sent():
                reply.asker = self.endpoint
        return self._ports


class MemoryEndpoint:
    """What a native port is in a browser: a queue that starts when asked, and a peer."""

    js = None
    private = True
    announce: Callable[[Any], None] | None = None
    shared = False

    def __init__(self) -> None:
        self.owner: Any = None
        self.peer: MemoryEndpoint | None = None
        self._transit: deque[tuple[Any, _MemoryEvent]] = deque()
        self._queue: deque[tuple[Any, _MemoryEvent]] = deque()
        self._batch: list[_MemoryEvent] = []
        self._started = False
        self._scheduled = False
        self._mode = 0
        self._sent = self._received = self._sent_bytes = 0
        self._taker: Taker | None = None
        self.packed = False
        self.asker: MemoryEndpoint | None = None
        self._answers: int | None = 0

    def pack(self) -> None:
        self.packed = True

    def post(self, message: Any, moved: Moved | None) -> None:
        packs = self.packed and not (moved is None and is_scalar(message))
        wrappers = moved.wrappers if moved else {}
        arriving = {key: MemoryEndpoint() for key in wrappers}
        ports = {key: MessagePort._of(endpoint) for key, endpoint in arriving.items()}
        try:
            data, size = _packed(message, ports) if packs else copy(message, ports)
        except BaseException:
            for port in ports.values():
                port.close()
            raise
        for key, wrapper in wrappers.items():
            wrapper._endpoint._move_to(arriving[key])
        self._sent += 1
        if self.asker is not None:
            self.asker.answer_sent()
            self.asker = None
        self._sent_bytes += size
        if self.peer is None:
            for port in ports.values():
                port.close()
            return
        event = _MemoryEvent(tuple(ports.values()), packed=packs)
        self.peer._transit.append((data, event))
        self.peer._schedule()

    def _move_to(self, new: MemoryEndpoint) -> None:
        if self.asker is not None:
            self.asker._answers = None  # it may be answered elsewhere
        new.peer, self.peer = self.peer, None
        new._transit, self._transit = self._transit, deque()
        if new.peer is not None:
            new.peer.peer = new

    def _schedule(self) -> None:
        """Let what is on its way arrive in a later turn, as a browser does."""
        if (
            not self._started
            or self._scheduled
            or not (self._transit or (self._mode and self._queue))
        ):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # posted outside of any loop: the first who asks schedules it
        self._scheduled = True
        loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        self._received += len(self._transit)
        self._queue.extend(self._transit)
        self._transit.clear()
        taker = self._taker
        if not self._mode or not self._queue or taker is None:
            return
        if self._mode != LISTEN:
            self._mode = 0
            self._taker = None
        else:
            self._batch = []
        run = taker._take(*self._take_queued())
        if run is not None:
            run()

    def _take_queued(self) -> Batch:
        taken = list(self._queue)
        self._queue.clear()
        events = [event for _, event in taken]
        for event in events:
            event.endpoint = self
        self._batch += events
        return [_opened(data) if self.packed else data for data, _ in taken], events

    def want(self, mode: int, held: int, taker: Taker) -> Batch | None:
        self._started = True
        self._batch = self._batch[-held:] if held else []
        if self._queue:
            return self._take_queued()
        self._mode = mode
        self._taker = taker
        self._schedule()
        return None

    def listen(self, taker: Taker) -> None:
        self._started = True
        self._mode = LISTEN
        self._taker = taker
        self._schedule()

    def rest(self) -> None:
        self._mode = 0
        self._taker = None

    def start(self) -> None:
        self._started = True
        self._schedule()

    def queued(self) -> int:
        return len(self._queue)

    def event(self, native: Any, index: int) -> _MemoryEvent:
        return self._batch[index] if native is None else native

    def sent(self) -> int:
        return self._sent

    def sent_bytes(self) -> int:
        return self._sent_bytes

    def answers(self) -> int | None:
        return self._answers

    def answer_sent(self) -> None:
        """Count one reply port that was posted on."""
        if self._answers is not None:
            self._answers += 1

    def received(self) -> int:
        return self._received

    def pair(self) -> tuple[MemoryEndpoint, MemoryEndpoint]:
        return memory_pair()

    def calls(self, prefix: str) -> None:
        """Give nothing: no JavaScript would save anything here."""

    def close(self) -> None:
        if self.peer is not None:
            self.peer.peer = None
        self.release()

    def detach(self) -> None:
        self.release()

    def release(self) -> None:
        self.peer = None
        self._transit.clear()
        self._queue.clear()
        self.rest()


def _packed(message: Any, ports: Mapping[int, Any]) -> tuple[Packet, int]:
    packet = pack(message, ports)
    packet.segments = list(map(bytes, packet.segments))
    packet.buffers = list(map(bytes, packet.buffers))
    if packet.exotic and (complaint := scan(packet.segments)):
        raise DataCloneError(complaint)
    return packet, sum(map(len, packet.segments + packet.buffers))


def _opened(data: Any) -> Any:
    """Give the message that was packed; a notice if it can't be read."""
    if type(data) is not Packet:
        return data
    making = Making(data.side, data.buffers, _as_it_is, bytearray)
    try:
        return unpack(prepare(data.segments), making, _copy_to)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the next message comes
        return unreadable(making.error or error, making.partial, making.adopted)


def _as_it_is(value: Any) -> Any:
    return value


def _copy_to(segment: Any, target: memoryview) -> None:
    target[:] = segment


@final
class _MemoryLink:
    """A connection's two channels, in memory."""

    def __init__(self, page: MemoryWorld, data: MemoryEndpoint, control: MemoryEndpoint) -> None:
        self.data = data
        self._page = page
        self._control = control
        self._inbox: Inbox | None = None
        # What was posted in memory arrives within a few turns of the loop.
        self.awaits_farewell: Callable[[], bool] = lambda: False
        page.links.add(self)

    def listen(self, heard: Callable[[Any, Sequence[Any]], None]) -> None:
        def handle(message: Any, events: Any, index: int) -> None:
            heard(message, events[index].ports if is_introduction(message) else ())

        self._inbox = Inbox(self._control, handle)

    def send(self, message: dict[str, Any], moved: Moved | None = None) -> None:
        self._control.post(message, moved)

    def watch(self, origin: str | None, lock: str) -> None:
        """Do nothing: in memory a page never ends without its goodbye."""

    def adopt(self, ports: Sequence[MessagePort]) -> _MemoryLink:
        endpoints: list[Any] = [port._endpoint for port in ports]
        for port in ports:
            port._conclude(PortDetachedError, drop=True)
            port._endpoint.owner = None
        return _MemoryLink(self._page, *endpoints)

    def discard(self, ports: Sequence[MessagePort]) -> None:
        for port in ports[1:]:
            port.post_message({"type": "goodbye", "sent": 0, "reason": "close"})
        for port in ports:
            port.close()

    def expect(self, sent: int) -> None:
        del sent
        self.data.start()

    def close(self, *, goodbye: bool) -> None:
        if goodbye:
            self._goodbye("close")
        self._page.links.discard(self)
        if self._inbox is not None:
            self._inbox.stop()
        self._control.close()
        self.data.close()

    def _goodbye(self, reason: str) -> None:
        sent, answers = self.data.sent(), self.data.answers()
        self.send({"type": "goodbye", "sent": sent, "answers": answers, "reason": reason})

    def leave(self) -> None:
        """Be the link of a page that goes."""
        self._goodbye("pagehide")
        if self._inbox is not None:
            self._inbox._take([Notice("hidden")], None)

    def wake(self, run: Callable[[], None]) -> None:
        if self._inbox is not None:
            self._inbox.run = run


@final
class _MemoryHearing:
    """A listener for envelopes on a page in memory."""

    def __init__(
        self,
        page: MemoryWorld,
        source: Any,
        origins: Collection[str],
        name: str,
        heard: Callable[[Any, str, Any, Any], None],
    ) -> None:
        self._page = page
        self._source = source
        self._origins = origins
        self._name = name
        self.heard = heard
        self._rejected: dict[str, None] = {}
        page.hearings.append(self)

    def take(self, envelope: Envelope, sender: MemoryWorld, ports: Any) -> None:
        if self._source is not None and sender is not self._source:
            return
        if "*" not in self._origins and sender.origin not in self._origins:
            self._rejected[sender.origin] = None
        elif envelope.name == self._name:
            self.heard(envelope[:8], sender.origin, sender, ports)

    def rejected(self) -> Sequence[str]:
        return tuple(self._rejected)

    def close(self) -> None:
        self._page.hearings.remove(self)

    def wake(self, run: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(run)


@final
class MemoryWorld:
    """A page in memory, and the pages around it; as a target it stands for its window."""

    runtime = "memory"

    def __init__(self, origin: str, owner: MemoryWorld | None) -> None:
        self.origin = origin
        self._owner = owner
        self.hearings: list[_MemoryHearing] = []
        self.links: set[_MemoryLink] = set()

    def kind(self, target: Any) -> str:
        return "window" if isinstance(target, MemoryWorld) else ""

    def is_gone(self, target: Any) -> bool:
        del target
        return False

    def place_of(self, target: Any) -> Any:
        return target

    def owners(self, *, everybody: bool) -> Sequence[Any]:
        del everybody
        return () if self._owner is None else (self._owner,)

    def hear(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        heard: Callable[[Any, str, Any, Any], None],
    ) -> _MemoryHearing:
        del place
        return _MemoryHearing(self, source, origins or (), name, heard)

    def announce(self, target: MemoryWorld, origin: str, envelope: Envelope) -> None:
        self._post(target, origin, envelope, None)

    def _post(self, target: MemoryWorld, origin: str, envelope: Envelope, ports: Any) -> None:
        """Deliver in a later turn, if the page that stands there then has that origin."""

        def deliver() -> None:
            if origin in ("*", target.origin):
                for hearing in tuple(target.hearings):
                    hearing.take(envelope, self, ports)

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a `listen` that is dropped outside of any loop says goodbye to nobody
        loop.call_soon(deliver)

    def offer(
        self, target: MemoryWorld, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> _MemoryLink:
        del stack_switching
        (data, far_data), (control, far_control) = memory_pair(), memory_pair()
        self._post(target, origin, envelope, (far_data, far_control))
        return _MemoryLink(self, data, control)

    def adopt(self, ports: Any, target: Any, *, stack_switching: bool) -> _MemoryLink:
        del target, stack_switching
        return _MemoryLink(self, *ports)

    def discard(self, ports: Any, message: dict[str, Any] | None) -> None:
        if message is not None:
            ports[1].post(message, None)
        for port in ports:
            port.close()

    def loaded(self) -> float:
        return -1

    def hold_lock(self) -> None:
        """Do nothing: there are no locks in memory."""

    def lock(self) -> str:
        return ""

    def leave(self) -> None:
        """Let this page end: its connections say goodbye, and are over."""
        for link in tuple(self.links):
            link.leave()
