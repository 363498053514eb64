"""Message ports between frames, windows and workers, for Python in the browser."""

from typing import TYPE_CHECKING, Any

from ._clone import register_converter
from ._opening import Connecting, Listening, accept, connect, listen
from ._origin import ANY_ORIGIN, OPAQUE_ORIGIN
from ._version import __version__
from .channel import MessageChannel
from .connection import Connection, Peer
from .dom import WindowMessages, open_frame, open_window, post_to_window, window_messages
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
from .introduction import introduce, introduced
from .port import Listener, MessageEvent, MessagePort

if TYPE_CHECKING:
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
    "release",
    "transfer",
    "window_messages",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Load remote calls when they are first asked for, to import fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import rpc  # noqa: PLC0415

    value = globals()[name] = getattr(rpc, name)
    return value


def __dir__() -> list[str]:
    """Show what is not loaded yet too."""
    return sorted({*globals(), *__all__})
