"""`BrowserEnvironment`: the windows, frames and workers of the browser, reached by the bridge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Self, final

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import is_js_proxy, runtime, to_js_list
from pyodide_msgchan._connection.wire import Envelope, is_introduction
from pyodide_msgchan._interfaces import Notice, TransferList
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan._port.endpoint import BrowserEndpoint
from pyodide_msgchan.errors import RemoteError

__all__ = ["BrowserEnvironment"]


@final
class _BrowserChannelPair:
    """This side's ends of a connection's two channels."""

    def __init__(self, data: BrowserEndpoint, control: BrowserEndpoint) -> None:
        self.data = data
        self._control = control
        self._number = control.number
        self._sink: CallbackSink | None = None
        self.awaits_farewell: Callable[[], bool] = partial(_awaits_farewell, control.number)

    @classmethod
    def of(cls, numbers: Any, *, stack_switching: bool) -> Self:
        data, control = numbers
        return cls(
            BrowserEndpoint(data, stack_switching=stack_switching, created_here=True),
            BrowserEndpoint(control, stack_switching=False, created_here=True),
        )

    def adopt(self, ports: Sequence[Any]) -> _BrowserChannelPair | None:
        numbers = bridge().windows.adoptPair(to_js_list(ports), True, None)  # noqa: FBT003 - JavaScript
        return None if numbers is None else _BrowserChannelPair.of(numbers, stack_switching=True)

    def discard(self, ports: Sequence[Any]) -> None:
        bridge().windows.discard(to_js_list(ports), "goodbye", "close")

    def listen(self, on_message: Callable[[Any, Sequence[Any]], None]) -> None:
        def handle(message: Any, events: Any, index: int) -> None:
            ports = tuple(events[index].ports) if is_introduction(message) else ()
            on_message(message, ports)

        self._sink = CallbackSink(self._control, handle)

    def send(self, message: dict[str, Any], moved: TransferList | None = None) -> None:
        self._control.post(message, moved)

    def watch(self, origin: str | None, lock: str) -> None:
        bridge().windows.watch(self._number, origin, lock)

    def expect(self, sent: int) -> None:
        bridge().windows.expect(self._number, sent)

    def close(self, *, goodbye: bool) -> None:
        if self._sink is not None:
            self._sink.stop()
        self.data.unregister()
        self._control.unregister()
        bridge().windows.closeGracefully(self._number, goodbye)

    def wake(self, run: Callable[[], None]) -> None:
        if self._sink is not None:
            self._sink.run = run


def _awaits_farewell(control: int) -> bool:
    return bool(bridge().windows.awaitsFarewell(control))


@final
class _BrowserWindowListener:
    """A listener for envelopes, on this window or on a worker."""

    def __init__(
        self,
        number: int,
        on_envelope: Callable[[Any, str, Any, Any], None],
        *,
        sender_known: bool,
    ) -> None:
        self._sender_known = sender_known
        self._endpoint = BrowserEndpoint(number, stack_switching=False)
        self._number = number
        self._on_envelope = on_envelope
        self._sink = CallbackSink(self._endpoint, self._handle)

    def _handle(self, fields: Any, events: Any, index: int) -> None:
        if isinstance(fields, dict):  # It describes an error event of the worker.
            text, where = fields["message"], fields["where"]
            fields = Notice("failed", error=RemoteError("Error", text, where) if text else None)
        if isinstance(fields, Notice):
            self._on_envelope(fields, "", None, None)
            return
        *fields, origin = fields
        # A proxy of a foreign window is expensive; it is not needed if only one sender is allowed.
        sender = None if self._sender_known else events[index].source
        ports = events[index].ports if fields[1] == "offer" else None
        self._on_envelope(fields, origin, sender, ports)

    def rejected(self) -> Sequence[str]:
        return tuple(bridge().windows.rejected(self._number))

    def close(self) -> None:
        self._sink.stop()
        self._endpoint.release()

    def wake(self, run: Callable[[], None]) -> None:
        self._sink.run = run


@final
class BrowserEnvironment:
    """This page or worker, and the windows around it."""

    def __init__(self) -> None:
        self._windows = bridge().windows
        self.origin = str(self._windows.selfOrigin())
        self.runtime = runtime()

    def kind(self, target: Any) -> str:
        return str(self._windows.kindOf(target)) if is_js_proxy(target) else ""

    def is_gone(self, target: Any) -> bool:
        return bool(self._windows.isGone(target))

    def place_of(self, target: Any) -> int:
        return int(self._windows.placeOf(target))

    def owners(self, *, include_all: bool) -> Sequence[Any]:
        return tuple(self._windows.owners(include_all))

    def listen(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        on_envelope: Callable[[Any, str, Any, Any], None],
    ) -> _BrowserWindowListener:
        allowed = None if origins is None else to_js_list(sorted(origins))
        number = self._windows.listen(place, source, allowed, name)
        sender_known = origins is None or source is not None
        return _BrowserWindowListener(number, on_envelope, sender_known=sender_known)

    def announce(self, target: Any, origin: str, envelope: Envelope) -> None:
        _version, *fields = envelope[:7]
        self._windows.announce(target, origin, *fields)

    def offer(
        self, target: Any, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> _BrowserChannelPair:
        fields = envelope.name, envelope.id, envelope.to
        numbers = self._windows.offer(target, origin, *fields, stack_switching)
        return _BrowserChannelPair.of(numbers, stack_switching=stack_switching)

    def adopt(
        self, ports: Any, target: Any, *, stack_switching: bool
    ) -> _BrowserChannelPair | None:
        numbers = self._windows.adoptPair(ports, stack_switching, target)
        if numbers is None:
            return None
        return _BrowserChannelPair.of(numbers, stack_switching=stack_switching)

    def discard(self, ports: Any, message: dict[str, Any] | None) -> None:
        fields = message or {"type": "", "reason": ""}
        self._windows.discard(ports, fields["type"], fields["reason"])

    def loaded(self) -> float:
        return float(self._windows.loadedFor())

    def hold_lock(self) -> Any:
        name = self._windows.holdLock()
        return None if isinstance(name, str) else name

    def lock(self) -> str:
        return str(self._windows.heldLock())
