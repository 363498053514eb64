"""Types for annotations in your own code; none of them needs to be instantiated."""

from pyodide_msgchan._connection.connection import Connection, Peer
from pyodide_msgchan._connection.flow_control import Outstanding
from pyodide_msgchan._connection.opening import Connecting, Listening
from pyodide_msgchan._connection.options import Lane, Origins
from pyodide_msgchan._origins import Origin, SpecialOrigin
from pyodide_msgchan._port.events import Listener, MessageEvent
from pyodide_msgchan._port.window_messages import WindowMessages
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.remote import Remote
from pyodide_msgchan._rpc.streams import RemoteIterator

__all__ = [
    "Call",
    "Connecting",
    "Connection",
    "Lane",
    "Listener",
    "Listening",
    "MessageEvent",
    "Origin",
    "Origins",
    "Outstanding",
    "Peer",
    "Remote",
    "RemoteIterator",
    "SpecialOrigin",
    "WindowMessages",
]
