"""The shapes that packages agree on: what lies below a port, in the browser or in memory."""

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
"""What a receiver asks for: messages alone."""


EVENT = 2
"""What a receiver asks for: messages with the events that brought them."""


type Batch = tuple[list[Any], Sequence[Any] | None]
"""Messages that arrived, and their events where those were asked for."""


@final
class Notice:
    """Stands among messages where an event brought none: "messageerror" or "close".

    Attributes:
        partial: what could be read of the message, on the packed lane.
        attachments: ports and JavaScript objects that came with it.
        number: of the message, among all that came on its port, the first one being 1.
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
        """The wrapped ports that came with it."""

    @property
    def origin(self) -> str:
        """The sender's origin; empty on a port."""

    @property
    def source(self) -> Any:
        """The sender's window, None on a port."""

    @property
    def last_event_id(self) -> str:
        """Empty, except for server-sent events."""

    @property
    def js(self) -> Any:
        """The JavaScript event; None in memory."""

    @property
    def packed(self) -> bool:
        """Whether the message came on the packed lane, so that an answer may go by it."""


class TransferList(Protocol):
    """The transfer list of one message, checked."""

    @property
    def wrappers(self) -> dict[int, Any]:
        """The ports in it, by the id of their wrapper, in order."""

    @property
    def items(self) -> list[Any]:
        """Everything in it, in order: wrappers of ports and JavaScript objects."""


class MessageSink(Protocol):
    """Who is told of what arrives at an endpoint."""

    def _store_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Store messages; return what is to be called, as the last act, if somebody goes on."""

    def _store_message(self, message: Any) -> Callable[[], None] | None:
        """Do the same for one message whose event nobody asked for."""

    def _has_buffered(self) -> bool:
        """Return True if messages are stored that nobody took."""


class CallSink(Protocol):
    """Owns the reading of a port: gets every message, without its event, and learns of the end."""

    def on_messages(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store messages; return what is to be called for them as the last act."""

    def on_call(self, call: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a remote call of plain values at once, as the last act of its arrival.

        Gives its result if that is plain and there already, else None. NotImplemented if it has to
        be taken like other messages.
        """

    def on_results(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Store answers that came apart from other messages, as `take` does."""

    def on_end(self, end: Callable[[], Exception]) -> None:
        """The port is over, and all that came was handed over."""


class PlainCalls(Protocol):
    """A short way for remote calls of plain values."""

    def open(self) -> None:
        """Have them come by it too from now on."""

    def serve(self, on: bool, /) -> None:  # noqa: FBT001 - JavaScript has no keywords
        """Return True if requests are wanted, where others read the endpoint too."""

    def call(self, call: int, path: tuple[str, ...], values: tuple[Any, ...]) -> None:
        """Send a call of one name, or of the object itself."""

    def answer(self, call: str, value: Any) -> None:
        """Send the answer to one."""


class Endpoint(Protocol):
    """The end of a channel below a port. Synchronous: it decides nothing and waits for nothing."""

    owner: Any
    """A weak reference to the port that wraps it."""

    announce: Callable[[Any], None] | None
    """Called with each message that JavaScript over there may be unable to read, before it goes."""

    @property
    def js(self) -> Any:
        """The native port."""

    @property
    def private(self) -> bool:
        """Whether nobody but the wrapper can have the native port."""

    @property
    def shared(self) -> bool:
        """Whether others may read and write it too: a worker, and what else is no port."""

    @property
    def packed(self) -> bool:
        """Whether it speaks the packed lane."""

    def enable_packing(self) -> None:
        """Speak the packed lane from now on: both ends are known to."""

    def post(self, message: Any, moved: TransferList | None) -> None:
        """Convert and send; raises DataCloneError with nothing moved."""

    def poll_or_arm(self, mode: int, held: int, sink: MessageSink) -> Batch | None:
        """Return what is queued; or note who is to be told of the next arrival, and give None.

        So many messages are `held` untaken by whoever asks: their events are kept.
        """

    def listen(self, sink: MessageSink) -> None:
        """Note that everything that comes is to be handed over, in later turns."""

    def disarm(self) -> None:
        """Note that nobody waits."""

    def start(self) -> None:
        """Take messages out of the browser's queue from now on."""

    def queued(self) -> int:
        """Return how many messages it holds that were not handed over."""

    def event(self, native: Any, index: int) -> NativeEvent:
        """Return the event behind a message.

        It is `native`, or that of the message at `index`, -1 being the last one handed over.
        """

    def sent(self) -> int:
        """Return how many messages were posted, those of JavaScript past the wrapper included."""

    def sent_bytes(self) -> int:
        """Give the size of what was posted, about; of JavaScript's own messages it is not known."""

    def answers(self) -> int | None:
        """Return how many reply ports that came here were posted on; None if one was passed on."""

    def received(self) -> int:
        """Return how many messages came out of the browser's queue so far."""

    def pair(self) -> tuple[Endpoint, Endpoint]:
        """Make a channel of the same kind."""

    def calls(self, prefix: str) -> PlainCalls | None:
        """Return the short way for remote calls, where there is one; their ids begin like that."""

    def close(self) -> None:
        """Close the native port and let go of it."""

    def release(self) -> None:
        """Release the native port, which lives on elsewhere."""

    def detach(self) -> None:
        """Release the native port, which was transferred.

        What a browser still dispatches here goes to `_report_error` of the owner, if it is there.
        """
