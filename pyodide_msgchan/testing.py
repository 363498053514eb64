"""A channel in memory for tests without a browser, and the checks that every channel has to pass.

The ports are the real ones, on an end made of Python: same methods, same errors, same order, the
same values (`register_converter` included), and delivery in a later turn of the event loop.

    from pyodide_msgchan.testing import MessageChannel

    async def test_greeting():
        ours, theirs = MessageChannel()
        ours.post_message({"name": "Ada"})
        assert await theirs.receive() == {"name": "Ada"}

`CONTRACT` and `LINKED` are the checks, by name: coroutine functions that take a coroutine function
which makes a pair of ports. Run them over a channel of your own.

Only what JavaScript alone can hold is missing: JsProxy values, and dicts or sets with keys that
are objects there, like tuples (a DataCloneError says so).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

from ._clone import copy
from ._contract import CONTRACT, LINKED
from ._types import Batch, Moved, Taker
from .port import MessagePort, link

__all__ = ["CONTRACT", "LINKED", "MessageChannel"]

LISTEN = 3


class MessageChannel:
    """Two entangled ports in memory; like `pyodide_msgchan.MessageChannel`.

    Attributes:
        port1: one end.
        port2: the other.
    """

    def __init__(self, *, stack_switching: bool = True) -> None:
        """Make the ports. `stack_switching` has no meaning here and is taken for likeness."""
        del stack_switching
        first, second = _memory_pair()
        self.port1 = MessagePort._of(first)
        self.port2 = MessagePort._of(second)
        link(self.port1, self.port2)

    def __iter__(self) -> Iterator[MessagePort]:
        """Give both ports, `port1` first."""
        return iter((self.port1, self.port2))


def _memory_pair() -> tuple[_MemoryEndpoint, _MemoryEndpoint]:
    first, second = _MemoryEndpoint(), _MemoryEndpoint()
    first.peer, second.peer = second, first
    return first, second


class _MemoryEvent:
    """The event of a message that came through memory."""

    origin = ""
    source = None
    last_event_id = ""
    js = None

    def __init__(self, ports: tuple[MessagePort, ...]) -> None:
        self.ports = ports


class _MemoryEndpoint:
    """What a native port is in a browser: a queue that starts when asked, and a peer."""

    js = None
    private = True

    def __init__(self) -> None:
        self.owner: Any = None
        self.peer: _MemoryEndpoint | None = None
        self._transit: deque[tuple[Any, _MemoryEvent]] = deque()
        self._queue: deque[tuple[Any, _MemoryEvent]] = deque()
        self._batch: list[_MemoryEvent] = []
        self._started = False
        self._scheduled = False
        self._mode = 0
        self._taker: Taker | None = None

    def post(self, message: Any, moved: Moved | None) -> None:
        wrappers = moved.wrappers if moved else {}
        arriving = {key: _MemoryEndpoint() for key in wrappers}
        ports = {key: MessagePort._of(endpoint) for key, endpoint in arriving.items()}
        try:
            data = copy(message, ports)
        except BaseException:
            for port in ports.values():
                port.close()
            raise
        for key, wrapper in wrappers.items():
            wrapper._endpoint._move_to(arriving[key])
        if self.peer is None:
            for port in ports.values():
                port.close()
            return
        self.peer._transit.append((data, _MemoryEvent(tuple(ports.values()))))
        self.peer._schedule()

    def _move_to(self, new: _MemoryEndpoint) -> None:
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
        run = taker.take(*self._take())
        if run is not None:
            run()

    def _take(self) -> Batch:
        taken = list(self._queue)
        self._queue.clear()
        events = [event for _, event in taken]
        self._batch += events
        return [data for data, _ in taken], events

    def want(self, mode: int, held: int, taker: Taker) -> Batch | None:
        self._started = True
        self._batch = self._batch[-held:] if held else []
        if self._queue:
            return self._take()
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

    def foreign(self) -> int:
        return 0

    def pair(self) -> tuple[_MemoryEndpoint, _MemoryEndpoint]:
        return _memory_pair()

    def close(self) -> None:
        if self.peer is not None:
            self.peer.peer = None
        self.release()

    def release(self) -> None:
        self.peer = None
        self._transit.clear()
        self._queue.clear()
        self.rest()
