"""The browser's end below a port: values converted, posted and taken out of its queue."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.callbacks import (
    pending_steps,
    report,
    set_stray_sink,
    unpack,
    waiting_sinks,
)
from pyodide_msgchan._bridge.ffi import has_objects, is_js_proxy, is_null, to_js_list
from pyodide_msgchan._codec.encoder import encode, find_unclonable
from pyodide_msgchan._interfaces import DATA, Batch, MessageSink, Notice, TransferList
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import DataCloneError, MessageError

__all__ = [
    "BrowserEndpoint",
    "BrowserEvent",
    "adopt_endpoint",
    "adopt_port",
    "browser_pair",
    "port_of",
    "post_encoded",
    "set_port_factory",
]


_endpoints: weakref.WeakValueDictionary[int, BrowserEndpoint] = weakref.WeakValueDictionary()


_detached_owners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Wrappers of ports that were transferred, for messages that still come to the old native ports."""


_port_factory: Callable[[BrowserEndpoint], Any]


def set_port_factory(wrap: Callable[[BrowserEndpoint], Any]) -> None:
    """Say what stands for a native port in Python; the module of ports does, once."""
    global _port_factory  # noqa: PLW0603 - set once, from above
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
    """Report a message that was under way when its port was transferred, and came here."""
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
        owner._report_error(error)


set_stray_sink(_report_stray)


def adopt_port(native: Any, *, stack_switching: bool, request_port: int = 0) -> BrowserEndpoint:
    """Return the one endpoint of a native port; for the request_port see `port_of`.

    Raises:
        TypeError: it is no MessagePort.
        NotInBrowserError: there is no JavaScript here.
    """
    here = bridge()
    number = here.adopt(native, stack_switching, request_port) if is_js_proxy(native) else 0
    if number == 0:
        raise TypeError(f"not a JavaScript MessagePort: {short_repr(native)}")
    return _endpoint_of(number, stack_switching=stack_switching)


def adopt_endpoint(native: Any) -> BrowserEndpoint:
    """Return the one endpoint of a worker, or of what else in JavaScript has messages.

    Raises:
        TypeError: it has none, or it is a window.
    """
    number = bridge().endpoint(native, True) if is_js_proxy(native) else 0  # noqa: FBT003 - JavaScript
    if number == 0:
        raise TypeError(
            f"neither a port nor a worker: {short_repr(native)}; for windows there is connect()"
        )
    endpoint = _endpoint_of(number, stack_switching=True)
    endpoint.shared = bridge().tag(native) != "MessagePort"
    return endpoint


def _endpoint_of(number: int, *, stack_switching: bool) -> BrowserEndpoint:
    known = _endpoints.get(number)
    return BrowserEndpoint(number, stack_switching=stack_switching) if known is None else known


def browser_pair(*, stack_switching: bool = True) -> tuple[BrowserEndpoint, BrowserEndpoint]:
    """Make a native channel.

    Raises:
        NotInBrowserError: there is no JavaScript here.
    """
    first = bridge().channel(stack_switching)
    return (
        BrowserEndpoint(first, stack_switching=stack_switching, created_here=True),
        BrowserEndpoint(first + 1, stack_switching=stack_switching, created_here=True),
    )


