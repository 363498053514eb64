"""The public exceptions of the package."""

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


MAX_PATH_LENGTH = 200
"""Characters. A longer path is shortened in the middle in the text of an error."""


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
"""The values of `HandshakeError.code`."""


class MsgChanError(Exception):
    """Base class of all exceptions that this package defines.

    Wrong arguments raise the built-in TypeError and ValueError, which are not in this tree.
    """


class NotInBrowserError(MsgChanError, RuntimeError):
    """Raised when something needs JavaScript and there is none, as on plain CPython.

    Run the program in Pyodide. Tests that run on CPython use the channels in memory of
    `pyodide_msgchan.testing`.

    Attributes:
        what: what needs JavaScript, for example ``"a MessageChannel"``.
    """

    def __init__(self, what: str = "a MessageChannel") -> None:
        self.what = what
        super().__init__(
            f"{what} needs a browser's JavaScript and this Python has none; "
            "under ordinary Python use pyodide_msgchan.testing"
        )


class DataCloneError(MsgChanError, TypeError):
    """Raised when a message holds a value that can't be sent.

    Nothing was sent, and nothing was transferred: remove or replace the value and send again. Use
    `register_converter` or `register_type` to send objects of your own classes. The name is that of
    the exception that structured clone raises (HTML standard, 2.7 Safe passing of structured data).

    Attributes:
        path: the place of the value, as a Python expression: ``message['rows'][3]``, or
            ``transfer[0]`` for an item of the transfer list.
        reason: why the value can't be sent.
    """

    def __init__(self, reason: str, path: str = "message") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{_shorten(path)}: {reason}")

    def __reduce__(self) -> tuple[type[DataCloneError], tuple[str, str]]:
        """Copy and pickle the error by its fields."""
        return type(self), (self.reason, self.path)


