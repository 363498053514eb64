"""`BrowserEndpoint`: the native end of a channel, which converts, posts and receives values."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.callbacks import (
    report,
    set_stray_sink,
    unpack,
    waiting_sinks,
)
from pyodide_msgchan._bridge.ffi import is_js_proxy, is_null
from pyodide_msgchan._codec.sending import CLONE, send_message
from pyodide_msgchan._interfaces import DATA, Batch, MessageSink, Notice, TransferList
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import MessageError

__all__ = [
    "BrowserEndpoint",
    "BrowserEvent",
    "adopt_endpoint",
    "adopt_port",
    "browser_pair",
    "port_of",
    "set_port_factory",
]


_endpoints: weakref.WeakValueDictionary[int, BrowserEndpoint] = weakref.WeakValueDictionary()


_detached_owners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Wrappers of transferred ports by number, for messages that still reach their native ports."""


_port_factory: Callable[[BrowserEndpoint], Any]


def set_port_factory(wrap: Callable[[BrowserEndpoint], Any]) -> None:
    """Set the function that wraps the endpoint of a native port that came in a message."""
    global _port_factory  # noqa: PLW0603 - set once, when the module of ports is imported
    _port_factory = wrap


def port_of(native: Any, request_port: int = 0) -> Any:
    """Return the wrapper of a native port that came in a message.

    Args:
        native: the port.
        request_port: the number of the port that the message came to; the sender may wait for
            an answer on `native`.
    """
    return _port_factory(adopt_port(native, stack_switching=True, request_port=request_port))


def _report_stray(number: int, message: Any, event: Any) -> None:
    """Report a message that was on its way to a port when that port was transferred."""
    text = "a message came to a port that had been transferred; transfer ports before starting them"
    if type(message) is Notice:
        error = MessageError(f"{text}; it could not be read")
        error.__cause__ = message.error
    else:
        error = MessageError(text, data=message, ports=map(port_of, event.ports))
    owner = _detached_owners.get(number)
    if owner is None:
        report(text, error)
    else:
        core_of(owner).queue.report_error(error)


set_stray_sink(_report_stray)


def adopt_port(native: Any, *, stack_switching: bool, request_port: int = 0) -> BrowserEndpoint:
    """Return the one endpoint of a native port; for the request_port see `port_of`.

    Raises:
        TypeError: `native` is not a MessagePort.
        NotInBrowserError: this Python has no JavaScript.
    """
    here = bridge()
    number = here.adopt(native, stack_switching, request_port) if is_js_proxy(native) else 0
    if number == 0:
        raise TypeError(f"not a JavaScript MessagePort: {short_repr(native)}")
    return _endpoint_of(number, stack_switching=stack_switching)


def adopt_endpoint(native: Any) -> BrowserEndpoint:
    """Return the one endpoint of a worker, or of another JavaScript object that posts messages.

    Raises:
        TypeError: `native` can't post messages, or it is a window.
    """
    number = bridge().endpoint(native, True) if is_js_proxy(native) else 0  # noqa: FBT003 - JavaScript
    if number == 0:
        raise TypeError(
            f"neither a port nor a worker: {short_repr(native)}; for windows use connect()"
        )
    endpoint = _endpoint_of(number, stack_switching=True)
    endpoint.shared = bridge().tag(native) != "MessagePort"
    return endpoint


def _endpoint_of(number: int, *, stack_switching: bool) -> BrowserEndpoint:
    known = _endpoints.get(number)
    return BrowserEndpoint(number, stack_switching=stack_switching) if known is None else known


def browser_pair(*, stack_switching: bool = True) -> tuple[BrowserEndpoint, BrowserEndpoint]:
    """Return the two ends of a new native channel.

    Raises:
        NotInBrowserError: this Python has no JavaScript.
    """
    first = bridge().channel(stack_switching)
    return (
        BrowserEndpoint(first, stack_switching=stack_switching, created_here=True),
        BrowserEndpoint(first + 1, stack_switching=stack_switching, created_here=True),
    )


