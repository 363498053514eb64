"""Protocols of what a connection needs from the page: windows, listeners and channel pairs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from pyodide_msgchan._connection.wire import Envelope
from pyodide_msgchan._interfaces import Endpoint, TransferList

__all__ = ["ChannelPair", "Environment", "WindowListener"]


class ChannelPair(Protocol):
    """The two channels below a connection: data for the user's messages, and control."""

    @property
    def data(self) -> Endpoint:
        """This side's end of the data channel."""

    def listen(self, on_message: Callable[[Any, Sequence[Any]], None]) -> None:
        """Call `on_message` with every control message and a `Notice` for each sign of an end.

        The second argument has the ports of an introduction, for `adopt` or `discard`.
        """

    def send(self, message: dict[str, Any], moved: TransferList | None = None) -> None:
        """Post a control message; raise DataCloneError if it can't be sent."""

    def watch(self, origin: str | None, lock: str) -> None:
        """Watch for the end of the peer's page, which arrives as a `Notice` of kind "gone"."""

    def adopt(self, ports: Sequence[Any]) -> ChannelPair | None:
        """Return the channels of an introduction; None if this page already uses its ports."""

    def discard(self, ports: Sequence[Any]) -> None:
        """Close the ports of an introduction, after a goodbye on the control port."""

    @property
    def awaits_farewell(self) -> Callable[[], bool]:
        """A function that returns True if the peer may not have received this side's goodbye yet.

        It is always the same function of these channels, and it does not keep them alive.
        """

    def expect(self, sent: int) -> None:
        """Receive the messages sent before a goodbye, and send a farewell once all have arrived."""

    def close(self, *, goodbye: bool) -> None:
        """Send a goodbye if `goodbye` is true, and close both channels once no message is lost."""

    def wake(self, run: Callable[[], None]) -> None:
        """Run this as the last act of the arrival that is being handed over."""


class WindowListener(Protocol):
    """A listener for the envelopes that allowed senders post to this window."""

    def rejected(self) -> Sequence[str]:
        """Return the origins that are not allowed and posted from the expected window."""

    def close(self) -> None:
        """Stop listening."""

    def wake(self, run: Callable[[], None]) -> None:
        """Run this as the last act of the arrival that is being handed over."""


class Environment(Protocol):
    """A page or worker and the windows around it, as far as the handshake needs them."""

    @property
    def origin(self) -> str:
        """This page's own origin; empty in a worker."""

    @property
    def runtime(self) -> str:
        """What Python runs on, for the description of this side."""

    def kind(self, target: Any) -> str:
        """Return "frame", "window" or "worker", or an empty string for any other target."""

    def is_gone(self, target: Any) -> bool:
        """Return True if a frame is in no document or a window is closed."""

    def place_of(self, target: Any) -> Any:
        """Return a key for the place of a target, the same for a frame and its window."""

    def owners(self, *, include_all: bool) -> Sequence[Any]:
        """Return the window or worker that may connect: the parent, else the opener, or all."""

    def listen(
        self,
        place: Any,
        source: Any,
        origins: Collection[str] | None,
        name: str,
        on_envelope: Callable[[Any, str, Any, Any], None],
    ) -> WindowListener:
        """Call `on_envelope` with the fields, origin, sender and ports of each envelope of a name.

        The sender is None if only one is allowed. A `Notice` takes the place of the fields: its
        kind is "restored" if the page came out of the back/forward cache, "gone" if the frame or
        window of the source is gone, "failed" if the worker's script can't be loaded or has raised
        the error in the notice.
        """

    def announce(self, target: Any, origin: str, envelope: Envelope) -> None:
        """Post an envelope without ports."""

    def offer(
        self, target: Any, origin: str, envelope: Envelope, *, stack_switching: bool
    ) -> ChannelPair:
        """Make both channels, post their far ends and keep the near ones."""

    def adopt(self, ports: Any, target: Any, *, stack_switching: bool) -> ChannelPair | None:
        """Return the channels of an offer's ports; None if this page already uses them."""

    def discard(self, ports: Any, message: dict[str, Any] | None) -> None:
        """Close the ports of an offer, after sending `message` on the control port if given."""

    def loaded(self) -> float:
        """Return the milliseconds since this page's load event ended; -1 before that."""

    def hold_lock(self) -> Awaitable[Any] | None:
        """Hold a Web Lock while this page lives; return an awaitable until it is held, or None."""

    def lock(self) -> str:
        """Return the name of the lock once it is held, else an empty string."""
