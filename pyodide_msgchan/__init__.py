"""Message ports between frames, windows and workers, for Python in the browser."""

from typing import TYPE_CHECKING, Any

from ._clone import register_converter
from ._origin import ANY_ORIGIN, OPAQUE_ORIGIN
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

__version__ = "0.1.0"

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
    "Call",
    "DataCloneError",
    "HandshakeError",
    "HandshakeTimeoutError",
    "Listener",
    "MessageChannel",
    "MessageError",
    "MessageEvent",
    "MessagePort",
    "MsgChanError",
    "NotInBrowserError",
    "OriginRejectedError",
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
    "assign",
    "create_endpoint",
    "expose",
    "new",
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
