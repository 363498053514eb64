"""The shapes that modules agree on: what lies below a port, in the browser or in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol, final

if TYPE_CHECKING:  # it is loaded with connections, which a page may not need
    from ._wire import Envelope

__all__ = [
    "DATA",
    "EVENT",
    "Batch",
    "Calls",
    "Endpoint",
    "Hearing",
    "Link",
    "Moved",
    "NativeEvent",
    "Notice",
    "Reader",
    "Taker",
    "World",
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
        beside: ports and JavaScript objects that came with it.
        number: of the message, among all that came on its port, the first one being 1.
    """

    def __init__(
        self,
        kind: str,
        origin: str = "",
        error: BaseException | None = None,
        *,
        partial: Any = None,
        beside: Sequence[Any] = (),
    ) -> None:
        self.kind = kind
        self.origin = origin
        self.error = error
        self.partial = partial
        self.beside = beside
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


class Moved(Protocol):
    """The transfer list of one message, checked."""

    @property
    def wrappers(self) -> dict[int, Any]:
        """The ports in it, by the id of their wrapper, in order."""

    @property
    def items(self) -> list[Any]:
        """Everything in it, in order: wrappers of ports and JavaScript objects."""


class Taker(Protocol):
    """Who is told of what arrives at an endpoint."""

    def _take(self, messages: list[Any], events: Sequence[Any] | None) -> Callable[[], None] | None:
        """Store messages; gives what is to be called, as the last act, if somebody goes on."""

    def _take_one(self, message: Any) -> Callable[[], None] | None:
        """Do the same for one message whose event nobody asked for."""

    def _left(self) -> bool:
        """Say whether messages are stored that nobody took."""


