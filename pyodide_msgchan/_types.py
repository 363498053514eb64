"""The shapes that modules agree on: what lies below a port, in the browser or in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["DATA", "EVENT", "Batch", "Endpoint", "Moved", "NativeEvent", "Reader"]

DATA = 1
"""What a receiver asks for: messages alone."""

EVENT = 2
"""What a receiver asks for: messages with the events that brought them."""

type Batch = tuple[list[Any], Sequence[Any] | None]
"""Messages that arrived, and their events where those were asked for."""


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


class Moved(Protocol):
    """The transfer list of one message, checked."""

    @property
    def wrappers(self) -> dict[int, Any]:
        """The ports in it, by the id of their wrapper, in order."""

    @property
    def items(self) -> list[Any]:
        """Everything in it, in order: wrappers of ports and JavaScript objects."""


class Reader(Protocol):
    """Owns the reading of a port: gets every message, without its event, and learns of the end."""

    def take(self, messages: list[Any]) -> Callable[[], Any] | None:
        """Store messages; gives what is to be called for them as the last act."""

    def ended(self, end: Callable[[], Exception]) -> None:
        """The port is over, and all that came was handed over."""


class Endpoint(Protocol):
    """The end of a channel below a port. Synchronous: it decides nothing and waits for nothing."""

    owner: Any
    """A weak reference to the port that wraps it."""

    @property
    def js(self) -> Any:
        """The native port."""

    @property
    def private(self) -> bool:
        """Whether nobody but the wrapper can have the native port."""

    def post(self, message: Any, moved: Moved | None) -> None:
        """Convert and send; raises DataCloneError with nothing moved."""

    def want(self, mode: int) -> Batch | None:
        """Give what is queued; or note that somebody waits, and give None."""

    def listen(self) -> None:
        """Note that everything that comes is to be handed over, in later turns."""

    def rest(self) -> None:
        """Note that nobody waits."""

    def start(self) -> None:
        """Take messages out of the browser's queue from now on."""

    def queued(self) -> int:
        """Give how many messages it holds that were not handed over."""

    def event(self, native: Any, index: int) -> NativeEvent:
        """Give the event behind a message: `native`, or the one at `index` of the last batch."""

    def foreign(self) -> int:
        """Give how many messages JavaScript posted past the wrapper."""

    def pair(self) -> tuple[Endpoint, Endpoint]:
        """Make a channel of the same kind."""

    def close(self) -> None:
        """Close the native port and let go of it."""

    def release(self) -> None:
        """Let go of the native port, which lives on elsewhere."""

    def hold(self, arrive: Callable[[list[Any], Any], None]) -> None:
        """Say who is told of what arrives; keeps that alive."""

    def step(self, run: Callable[[], bool]) -> None:
        """Say what is to run once an arrival is stored; it tells whether all was taken."""
