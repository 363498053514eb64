"""Message ports between frames, windows and workers, for Python in the browser."""

import sys
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from pyodide_msgchan._codec.registry import register_converter
from pyodide_msgchan._origins import ANY_ORIGIN, OPAQUE_ORIGIN
from pyodide_msgchan._port.channel import MessageChannel
from pyodide_msgchan._port.events import Listener, MessageEvent
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.window_messages import WindowMessages, post_to_window, window_messages
from pyodide_msgchan._version import __version__
from pyodide_msgchan.errors import (
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

if TYPE_CHECKING:
    from pyodide_msgchan._codec.exceptions import register_error
    from pyodide_msgchan._codec.packed.types import register_type
    from pyodide_msgchan._connection.connection import Connection, Peer
    from pyodide_msgchan._connection.flow_control import Outstanding
    from pyodide_msgchan._connection.frames import open_frame, open_window
    from pyodide_msgchan._connection.introduction import introduce, introduced
    from pyodide_msgchan._connection.opening import Connecting, Listening, accept, connect, listen
    from pyodide_msgchan._rpc.api import (
        assign,
        create_endpoint,
        expose,
        new,
        proxy,
        release,
        transfer,
        wrap,
    )
    from pyodide_msgchan._rpc.call import Call
    from pyodide_msgchan._rpc.remote import Remote
    from pyodide_msgchan._rpc.streams import RemoteIterator

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

_LAZY: Final = {
    "_codec.exceptions": ("register_error",),
    "_codec.packed.types": ("register_type",),
    "_connection.connection": ("Connection", "Peer"),
    "_connection.flow_control": ("Outstanding",),
    "_connection.frames": ("open_frame", "open_window"),
    "_connection.introduction": ("introduce", "introduced"),
    "_connection.opening": ("Connecting", "Listening", "accept", "connect", "listen"),
    "_rpc.api": (
        "assign",
        "create_endpoint",
        "expose",
        "new",
        "proxy",
        "release",
        "transfer",
        "wrap",
    ),
    "_rpc.call": ("Call",),
    "_rpc.remote": ("Remote",),
    "_rpc.streams": ("RemoteIterator",),
}
"""Modules that load when a name of theirs is first used, so that the import of ports is fast."""


def _publish() -> None:
    """Set `__module__` of the public names to this package, whichever module defines them."""
    for module, names in _LAZY.items():
        loaded = sys.modules.get(f"{__name__}.{module}")
        for name in names if loaded else ():
            if hasattr(loaded, name):  # else the module is still being imported
                globals()[name] = getattr(loaded, name)
    for name in __all__:
        value = globals().get(name)
        if isinstance(value, (type, FunctionType)):
            value.__module__ = __name__


def __getattr__(name: str) -> Any:
    """Load the module of a public name that is not loaded yet."""
    for module, names in _LAZY.items():
        if name in names:
            import_module(f"{__name__}.{module}")
            _publish()
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, including those that are not loaded yet."""
    return sorted({*globals(), *__all__})


_publish()