class MessageError(MsgChanError):
    """A message that arrived and could not be delivered, or a request that could not be read.

    A port passes it to its `on_message_error` callbacks; `receive` does not raise it. There are two
    cases:

    - A message could not be deserialized, in the browser or in Python (the ``messageerror`` event
      of the HTML standard, 9.4.4 Message ports). Check that both sides register the same types, and
      run the same version of the package.
    - A message arrived at a port that had been transferred. `data` and `ports` have what it
      carried. Start a port, or iterate over it, only if you don't transfer it afterwards.

    `request` and remote calls raise it if one of the two sides could not read the request or the
    answer.

    Attributes:
        data: the message that arrived at a transferred port; None in all other cases.
        ports: the ports that arrived with that message. Close those that you don't need.
    """

    def __init__(self, message: str, *, data: Any = None, ports: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.data = data
        self.ports: tuple[Any, ...] = tuple(ports)


class PortStateError(MsgChanError):
    """Raised when the state of a port or connection does not allow an operation.

    The subclasses say how a port ended. An instance of this class itself means that the port is
    open and the operation does not fit: for example, a second kind of reader on one port.
    """


class PortClosedError(PortStateError):
    """Raised when this side has closed the port.

    Messages that it had not consumed are discarded. Make a new channel or connection to go on.
    """

    def __init__(self, message: str = "this side closed the port") -> None:
        super().__init__(message)


class PeerClosedError(PortClosedError):
    """Raised when the peer has closed the port, after all messages that it sent were consumed.

    Iteration over the port ends without this exception.
    """

    def __init__(self, message: str = "the other side closed its port") -> None:
        super().__init__(message)


class PortDetachedError(PortStateError):
    """Raised when the port was transferred, so that only its receiver can use it.

    Keep a port out of the transfer list if this side still needs it.
    """

    def __init__(self, message: str = "the port was transferred and can't be used here") -> None:
        super().__init__(message)


class PeerLostError(PortStateError):
    """Raised when the peer vanished without closing, or wrongly presumed this side lost.

    The page of the peer was reloaded, navigated or removed, crashed, or stopped answering. It is
    raised after all messages that arrived were consumed. Connect again to go on.

    Attributes:
        missing: the number of messages that the peer sent and this side never received; None if
            that is unknown.
    """

    def __init__(
        self, message: str = "the other side vanished", missing: int | None = None
    ) -> None:
        self.missing = missing
        if missing:
            message = f"{message}; {missing} of its messages are lost"
        super().__init__(message)


class HandshakeError(MsgChanError):
    """Raised when two windows, or a page and its worker, can't set up a connection.

    Attributes:
        code: the reason, one of the strings below.

    The codes, and what to do:

    - ``"timeout"``: nobody answered in time; see `HandshakeTimeoutError`.
    - ``"taken"``: the peer's `accept` already has a connection. Use `listen` there for several.
    - ``"name-in-use"``: this page already has an `accept` or `listen` of that name. Choose another
      ``name=``.
    - ``"version"``: the peer uses another version of the handshake; see `VersionMismatchError`.
    - ``"no-owner"``: the page has no parent and no opener to accept from. Pass ``source=``.
    - ``"gone"``: the frame was removed, or the window was closed.
    - ``"detached"``: the frame is in no document. Append it to the document first.
    - ``"blocked"``: the browser opened no window. Open it in answer to a click or a key.
    - ``"no-opener"``: the window would have no reference to its opener. Leave out ``noopener`` and
      ``noreferrer``.
    - ``"worker-failed"``: the worker's script did not start. ``__cause__`` has its error, if known.
    - ``"refused"``: the peer's origin is not allowed; see `OriginRejectedError`.
    """

    def __init__(self, message: str = "", code: HandshakeCode = "refused") -> None:
        self.code: HandshakeCode = code
        super().__init__(message)


class OriginRejectedError(HandshakeError):
    """Raised when a window of an origin that is not allowed takes part in a handshake.

    Add the origin to the allowed ones if you trust it. Its `code` is ``"refused"``.

    Attributes:
        heard: the origin that was refused.
        allowed: the origins that are allowed.
    """

    def __init__(self, heard: str, allowed: Iterable[str]) -> None:
        self.heard = heard
        self.allowed: tuple[str, ...] = tuple(allowed)
        text = f"{heard} is not allowed here; allowed: {', '.join(self.allowed)}"
        super().__init__(text, "refused")


class HandshakeTimeoutError(HandshakeError, TimeoutError):
    """Raised when no peer answered within the timeout of a handshake.

    Check that the other page runs, calls the counterpart (`accept` or `listen` for `connect`), and
    uses the same name. If `heard` is not empty, compare it with the origin that you named. Its
    `code` is ``"timeout"``.

    Attributes:
        waited_for: what did not arrive, for example ``"accept from https://app.example"``.
        seconds: the timeout in seconds.
        heard: origins that sent a message and were refused, 8 at most.
        hint: the likely reason, if there is one; else empty.
    """

    def __init__(
        self, waited_for: str, seconds: float, heard: Iterable[str] = (), *, hint: str = ""
    ) -> None:
        self.waited_for = waited_for
        self.seconds = seconds
        self.heard: tuple[str, ...] = tuple(heard)
        self.hint = hint
        text = f"no {waited_for} within {seconds:g} s"
        if self.heard:
            verb = "is" if len(self.heard) == 1 else "are"
            text += f"; heard from {', '.join(self.heard)}, which {verb} not allowed"
        if hint:
            text += f"; {hint}"
        super().__init__(text, "timeout")


class VersionMismatchError(HandshakeError):
    """Raised when the peer uses another version of the handshake.

    Install the same version of the package on both sides. Its `code` is ``"version"``.

    Attributes:
        ours: the version of this side.
        theirs: the version of the peer.
    """

    def __init__(self, ours: int, theirs: int) -> None:
        self.ours = ours
        self.theirs = theirs
        text = f"this side speaks version {ours} of the handshake, the other {theirs}"
        super().__init__(text, "version")


class RemoteError(MsgChanError):
    """An error that was raised on the other side and sent here.

    A failed remote call raises it; as a value in a message it is delivered like other values. If
    Python has a matching built-in exception, or its class was given to `register_error` on both
    sides, the error is an instance of that class too: ``except TypeError`` and
    ``except RemoteError`` both catch it.

    Attributes:
        name: the name of the error on the other side, for example ``"TypeError"``.
        message: the text of the error.
        stack: the stack or traceback on the other side; empty if the other side did not send it.
        value: the value that JavaScript threw, if that was no Error; then `name` is ``"thrown"``.
        builtin: the Python class that the error is an instance of too; else None.
    """

    builtin: ClassVar[type[Exception] | None] = None
    # Defined on the class too, so that they come before the properties of a class that is rebuilt.
    name: str = ""
    message: str = ""
    stack: str = ""
    value: Any = None

    def __init__(self, name: str, message: str = "", stack: str = "") -> None:
        super().__init__(name, message, stack)
        # Set after the call, since NameError.__init__ clears its own `name`.
        self.name = name
        self.message = message
        self.stack = stack

    def __str__(self) -> str:
        """Return the message, with the name in front unless the class shows it."""
        if type(self).builtin is not None:
            return self.message
        return f"{self.name}: {self.message}" if self.message else self.name

    def __repr__(self) -> str:
        """Show name and message only: the args are untrusted, and can be expensive to print."""
        return f"{type(self).__name__}({self.name!r}, {self.message!r})"


def _shorten(path: str) -> str:
    """Return a path, with the middle of a long one left out."""
    if len(path) <= MAX_PATH_LENGTH:
        return path
    return f"{path[:120]} … {path[-60:]}"
