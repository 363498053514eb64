"""Windows in memory, for tests of connections without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, final

from pyodide_msgchan._connection.wire import Envelope, is_introduction
from pyodide_msgchan._interfaces import Notice, TransferList
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan.errors import PortDetachedError
from pyodide_msgchan.testing.endpoint import MemoryEndpoint, memory_pair

__all__ = ["MemoryEnvironment"]


@final
class _MemoryChannelPair:
    """A connection's two channels, in memory."""

    def __init__(
        self, page: MemoryEnvironment, data: MemoryEndpoint, control: MemoryEndpoint
    ) -> None:
        self.data = data
        self._page = page
        self._control = control
        self._sink: CallbackSink | None = None
        # What was posted in memory arrives within a few turns of the loop.
        self.awaits_farewell: Callable[[], bool] = lambda: False
        page.links.add(self)

    def listen(self, heard: Callable[[Any, Sequence[Any]], None]) -> None:
        def handle(message: Any, events: Any, index: int) -> None:
            heard(message, events[index].ports if is_introduction(message) else ())

        self._sink = CallbackSink(self._control, handle)

    def send(self, message: dict[str, Any], moved: TransferList | None = None) -> None:
        self._control.post(message, moved)

    def watch(self, origin: str | None, lock: str) -> None:
        """Do nothing: in memory a page never ends without its goodbye."""

    def adopt(self, ports: Sequence[MessagePort]) -> _MemoryChannelPair:
        endpoints: list[Any] = [port._endpoint for port in ports]
        for port in ports:
            port._mark_closed(PortDetachedError, drop=True)
            port._endpoint.owner = None
        return _MemoryChannelPair(self._page, *endpoints)

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
        if self._sink is not None:
            self._sink.stop()
        self._control.close()
        self.data.close()

    def _goodbye(self, reason: str) -> None:
        sent, answers = self.data.sent(), self.data.answers()
        self.send({"type": "goodbye", "sent": sent, "answers": answers, "reason": reason})

    def leave(self) -> None:
        """Be the link of a page that goes."""
        self._goodbye("pagehide")
        if self._sink is not None:
            self._sink._store_batch([Notice("hidden")], None)

    def wake(self, run: Callable[[], None]) -> None:
        if self._sink is not None:
            self._sink.run = run


@final
class _MemoryWindowListener:
    """A listener for envelopes on a page in memory."""

    def __init__(
        self,
        page: MemoryEnvironment,
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

    def take(self, envelope: Envelope, sender: MemoryEnvironment, ports: Any) -> None:
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
class MemoryEnvironment:
    """A page in memory, and the pages around it; as a target it stands for its window."""

    runtime = "memory"

    def __init__(self, origin: str, owner: MemoryEnvironment | None) -> None:
        self.origin = origin
        self._owner = owner
        self.hearings: list[_MemoryWindowListener] = []
        self.links: set[_MemoryChannelPair] = set()

    def kind(self, target: Any) -> str:
        return "window" if isinstance(target, MemoryEnvironment) else ""

    def is_gone(self, target: Any) -> bool:
        del target
        return False

    def place_of(self, target: Any) -> Any:
        return target

    def owners(self, *, include_all: bool) -> Sequence[Any]:
        del include_all
        return () if self._owner is None else (self._owner,)

    def listen(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        heard: Callable[[Any, str, Any, Any], None],
    ) -> _MemoryWindowListener:
        del place
        return _MemoryWindowListener(self, source, origins or (), name, heard)

    def announce(self, target: MemoryEnvironment, origin: str, envelope: Envelope) -> None:
        self._post(target, origin, envelope, None)

    def _post(self, target: MemoryEnvironment, origin: str, envelope: Envelope, ports: Any) -> None:
        """Deliver in a later turn, if the page that stands there then has that origin."""

        def deliver() -> None:
            if origin in ("*", target.origin):
                for hearing in tuple(target.hearings):
                    hearing.take(envelope, self, ports)

        asyncio.get_running_loop().call_soon(deliver)

    def offer(
        self, target: MemoryEnvironment, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> _MemoryChannelPair:
        del stack_switching
        (data, far_data), (control, far_control) = memory_pair(), memory_pair()
        self._post(target, origin, envelope, (far_data, far_control))
        return _MemoryChannelPair(self, data, control)

    def adopt(self, ports: Any, target: Any, *, stack_switching: bool) -> _MemoryChannelPair:
        del target, stack_switching
        return _MemoryChannelPair(self, *ports)

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
