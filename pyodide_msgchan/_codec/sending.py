"""Sending: the one way in which messages of both lanes are posted, transferred and refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import has_objects, to_js_list
from pyodide_msgchan._codec.encoder import EncodedMessage, encode, find_unclonable
from pyodide_msgchan._interfaces import TransferList
from pyodide_msgchan.errors import DataCloneError

__all__ = ["CLONE", "Lane", "send_message"]


class Lane(NamedTuple):
    """How the messages of a lane are encoded.

    Attributes:
        encode: returns an encoded message; called with the message and the native ports of the
            transferred port objects, by the id of the port object.
        find: raises the DataCloneError of the JavaScript object that the browser refused; called
            with the same arguments, and everything that is transferred.
    """

    encode: Callable[[Any, Mapping[int, Any]], EncodedMessage]
    find: Callable[[Any, Mapping[int, Any], Sequence[Any]], object]


CLONE: Final = Lane(encode, find_unclonable)
"""The lane of messages that become JavaScript values."""


def send_message(
    lane: Lane,
    send: Callable[..., str | None],
    target: Sequence[Any],
    message: Any,
    moved: TransferList | None,
    announce: Callable[[Any], None] | None = None,
) -> None:
    """Encode a message and send it with a function of the bridge.

    Args:
        lane: how it is encoded.
        send: the function of the bridge.
        target: its first arguments.
        message: the message.
        moved: the transfer list.
        announce: called before a message is sent that contains JavaScript objects.

    Raises:
        DataCloneError: the message can't be sent; the error has the path of the value. Nothing was
            transferred.
        TypeError: the target is not a window.
    """
    ports = moved.natives() if moved else {}
    items = [ports.get(id(item), item) for item in moved.items] if moved else []
    encoded = lane.encode(message, ports)
    side = encoded.side
    if announce is not None and side and has_objects(side):
        announce(message)
    short = encoded.short
    size = len(short)
    out_of_band: tuple[Any, ...] = ()
    if items or side or encoded.chunks or encoded.buffers:
        lists = (items, side, encoded.chunks, encoded.buffers)
        out_of_band = tuple([to_js_list(values) if values else None for values in lists])
    outgoing = bridge().outgoing
    # Nothing may be called between these two lines: a call may start a garbage collection, and a
    # finalizer may post a message of its own.
    outgoing[:size] = short
    refusal = send(*target, size, *encoded.options, *out_of_band)
    if refusal:
        _raise_refusal(refusal)
        lane.find(message, ports, items)
        raise DataCloneError(f"the browser refused the message: {refusal.partition(' ')[2]}")


def _raise_refusal(refusal: str) -> None:
    """Raise the error of a refusal, unless it is about a value that must be found first."""
    name, _, text = refusal.partition(" ")
    if name == "transfer":
        index, _, text = text.partition(" ")
        raise DataCloneError(text, f"transfer[{index}]")
    if name == "target":
        raise TypeError("not a window or an iframe element: it has no postMessage")
    if name == "packed":
        raise DataCloneError(text)
