"""The exceptions of the package: one tree, fields kept, messages composed from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

__all__ = [
    "DataCloneError",
    "HandshakeError",
    "HandshakeTimeoutError",
    "MessageError",
    "MsgChanError",
    "NotInBrowserError",
    "OriginRejectedError",
    "PeerClosedError",
    "PeerLostError",
    "PortClosedError",
    "PortDetachedError",
    "PortStateError",
    "RemoteError",
    "VersionMismatchError",
]


LONG_PATH = 200
"""Characters: a longer path is shown with both its ends."""


type HandshakeCode = Literal[
    "timeout",
    "taken",
    "name-in-use",
    "version",
    "no-owner",
    "gone",
    "detached",
    "blocked",
    "no-opener",
    "worker-failed",
    "refused",
]
"""Why no connection came about."""


class MsgChanError(Exception):
    """Base of every error that this package raises of its own."""


class NotInBrowserError(MsgChanError, RuntimeError):
    """A real channel was asked for where there is no JavaScript: on plain CPython.

    `pyodide_msgchan.testing` has a channel in memory for tests that run there.
    """

    def __init__(self, what: str = "a MessageChannel") -> None:
        self.what = what
        super().__init__(
            f"{what} needs a browser's JavaScript and this Python has none; "
            "under ordinary Python use pyodide_msgchan.testing"
        )


class DataCloneError(MsgChanError, TypeError):
    """A value can't be sent: structured clone or transfer refuses it.

    Attributes:
        path: where the value stands, as Python would reach it: ``message['rows'][3]``.
        reason: what is wrong with it there.
    """

    def __init__(self, reason: str, path: str = "message") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{_shorten(path)}: {reason}")

    def __reduce__(self) -> tuple[type[DataCloneError], tuple[str, str]]:
        """Copy with the fields, not with the composed text."""
        return type(self), (self.reason, self.path)


class MessageError(MsgChanError):
    """A message arrived that can't be read, or at a port that had been transferred already.

    Attributes:
        data: the message that came to a port which was transferred meanwhile; else None.
        ports: the ports that came with it.
    """

    def __init__(self, message: str, *, data: Any = None, ports: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.data = data
        self.ports = tuple(ports)


class PortStateError(MsgChanError):
    """The port is not in a state in which this can be done."""


class PortClosedError(PortStateError):
    """This side closed the port."""

    def __init__(self, message: str = "this side closed the port") -> None:
        super().__init__(message)


class PeerClosedError(PortClosedError):
    """The other side closed its port; what it had sent was delivered before."""

    def __init__(self, message: str = "the other side closed its port") -> None:
        super().__init__(message)


class PortDetachedError(PortStateError):
    """The port was transferred: whoever received it holds the only usable end."""

    def __init__(self, message: str = "the port was transferred and can't be used here") -> None:
        super().__init__(message)


class PeerLostError(PortStateError):
    """The other side vanished without a goodbye, or took this one for lost.

    Attributes:
        missing: how many of its messages are known to be lost; None where nobody can tell.
    """

    def __init__(
        self, message: str = "the other side vanished", missing: int | None = None
    ) -> None:
        self.missing = missing
        if missing:
            message = f"{message}; {missing} of its messages are lost"
        super().__init__(message)


class HandshakeError(MsgChanError):
    """Two windows, or a page and its worker, could not agree on a connection.

    Attributes:
        code: the reason, for programs. "timeout": nobody answered in time. "taken": the `accept`
            over there has its caller. "name-in-use": this page has an `accept` or `listen` under
            that name. "version": the other side speaks another version. "no-owner": there is
            nobody to accept from. "gone": the frame was removed or the window closed. "detached":
            the frame is in no document. "blocked": the browser opened no window. "no-opener": the
            window would not be reachable. "worker-failed": the worker's script did not start.
            "refused": an origin that is not allowed.
    """

    def __init__(self, message: str = "", code: HandshakeCode = "refused") -> None:
        self.code: HandshakeCode = code
        super().__init__(message)


class OriginRejectedError(HandshakeError):
    """A window of an origin that is not allowed took part.

    Attributes:
        heard: the origin that spoke.
        allowed: the origins that were allowed to.
    """

    def __init__(self, heard: str, allowed: Iterable[str]) -> None:
        self.heard = heard
        self.allowed = tuple(allowed)
        text = f"{heard} is not allowed here; allowed: {', '.join(self.allowed)}"
        super().__init__(text, "refused")


class HandshakeTimeoutError(HandshakeError, TimeoutError):
    """Nobody answered in time.

    Attributes:
        heard: origins that did speak and are not allowed, 8 at most.
        hint: what may be the reason, where that can be told; else empty.
    """

    def __init__(
        self, waited_for: str, seconds: float, heard: Iterable[str] = (), *, hint: str = ""
    ) -> None:
        self.waited_for = waited_for
        self.seconds = seconds
        self.heard = tuple(heard)
        self.hint = hint
        text = f"no {waited_for} within {seconds:g} s"
        if self.heard:
            verb = "is" if len(self.heard) == 1 else "are"
            text += f"; heard from {', '.join(self.heard)}, which {verb} not allowed"
        if hint:
            text += f"; {hint}"
        super().__init__(text, "timeout")


class VersionMismatchError(HandshakeError):
    """The other side speaks a version of the handshake that this one does not."""

    def __init__(self, ours: int, theirs: int) -> None:
        self.ours = ours
        self.theirs = theirs
        text = f"this side speaks version {ours} of the handshake, the other {theirs}"
        super().__init__(text, "version")


class RemoteError(MsgChanError):
    """An error that was raised on the other side and sent here.

    Where Python has a built-in of that meaning the exception is an instance of that too, so
    that ``except TypeError`` and ``except RemoteError`` both catch it.

    Attributes:
        name: the error's name over there (``"TypeError"``).
        message: its text.
        stack: the remote stack or traceback, empty where none came.
        value: what JavaScript threw, where that was no Error; its name is "thrown" then.
    """

    builtin: ClassVar[type[Exception] | None] = None
    name: str = ""  # here too, so that no property of a class that is rebuilt comes before them
    message: str = ""
    stack: str = ""
    value: Any = None

    def __init__(self, name: str, message: str = "", stack: str = "") -> None:
        super().__init__(name, message, stack)
        self.name = name  # after it, since a NameError would clear its own
        self.message = message
        self.stack = stack

    def __str__(self) -> str:
        """Say the message, after the name unless the class already says it."""
        if type(self).builtin is not None:
            return self.message
        return f"{self.name}: {self.message}" if self.message else self.name

    def __repr__(self) -> str:
        """Show name and message; its args came from the other side, and may print without end."""
        return f"{type(self).__name__}({self.name!r}, {self.message!r})"


def _shorten(path: str) -> str:
    """Keep both ends of a path that would fill a screen."""
    if len(path) <= LONG_PATH:
        return path
    return f"{path[:120]} … {path[-60:]}"
