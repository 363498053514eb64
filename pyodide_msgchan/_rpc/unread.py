"""Unreadable messages of remote calls: how to find the call that one belongs to.

A message that can't be decoded raises an error in the call that waits for it. There are three ways
to find that call:

- On the packed lane the rest of the message is still decoded
  (`_codec.packed.values.ValueFactory`), with its id.
- A message that contains JavaScript objects, which another agent cluster may refuse, is announced
  by ``{type: "NEXT", about: {type, id, path, thrown}}``, which Comlink ignores. The browser's
  ``messageerror`` event says nothing about the message, but it comes in order.
- Without either, `RpcSession` counts: once no more calls are pending than messages were unreadable,
  the messages were the answers to those calls.

`substitute` returns a message of the same kind whose unreadable parts are replaced by a wire value
that raises MessageError. No peer can send that wire value, because its name is a Python object.
"""

from __future__ import annotations

from typing import Any, Final

from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan._rpc.protocol import REQUEST_TYPES, STREAM_ITEM_TYPES, STREAM_REQUEST_TYPES

__all__ = ["announcement", "is_announcement", "substitute", "wires_of"]


ANNOUNCED_FIELDS: Final = ("type", "id", "path", "thrown")
"""The fields of a message that its announcement repeats."""


def announcement(message: Wire) -> Wire:
    """Return the announcement of a message that the other side may be unable to read."""
    return {
        "type": "NEXT",
        "about": {key: message[key] for key in ANNOUNCED_FIELDS if key in message},
    }


def is_announcement(message: Any) -> bool:
    """Return True if a message announces the next one."""
    return type(message) is dict and message.get("type") == "NEXT"


def substitute(unread: UnreadableMessage, previous: Any) -> Wire | None:
    """Return a readable message of the same kind; None if the kind is unknown.

    Args:
        unread: the unreadable message.
        previous: the message that arrived before it.
    """
    about: Any = unread.partial
    if about is None:
        about = previous.get("about") if is_announcement(previous) else None
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


def wires_of(unread: UnreadableMessage) -> list[Wire]:
    """Return the readable wire values of a request, whose ports have to be released."""
    partial = unread.partial or {}
    arguments, keywords = partial.get("argumentList"), partial.get("keywords")
    found = [*arguments] if type(arguments) is list else []
    found += keywords.values() if type(keywords) is dict else ()
    return [wire for wire in found if type(wire) is dict]


def _readable_throw(wire: Any) -> Wire | None:
    """Return the readable part of an error's wire value; None for other wire values."""
    if type(wire) is not dict or wire.get("name") != "throw":
        return None
    parts = wire.get("value")
    if type(parts) is not dict or parts.get("isError") is not True:
        return None
    return {"type": "HANDLER", "name": "throw", "value": parts}
