"""Pages and windows in memory, for tests of connections without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, final

from pyodide_msgchan._connection.wire import Envelope, is_introduction
from pyodide_msgchan._interfaces import Notice, TransferList
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan.testing.endpoint import MemoryEndpoint, memory_pair

__all__ = ["MemoryEnvironment"]


@final
class _MemoryChannelPair:
    """The data channel and the control channel of a connection, in memory."""

    def __init__(
        self, page: MemoryEnvironment, data: MemoryEndpoint, control: MemoryEndpoint
    ) -> None:
        self.data = data
        self._page = page
        self._control = control
        self._sink: CallbackSink | None = None
        # A goodbye that is posted in memory is always received, so there is no need to wait for it.
        self.awaits_farewell: Callable[[], bool] = lambda: False
        page.channel_pairs.add(self)

    def listen(self, on_message: Callable[[Any, Sequence[Any]], None]) -> None:
        def handle(message: Any, events: Any, index: int) -> None:
            on_message(message, events[index].ports if is_introduction(message) else ())

        self._sink = CallbackSink(self._control, handle)

    def send(self, message: dict[str, Any], moved: TransferList | None = None) -> None:
        self._control.post(message, moved)

    def watch(self, origin: str | None, lock: str) -> None:
        """Do nothing: a page in memory never ends without a goodbye."""

    def adopt(self, ports: Sequence[MessagePort]) -> _MemoryChannelPair:
        cores = list(map(core_of, ports))
        endpoints: list[Any] = [core.endpoint for core in cores]
        for core in cores:
            core.mark_detached()
            core.endpoint.owner = None
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
            self._send_goodbye("close")
        self._page.channel_pairs.discard(self)
        if self._sink is not None:
            self._sink.stop()
        self._control.close()
        self.data.close()

    def _send_goodbye(self, reason: str) -> None:
        sent, answers = self.data.sent(), self.data.answers()
        self.send({"type": "goodbye", "sent": sent, "answers": answers, "reason": reason})

    def leave(self) -> None:
        """Send the goodbye of a page that is unloaded, and end this side."""
        self._send_goodbye("pagehide")
        if self._sink is not None:
            self._sink.on_batch([Notice("hidden")], None)

    def wake(self, run: Callable[[], None]) -> None:
        if self._sink is not None:
            self._sink.run = run


@final
class _MemoryWindowListener:
    """A listener for the envelopes that are posted to a page in memory."""

    def __init__(
        self,
        page: MemoryEnvironment,
        source: Any,
        origins: Collection[str],
        name: str,
        on_envelope: Callable[[Any, str, Any, Any], None],
    ) -> None:
        self._page = page
        self._source = source
        self._origins = origins
        self._name = name
        self.on_envelope = on_envelope
        self._rejected: dict[str, None] = {}
        page.listeners.append(self)

    def take(self, envelope: Envelope, sender: MemoryEnvironment, ports: Any) -> None:
        if self._source is not None and sender is not self._source:
            return
        if "*" not in self._origins and sender.origin not in self._origins:
            self._rejected[sender.origin] = None
        elif envelope.name == self._name:
            self.on_envelope(envelope[:8], sender.origin, sender, ports)

    def rejected(self) -> Sequence[str]:
        return tuple(self._rejected)

    def close(self) -> None:
        self._page.listeners.remove(self)

    def wake(self, run: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(run)


@final
class MemoryEnvironment:
    """A page in memory and the pages around it. As a target it stands for its window."""

    runtime = "memory"

    def __init__(self, origin: str, owner: MemoryEnvironment | None) -> None:
        self.origin = origin
        self._owner = owner
        self.listeners: list[_MemoryWindowListener] = []
        self.channel_pairs: set[_MemoryChannelPair] = set()

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
        on_envelope: Callable[[Any, str, Any, Any], None],
    ) -> _MemoryWindowListener:
        del place
        return _MemoryWindowListener(self, source, origins or (), name, on_envelope)

    def announce(self, target: MemoryEnvironment, origin: str, envelope: Envelope) -> None:
        self._post(target, origin, envelope, None)

    def _post(self, target: MemoryEnvironment, origin: str, envelope: Envelope, ports: Any) -> None:
        """Deliver an envelope in a later turn, if the target has the given origin."""

        def deliver() -> None:
            if origin in ("*", target.origin):
                for listener in tuple(target.listeners):
                    listener.take(envelope, self, ports)

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a `listen` that is dropped outside of any loop says goodbye to nobody
        loop.call_soon(deliver)

    def offer(
        self, target: MemoryEnvironment, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> _MemoryChannelPair:
        del stack_switching
        (data, peer_data), (control, peer_control) = memory_pair(), memory_pair()
        self._post(target, origin, envelope, (peer_data, peer_control))
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
        """Do nothing: there are no Web Locks in memory."""

    def lock(self) -> str:
        return ""

    def leave(self) -> None:
        """Unload this page: its connections send a goodbye and end."""
        for pair in tuple(self.channel_pairs):
            pair.leave()
