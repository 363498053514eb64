"""Messages of remote calls that can't be read: what is known of each, and who is told.

A message that can't be read is an error at whoever waits for it. Three things tell who that is:

- On the packed lane the rest of the message is read all the same
  (`_codec.packed.values.ValueFactory`), ids included.
- Before a message with JavaScript objects in it, which another agent cluster may refuse, goes
  ``{type: "NEXT", about: {type, id, path, thrown}}``, which Comlink passes over. The browser says
  nothing of a message that it can't read (``messageerror``), but it keeps the order.
- Where nothing of that came, `RpcSession` counts: once no more calls wait than messages could not
  be read, these are theirs.

`substitute` makes of such a message one of the same kind, whose unreadable parts are a Wire that
raises a MessageError. No peer can send that Wire, since its name is an object of this module.
"""

from __future__ import annotations

from typing import Any, Final

from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._port.unreadable import Unread
from pyodide_msgchan._rpc.protocol import REQUEST_TYPES, STREAM_ITEM_TYPES, STREAM_REQUEST_TYPES

__all__ = ["announcement", "is_announcement", "substitute", "wires_of"]


ABOUT: Final = ("type", "id", "path", "thrown")
"""Fields of a message that are said before it."""


def announcement(message: Wire) -> Wire:
    """Return what is sent before a message that the other side may be unable to read."""
    return {"type": "NEXT", "about": {key: message[key] for key in ABOUT if key in message}}


def is_announcement(message: Any) -> bool:
    """Return True if a message tells of the one after it."""
    return type(message) is dict and message.get("type") == "NEXT"


def substitute(unread: Unread, before: Any) -> Wire | None:
    """Return a message of the same kind that can be read; None if nobody knows the kind.

    Args:
        unread: the message.
        before: the message that came right before it.
    """
    about: Any = unread.partial
    if about is None:
        about = before.get("about") if is_announcement(before) else None
    if type(about) is not dict:
        return None
    kind, id_ = about.get("type"), about.get("id")
    if type(kind) is not str:
        return None
    if kind in ("RAW", "HANDLER"):
        return {**(_readable_throw(about) or unread.wire), "id": id_}
    if kind in REQUEST_TYPES:
        parts = {"value": unread.wire} if kind == "SET" else {"argumentList": [unread.wire]}
        return {"type": kind, "id": id_, "path": about.get("path"), **parts}
    if kind in STREAM_ITEM_TYPES or kind in STREAM_REQUEST_TYPES:
        item = _readable_throw(about.get("item")) or unread.wire
        return {"type": kind, "item": item, "thrown": about.get("thrown")}
    return None


def wires_of(unread: Unread) -> list[Wire]:
    """Return the Wires in a request that could be read, whose ports are to be let go of."""
    partial = unread.partial or {}
    arguments, keywords = partial.get("argumentList"), partial.get("keywords")
    found = [*arguments] if type(arguments) is list else []
    found += keywords.values() if type(keywords) is dict else ()
    return [wire for wire in found if type(wire) is dict]


def _readable_throw(wire: Any) -> Wire | None:
    """Return the Wire of an error without the details that can't be read; None for other Wires."""
    if type(wire) is not dict or wire.get("name") != "throw":
        return None
    parts = wire.get("value")
    if type(parts) is not dict or parts.get("isError") is not True:
        return None
    return {"type": "HANDLER", "name": "throw", "value": parts}
