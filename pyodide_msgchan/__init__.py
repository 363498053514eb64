"""Message ports between frames, windows and workers, for Python in the browser."""

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

__version__ = "0.1.0"

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
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
    "RemoteError",
    "VersionMismatchError",
    "WindowMessages",
    "post_to_window",
    "register_converter",
    "window_messages",
]