class BrowserEndpoint:
    """A native port, or the allowed messages to a window, which the bridge knows by a number.

    Attributes:
        shared: True if others may use it as well: it is a worker or another target, not a port.
    """

    __slots__ = (
        "__weakref__", "_created_here", "_exposed", "_flag", "_lane", "_number",
        "_stack_switching", "announce", "owner", "shared",
    )  # fmt: skip

    def __init__(self, number: int, *, stack_switching: bool, created_here: bool = False) -> None:
        self._number = number
        self._stack_switching = stack_switching
        self._created_here = created_here
        self._exposed = False
        self._flag = 0  # the index of its flag in the shared memory, once it is known
        self._lane = CLONE
        self.announce: Callable[[Any], None] | None = None
        self.owner: Any = None
        self.shared = False
        _endpoints[number] = self

    @property
    def js(self) -> Any:
        """The native port; messages that JavaScript posts on it from now on are counted."""
        if not self._exposed:
            self._exposed = True
            bridge().count(self._number)
        return bridge().native(self._number)

    @property
    def native(self) -> Any:
        """The native port, for a use that transfers it."""
        return bridge().native(self._number)

    @property
    def number(self) -> int:
        """The number by which the bridge knows the endpoint."""
        return self._number

    @property
    def private(self) -> bool:
        """True if only the wrapper has a reference to the native port."""
        return self._created_here and not self._exposed

    @property
    def packed(self) -> bool:
        """True if it uses the packed lane."""
        return self._lane is not CLONE

    def enable_packing(self) -> None:
        """Use the packed lane from now on."""
        from pyodide_msgchan._codec.packed.lane import PACKED, start_packing  # noqa: PLC0415 - loaded only if it is used

        start_packing(self._number, port_of)
        self._lane = PACKED

    def post(self, message: Any, moved: TransferList | None) -> None:
        lane = self._lane
        if (
            moved is None
            and type(message) in _SCALARS
            and (lane is CLONE or type(message) is not float or not message.is_integer())
        ):
            bridge().post(self._number, message)  # JavaScript keeps its type and value
            return
        send = bridge().send if lane is CLONE else bridge().send_packed
        send_message(lane, send, (self._number,), message, moved, self.announce)

    def poll_or_arm(self, mode: int, held: int, sink: MessageSink) -> Batch | None:
        here, flag = bridge(), self._flag
        # The flag replaces a call into JavaScript; js/bridge.mjs describes its values.
        if mode == DATA and flag and not held and here.memory[flag] <= DATA:
            here.memory[flag] = DATA
            waiting_sinks[self._number] = sink
            return None
        packed = here.poll_or_arm(self._number, mode, held)
        if packed:
            return unpack(self._number, packed)
        waiting_sinks[self._number] = sink
        if not flag and (flag := here.flag(self._number)) < len(here.memory):
            self._flag = flag
        return None

    def listen(self, sink: MessageSink) -> None:
        waiting_sinks[self._number] = sink
        bridge().listen(self._number)

    def disarm(self) -> None:
        waiting_sinks.pop(self._number, None)
        bridge().disarm(self._number)

    def start(self) -> None:
        bridge().start(self._number)

    def queued(self) -> int:
        return bridge().queued(self._number)

    def event(self, native: Any, index: int) -> BrowserEvent:
        js = bridge().event(self._number, index) if native is None else native
        return BrowserEvent(js, self._number, packing=self.packed)

    def sent(self) -> int:
        return bridge().sent(self._number)

    def sent_bytes(self) -> int:
        return bridge().sent_bytes(self._number)

    def answers(self) -> int | None:
        count = bridge().answers(self._number)
        return None if count < 0 else count

    def received(self) -> int:
        return bridge().received(self._number)

    def pair(self) -> tuple[BrowserEndpoint, BrowserEndpoint]:
        return browser_pair(stack_switching=self._stack_switching)

    def calls(self, prefix: str) -> BrowserPlainCalls:
        return BrowserPlainCalls(self._number, prefix)

    def close(self) -> None:
        self._drop(close=True)

    def release(self) -> None:
        self._drop(close=False)

    def detach(self) -> None:
        owner = None if self.owner is None else self.owner()
        if owner is not None:
            _detached_owners[self._number] = owner
        self._drop(close=False, detached=True)

    def _drop(self, *, close: bool, detached: bool = False) -> None:
        self.unregister()
        bridge().drop(self._number, close, detached)

    def unregister(self) -> None:
        """Remove every reference to this endpoint; JavaScript closes the native port."""
        waiting_sinks.pop(self._number, None)
        _endpoints.pop(self._number, None)


_SCALARS = frozenset({str, int, float, bool, type(None)})


class BrowserPlainCalls:
    """The fast path for remote calls of plain values, whose messages JavaScript builds."""

    __slots__ = ("_answer", "_call", "_number")

    def __init__(self, number: int, prefix: str) -> None:
        here = bridge()
        self._number = number
        self._call, self._answer = here.call, here.answer
        here.begin_calls(number, prefix)

    def open(self) -> None:
        bridge().open_calls(self._number)

    def serve(self, on: bool, /) -> None:  # noqa: FBT001 - JavaScript has no keywords
        bridge().serve_calls(self._number, on)

    def call(self, call: int, path: tuple[str, ...], values: tuple[Any, ...]) -> None:
        self._call(self._number, call, path[0] if path else None, *values)

    def answer(self, call: str, value: Any) -> None:
        self._answer(self._number, call, value)


class BrowserEvent:
    """A native MessageEvent, whose attributes are read when they are used."""

    __slots__ = ("_js", "_number", "_packing")

    def __init__(self, js: Any, number: int = 0, *, packing: bool = False) -> None:
        self._js = js
        self._number = number
        self._packing = packing

    @property
    def js(self) -> Any:
        """The native event. Answers that JavaScript sends on its port are not counted."""
        if self._js is not None and self._js.ports.length:
            bridge().pass_on(self._number)
        return self._js

    @property
    def packed(self) -> bool:
        """True if the message came on the packed lane."""
        return self._packing and bridge().is_packed(self._js)

    @property
    def ports(self) -> tuple[Any, ...]:
        if self._js is None:  # the whole batch could not be read
            return ()
        natives = tuple(self._js.ports)
        if not natives:
            return ()
        return (*map(port_of, natives[:-1]), port_of(natives[-1], self._number))

    @property
    def origin(self) -> str:
        return str(self._js.origin)

    @property
    def source(self) -> Any:
        source = self._js.source  # a window of another origin raises if its truth value is taken
        return None if is_null(source) else source

    @property
    def last_event_id(self) -> str:
        return str(self._js.lastEventId)