class BrowserEndpoint:
    """A native port, or a filtered view of a window's messages, known to the bridge by a number.

    Attributes:
        shared: whether others may read and write it too: it is a worker, or what else is no port.
    """

    __slots__ = (
        "__weakref__", "_created_here", "_exposed", "_flag", "_number", "_packing",
        "_stack_switching", "announce", "owner", "shared",
    )  # fmt: skip

    def __init__(self, number: int, *, stack_switching: bool, created_here: bool = False) -> None:
        self._number = number
        self._stack_switching = stack_switching
        self._created_here = created_here
        self._exposed = False
        self._flag = 0  # where in the shared memory, once it is known
        self._packing: Callable[..., None] | None = None
        self.announce: Callable[[Any], None] | None = None
        self.owner: Any = None
        self.shared = False
        _endpoints[number] = self

    @property
    def js(self) -> Any:
        """The native port; JavaScript may post on it from now on, which is counted."""
        if not self._exposed:
            self._exposed = True
            bridge().count(self._number)
        return bridge().native(self._number)

    @property
    def native(self) -> Any:
        """The native port, for a use that ends with it here."""
        return bridge().native(self._number)

    @property
    def number(self) -> int:
        """What the bridge knows it by."""
        return self._number

    @property
    def private(self) -> bool:
        """Whether nobody but this wrapper can have the native port."""
        return self._created_here and not self._exposed

    @property
    def packed(self) -> bool:
        """Whether it speaks the packed lane."""
        return self._packing is not None

    def enable_packing(self) -> None:
        """Speak the packed lane from now on."""
        from pyodide_msgchan._codec.packed.lane import post_packed, start_packing  # noqa: PLC0415 - only who speaks it loads it

        start_packing(self._number, port_of)
        self._packing = post_packed

    def post(self, message: Any, moved: TransferList | None) -> None:
        if self._packing is not None:
            self._packing(self._number, message, moved, self.announce)
            return
        if moved is None and type(message) in _SCALARS:
            bridge().post(self._number, message)
            return
        post_encoded(bridge().send, (self._number,), message, moved, self.announce)

    def poll_or_arm(self, mode: int, held: int, sink: MessageSink) -> Batch | None:
        here, flag = bridge(), self._flag
        if (
            mode == DATA and flag and not held and here.memory[flag] <= DATA
        ):  # as js/bridge.mjs says
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
        return BrowserEvent(js, self._number, packing=self._packing is not None)

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
        """Be nothing but a number: JavaScript ends the native port."""
        waiting_sinks.pop(self._number, None)
        pending_steps.pop(self._number, None)
        _endpoints.pop(self._number, None)


_SCALARS = frozenset({str, int, float, bool, type(None)})


class BrowserPlainCalls:
    """The short way for remote calls of plain values, whose objects JavaScript makes."""

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
    """A native MessageEvent, read when asked."""

    __slots__ = ("_js", "_number", "_packing")

    def __init__(self, js: Any, number: int = 0, *, packing: bool = False) -> None:
        self._js = js
        self._number = number
        self._packing = packing

    @property
    def js(self) -> Any:
        """The native event; JavaScript may answer on its port from now on, uncounted."""
        if self._js is not None and self._js.ports.length:
            bridge().pass_on(self._number)
        return self._js

    @property
    def packed(self) -> bool:
        """Whether Python has packed what it brought."""
        return self._packing and bridge().is_packed(self._js)

    @property
    def ports(self) -> tuple[Any, ...]:
        if self._js is None:  # of a batch that could not be read at all
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
        source = self._js.source  # never asked for its truth: a window of another origin has none
        return None if is_null(source) else source

    @property
    def last_event_id(self) -> str:
        return str(self._js.lastEventId)


def post_encoded(
    send: Callable[..., str | None],
    target: Sequence[Any],
    message: Any,
    moved: TransferList | None,
    announce: Callable[[Any], None] | None = None,
) -> None:
    """Convert a message and send it by a function of the bridge.

    Args:
        send: the function.
        target: its first arguments.
        message: what to send.
        moved: what goes along.
        announce: called before a message with JavaScript objects in it goes.

    Raises:
        DataCloneError: with the path of what the browser refuses; nothing was moved.
    """
    ports = {key: port._endpoint.native for key, port in moved.wrappers.items()} if moved else {}
    items = [ports.get(id(item), item) for item in moved.items] if moved else []
    stream = encode(message, ports)
    if announce is not None and stream.side and has_objects(stream.side):
        announce(message)
    short = stream.short
    size = len(short)
    transfer = to_js_list(items) if items else None
    side = to_js_list(stream.side) if stream.side else None
    chunks = to_js_list(stream.chunks) if stream.chunks else None
    outgoing = bridge().outgoing
    # Nothing is called between these two: a call may bring a collection, and that a finalizer
    # which posts a message of its own.
    outgoing[:size] = short
    refusal = send(*target, size, transfer, side, chunks)
    if not refusal:
        return
    name, _, text = refusal.partition(" ")
    if name == "transfer":
        index, _, text = text.partition(" ")
        raise DataCloneError(text, f"transfer[{index}]")
    if name == "target":
        raise TypeError("not a window or frame: it has no postMessage")
    find_unclonable(message, ports, items)
    raise DataCloneError(f"the browser refuses it: {text}")
