"""The environment of a page as the handshake sees it: windows, listeners and channel pairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from pyodide_msgchan._connection.wire import Envelope
from pyodide_msgchan._interfaces import Endpoint, TransferList

__all__ = ["ChannelPair", "Environment", "WindowListener"]


class ChannelPair(Protocol):
    """The two channels below a connection: data, which is the user's, and control."""

    @property
    def data(self) -> Endpoint:
        """This side's end of the data channel."""

    def listen(self, heard: Callable[[Any, Sequence[Any]], None]) -> None:
        """Hand over every control message from now on, and a `Notice` for each sign of an end.

        With an introduction come its ports, for `adopt_port` or `discard`.
        """

    def send(self, message: dict[str, Any], moved: TransferList | None = None) -> None:
        """Post a control message; raises DataCloneError if it can't be sent."""

    def watch(self, origin: str | None, lock: str) -> None:
        """Look out for the other page's end: a `Notice` of kind "gone" is handed over then."""

    def adopt(self, ports: Sequence[Any]) -> ChannelPair | None:
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


class WindowListener(Protocol):
    """Envelopes that allowed senders post to this window."""

    def rejected(self) -> Sequence[str]:
        """Return the origins that spoke from the expected window and are not allowed."""

    def close(self) -> None:
        """Stop listening."""

    def wake(self, run: Callable[[], None]) -> None:
        """Run this as the last act of the arrival that is being handed over."""


class Environment(Protocol):
    """Where a page stands among other windows: all that the handshake needs to reach them."""

    @property
    def origin(self) -> str:
        """This page's own origin; empty in a worker."""

    @property
    def runtime(self) -> str:
        """What Python runs on here, as the other side is told."""

    def kind(self, target: Any) -> str:
        """Return "frame", "window" or "worker"; empty for what is none of them."""

    def is_gone(self, target: Any) -> bool:
        """Return True if a frame is in no document, or a window closed."""

    def place_of(self, target: Any) -> Any:
        """Return what stands for the place of a target: the same for a frame and its window."""

    def owners(self, *, everybody: bool) -> Sequence[Any]:
        """Return who may connect to this page: its parent, else its opener, or all it knows of."""

    def hear(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        heard: Callable[[Any, str, Any, Any], None],
    ) -> WindowListener:
        """Hand over the envelopes of that name: their words, origin, sender and ports.

        No sender is named where only one is heard. A `Notice` comes in place of the words: of kind
        "restored" if this page is a new peer, "gone" if the frame or window that is heard is gone,
        "failed" if the worker's script can't be had, or has raised the error in the notice.
        """

    def announce(self, target: Any, origin: str, envelope: Envelope) -> None:
        """Post an envelope without ports."""

    def offer(
        self, target: Any, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> ChannelPair:
        """Make both channels, post their far ends and keep the near ones."""

    def adopt(self, ports: Any, target: Any, *, stack_switching: bool) -> ChannelPair | None:
        """Take the ports of an offer; None if somebody else in this page has them."""

    def discard(self, ports: Any, message: dict[str, Any] | None) -> None:
        """Close the ports of an offer, after a last word on the control channel."""

    def loaded(self) -> float:
        """Return the milliseconds since this page's load event ended, -1 before that."""

    def hold_lock(self) -> Awaitable[Any] | None:
        """Take a lock for as long as this page lives; None where there is nothing to wait for."""

    def lock(self) -> str:
        """Return the name of the lock, once it is held; else an empty string."""
