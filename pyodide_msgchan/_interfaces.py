"""The protocols between packages: endpoints, the sinks of what arrives there, and notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, final

__all__ = [
    "DATA",
    "EVENT",
    "Batch",
    "CallSink",
    "Endpoint",
    "MessageSink",
    "NativeEvent",
    "Notice",
    "PlainCalls",
    "TransferList",
]


DATA = 1
"""The receiver asks for messages without their events."""


EVENT = 2
"""The receiver asks for messages with their events."""


type Batch = tuple[list[Any], Sequence[Any] | None]
"""Messages that arrived, and their events if the receiver asked for them."""


@final
class Notice:
    """An event without a readable message, in its place among the messages.

    Attributes:
        kind: "messageerror", "close", or another type of event.
        origin: the origin of the event; empty on a port.
        error: the error that tells why the message can't be read, if that is known.
        partial: the part of the message that could be read, on the packed lane.
        attachments: the ports and JavaScript objects that came with the message.
        number: the number of the message among all that arrived on its port; the first is 1.
    """

    def __init__(
        self,
        kind: str,
        origin: str = "",
        error: BaseException | None = None,
        *,
        partial: Any = None,
        attachments: Sequence[Any] = (),
    ) -> None:
        self.kind = kind
        self.origin = origin
        self.error = error
        self.partial = partial
        self.attachments = attachments
        self.number = 0


class NativeEvent(Protocol):
    """The event that brought a message."""

    @property
    def ports(self) -> tuple[Any, ...]:
        """The wrapped ports that came with the message."""

    @property
    def origin(self) -> str:
        """The origin of the sender; empty on a port."""

    @property
    def source(self) -> Any:
        """The window of the sender; None on a port."""

    @property
    def last_event_id(self) -> str:
        """The last event ID of a server-sent event; empty for messages."""

    @property
    def js(self) -> Any:
        """The JavaScript event; None on a memory channel."""

    @property
    def packed(self) -> bool:
        """True if the message came on the packed lane, so that the answer may use it too."""


class TransferList(Protocol):
    """The checked transfer list of one message."""

    @property
    def endpoints(self) -> dict[int, Endpoint]:
        """The endpoints of the ports in the list, by the `id` of the port, in order."""

    def natives(self) -> dict[int, Any]:
        """Return the native ports in the list, by the `id` of the port, in order."""

    @property
    def items(self) -> list[Any]:
        """Everything in the list, in order: wrappers of ports, and JavaScript objects."""


class MessageSink(Protocol):
    """Receives what arrives at an endpoint."""

    def on_batch(
        self, messages: list[Any], events: Sequence[Any] | None, /
    ) -> Callable[[], None] | None:
        """Store messages; return the step that delivers them, which must be called last."""

    def on_message(self, message: Any) -> Callable[[], None] | None:
        """Store one message without its event, like `on_batch`."""

    def has_buffered(self) -> bool:
        """Return True if stored messages were not consumed."""


class CallSink(MessageSink, Protocol):
    """Receives every message of a port for remote calls, and is told of the end."""

    def on_call(self, call: str, path: tuple[str, ...], values: tuple[Any, ...], /) -> Any:
        """Run a remote call of plain values at once, as the last step of its arrival.

        Returns:
            The result if it is a plain value and available at once; None if it follows later;
            NotImplemented if the call must be handled as an ordinary message.
        """

    def store_call(
        self, call: str, path: tuple[str, ...], values: tuple[Any, ...]
    ) -> Callable[[], None] | None:
        """Handle a call of plain values as an ordinary message."""

    def on_results(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Handle results of plain values, numbers of calls and values in turn.

        Returns the step that wakes who waits for them, which must be called last.
        """

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End, because the port is over and all that came was handed over."""


class PlainCalls(Protocol):
    """A short way for remote calls of plain values."""

    def open(self) -> None:
        """Have them come by it too from now on."""

    def serve(self, on: bool, /) -> None:  # noqa: FBT001 - JavaScript has no keywords
        """Return True if requests are wanted, where others read the endpoint too."""

    def call(self, call: int, path: tuple[str, ...], values: tuple[Any, ...]) -> None:
        """Send a call of an attribute, or of the exposed object itself if the path is empty."""

    def answer(self, call: str, value: Any) -> None:
        """Send the result of a call."""


class Endpoint(Protocol):
    """The end of a channel below a port; every method returns without waiting."""

    owner: Any
    """A weak reference to the port that wraps it."""

    announce: Callable[[Any], None] | None
    """Called before sending a message that JavaScript at the other end may be unable to read."""

    @property
    def js(self) -> Any:
        """The native port."""

    @property
    def native(self) -> Any:
        """The native port, for a use that transfers it; None in memory."""

    @property
    def private(self) -> bool:
        """True if only the wrapper has a reference to the native port."""

    @property
    def shared(self) -> bool:
        """True if others may use it as well: it is a worker or another target, not a port."""

    @property
    def packed(self) -> bool:
        """True if it uses the packed lane."""

    def enable_packing(self) -> None:
        """Use the packed lane from now on; both ends must support it."""

    def post(self, message: Any, moved: TransferList | None) -> None:
        """Convert a message and send it; if DataCloneError is raised, nothing was transferred."""

    def poll_or_arm(self, mode: int, held: int, sink: MessageSink) -> Batch | None:
        """Return what is queued; if nothing is, register a sink for what comes and return None.

        Args:
            mode: DATA or EVENT.
            held: the number of messages that the receiver has not consumed; the endpoint keeps
                their events.
            sink: receives the next batch if nothing is queued.
        """

    def listen(self, sink: MessageSink) -> None:
        """Register a sink that receives everything from now on, in later turns of the loop."""

    def disarm(self) -> None:
        """Remove the registered sink."""

    def start(self) -> None:
        """Receive messages from the browser's queue from now on."""

    def queued(self) -> int:
        """Return the number of received messages that were not handed to a sink."""

    def event(self, native: Any, index: int) -> NativeEvent:
        """Return the event of a message.

        Args:
            native: the JavaScript event if it is known, else None.
            index: the place of the message, -1 being the last one that was handed over.
        """

    def sent(self) -> int:
        """Return the number of messages posted, including those that JavaScript posted itself."""

    def sent_bytes(self) -> int:
        """Return the approximate size of the posted messages in bytes, without JavaScript's own."""

    def answers(self) -> int | None:
        """Return the number of requests answered on their reply ports; None if that is unknown."""

    def received(self) -> int:
        """Return the number of messages received from the browser's queue so far."""

    def pair(self) -> tuple[Endpoint, Endpoint]:
        """Return the two ends of a new channel of the same kind."""

    def calls(self, prefix: str) -> PlainCalls | None:
        """Return the fast path for remote calls of plain values, if there is one.

        Args:
            prefix: the prefix of the ids of this end's requests.
        """

    def close(self) -> None:
        """Close the native port and release it."""

    def release(self) -> None:
        """Release the native port without closing it: it is used elsewhere."""

    def detach(self) -> None:
        """Release the native port, which was transferred.

        Messages that the browser still dispatches here go to `_report_error` of the owner, if it
        still exists.
        """
