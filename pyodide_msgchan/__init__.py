"""Message ports between frames, windows and workers, for Python in the browser."""

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

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
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
    "RemoteError",
    "VersionMismatchError",
    "WindowMessages",
    "__version__",
    "accept",
    "connect",
    "introduce",
    "introduced",
    "listen",
    "open_frame",
    "open_window",
    "post_to_window",
    "register_converter",
    "window_messages",
]