class Reader(Protocol):
    """Owns the reading of a port: gets every message, without its event, and learns of the end."""

    def take(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store messages; gives what is to be called for them as the last act."""

    def asked(self, call: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a remote call of plain values at once, as the last act of its arrival.

        Gives its result if that is plain and there already, else None. NotImplemented if it has to
        be taken like other messages.
        """

    def answered(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Store answers that came apart from other messages, as `take` does."""

    def ended(self, end: Callable[[], Exception]) -> None:
        """The port is over, and all that came was handed over."""


class Calls(Protocol):
    """A short way for remote calls of plain values."""

    def open(self) -> None:
        """Have them come by it too from now on."""

    def serve(self, on: bool, /) -> None:  # noqa: FBT001 - JavaScript has no keywords
        """Say whether requests are wanted, where others read the endpoint too."""

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

    def pack(self) -> None:
        """Speak the packed lane from now on: both ends are known to."""

    def post(self, message: Any, moved: Moved | None) -> None:
        """Convert and send; raises DataCloneError with nothing moved."""

    def want(self, mode: int, held: int, taker: Taker) -> Batch | None:
        """Give what is queued; or note who is to be told of the next arrival, and give None.

        So many messages are `held` untaken by whoever asks: their events are kept.
        """

    def listen(self, taker: Taker) -> None:
        """Note that everything that comes is to be handed over, in later turns."""

    def rest(self) -> None:
        """Note that nobody waits."""

    def start(self) -> None:
        """Take messages out of the browser's queue from now on."""

    def queued(self) -> int:
        """Give how many messages it holds that were not handed over."""

    def event(self, native: Any, index: int) -> NativeEvent:
        """Give the event behind a message.

        It is `native`, or that of the message at `index`, -1 being the last one handed over.
        """

    def sent(self) -> int:
        """Give how many messages were posted, those of JavaScript past the wrapper included."""

    def sent_bytes(self) -> int:
        """Give the size of what was posted, about; of JavaScript's own messages it is not known."""

    def answers(self) -> int | None:
        """Return how many reply ports that came here were posted on; None if one was passed on."""

    def received(self) -> int:
        """Give how many messages came out of the browser's queue so far."""

    def pair(self) -> tuple[Endpoint, Endpoint]:
        """Make a channel of the same kind."""

    def calls(self, prefix: str) -> Calls | None:
        """Give the short way for remote calls, where there is one; their ids begin like that."""

    def close(self) -> None:
        """Close the native port and let go of it."""

    def release(self) -> None:
        """Let go of the native port, which lives on elsewhere."""

    def detach(self) -> None:
        """Let go of the native port, which was transferred.

        What a browser still dispatches here goes to `_report_error` of the owner, if it is there.
        """


class Link(Protocol):
    """The two channels below a connection: data, which is the user's, and control."""

    @property
    def data(self) -> Endpoint:
        """This side's end of the data channel."""

    def listen(self, heard: Callable[[Any, Sequence[Any]], None]) -> None:
        """Hand over every control message from now on, and a `Notice` for each sign of an end.

        With an introduction come its ports, for `adopt` or `discard`.
        """

    def send(self, message: dict[str, Any], moved: Moved | None = None) -> None:
        """Post a control message; raises DataCloneError if it can't be sent."""

    def watch(self, origin: str | None, lock: str) -> None:
        """Look out for the other page's end: a `Notice` of kind "gone" is handed over then."""

    def adopt(self, ports: Sequence[Any]) -> Link | None:
        """Return the link of an introduction's ports; None if somebody else here has them."""

    def discard(self, ports: Sequence[Any]) -> None:
        """Close an introduction's ports, after a goodbye if there are two of them."""

    @property
    def awaits_farewell(self) -> Callable[[], bool]:
        """Return True if the goodbye of this side was not answered yet, or only just now.

        A function of this link alone, always the same one, that does not keep the link alive.
        """

    def expect(self, sent: int) -> None:
        """Take in what was sent before a goodbye, and say farewell when all of it is here."""

    def close(self, *, goodbye: bool) -> None:
        """Be done: say goodbye if asked to, and close both channels once that is safe."""

    def wake(self, run: Callable[[], None]) -> None:
        """Run this as the last act of the arrival that is being handed over."""


class Hearing(Protocol):
    """Envelopes that allowed senders post to this window."""

    def rejected(self) -> Sequence[str]:
        """Give the origins that spoke from the expected window and are not allowed."""

    def close(self) -> None:
        """Hear no more."""

    def wake(self, run: Callable[[], None]) -> None:
        """Run this as the last act of the arrival that is being handed over."""


class World(Protocol):
    """Where a page stands among other windows: all that the handshake needs to reach them."""

    @property
    def origin(self) -> str:
        """This page's own origin; empty in a worker."""

    @property
    def runtime(self) -> str:
        """What Python runs on here, as the other side is told."""

    def kind(self, target: Any) -> str:
        """Give "frame", "window" or "worker"; empty for what is none of them."""

    def is_gone(self, target: Any) -> bool:
        """Say whether a frame is in no document, or a window closed."""

    def place_of(self, target: Any) -> Any:
        """Return what stands for the place of a target: the same for a frame and its window."""

    def owners(self, *, everybody: bool) -> Sequence[Any]:
        """Give who may connect to this page: its parent, else its opener, or all it knows of."""

    def hear(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        heard: Callable[[Any, str, Any, Any], None],
    ) -> Hearing:
        """Hand over the envelopes of that name: their words, origin, sender and ports.

        No sender is named where only one is heard. A `Notice` comes in place of the words: of kind
        "restored" if this page is a new peer, "gone" if the frame or window that is heard is gone,
        "failed" if the worker's script can't be had, or has raised the error in the notice.
        """

    def announce(self, target: Any, origin: str, envelope: Envelope) -> None:
        """Post an envelope without ports."""

    def offer(self, target: Any, origin: str, envelope: Envelope, *, stack_switching: bool) -> Link:
        """Make both channels, post their far ends and keep the near ones."""

    def adopt(self, ports: Any, target: Any, *, stack_switching: bool) -> Link | None:
        """Take the ports of an offer; None if somebody else in this page has them."""

    def discard(self, ports: Any, message: dict[str, Any] | None) -> None:
        """Close the ports of an offer, after a last word on the control channel."""

    def loaded(self) -> float:
        """Give the milliseconds since this page's load event ended, -1 before that."""

    def hold_lock(self) -> Awaitable[Any] | None:
        """Take a lock for as long as this page lives; None where there is nothing to wait for."""

    def lock(self) -> str:
        """Give the name of the lock, once it is held; else an empty string."""
