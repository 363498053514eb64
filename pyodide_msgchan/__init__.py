"""Message ports between frames, windows and workers, for Python in the browser."""

from typing import TYPE_CHECKING, Any, Final

from ._clone import register_converter
from ._origin import ANY_ORIGIN, OPAQUE_ORIGIN
from ._version import __version__
from .channel import MessageChannel
from .dom import WindowMessages, post_to_window, window_messages
from .errors import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageError,
    MsgChanError,
    NotInBrowserError,
    OriginRejectedError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    RemoteError,
    VersionMismatchError,
)
from .port import Listener, MessageEvent, MessagePort

if TYPE_CHECKING:
    from ._opening import Connecting, Listening, accept, connect, listen
    from ._registry import register_type
    from .connection import Connection, Outstanding, Peer
    from .frames import open_frame, open_window
    from .introduction import introduce, introduced
    from .rpc import (
        Call,
        Remote,
        RemoteIterator,
        assign,
        create_endpoint,
        expose,
        new,
        proxy,
        register_error,
        release,
        transfer,
        wrap,
    )

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
    "Call",
    "Connecting",
    "Connection",
    "DataCloneError",
    "HandshakeError",
    "HandshakeTimeoutError",
    "Listener",
    "Listening",
    "MessageChannel",
    "MessageError",
    "MessageEvent",
    "MessagePort",
    "MsgChanError",
    "NotInBrowserError",
    "OriginRejectedError",
    "Outstanding",
    "Peer",
    "PeerClosedError",
    "PeerLostError",
    "PortClosedError",
    "PortDetachedError",
    "PortStateError",
    "Remote",
    "RemoteError",
    "RemoteIterator",
    "VersionMismatchError",
    "WindowMessages",
    "__version__",
    "accept",
    "assign",
    "connect",
    "create_endpoint",
    "expose",
    "introduce",
    "introduced",
    "listen",
    "new",
    "open_frame",
    "open_window",
    "post_to_window",
    "proxy",
    "register_converter",
    "register_error",
    "register_type",
    "release",
    "transfer",
    "window_messages",
    "wrap",
]

_LATER: Final = {
    "_registry": ("register_type",),
    "_opening": ("Connecting", "Listening", "accept", "connect", "listen"),
    "connection": ("Connection", "Outstanding", "Peer"),
    "frames": ("open_frame", "open_window"),
    "introduction": ("introduce", "introduced"),
    "rpc": (
        "Call",
        "Remote",
        "RemoteIterator",
        "assign",
        "create_endpoint",
        "expose",
        "new",
        "proxy",
        "register_error",
        "release",
        "transfer",
        "wrap",
    ),
}
"""What is loaded when it is first asked for: a page that needs ports alone starts faster."""


def __getattr__(name: str) -> Any:
    """Load what is not loaded yet."""
    for module, names in _LATER.items():
        if name in names:
            from importlib import import_module  # noqa: PLC0415

            value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Show what is not loaded yet too."""
    return sorted({*globals(), *__all__})
