"""Sending and receiving of packed messages in the browser."""

from __future__ import annotations

from _pickle import loads
from collections.abc import Callable
from typing import Any

from pyodide_msgchan._bridge.bridge import SHARED_BYTES, bridge
from pyodide_msgchan._bridge.callbacks import unreadable
from pyodide_msgchan._bridge.ffi import has_objects, is_js_proxy, to_js_bytes, to_js_list
from pyodide_msgchan._codec.packed.codec import is_scalar, pack, unpack_or_notice
from pyodide_msgchan._codec.packed.opcodes import (
    HASHABLE,
    MAX_KEY_DEPTH,
    MAX_KEY_WEIGHT,
    NAMES,
    TABLE,
    UNCOUNTED,
)
from pyodide_msgchan._codec.packed.validation import validate
from pyodide_msgchan._codec.packed.values import ValueFactory
from pyodide_msgchan._interfaces import Notice, TransferList
from pyodide_msgchan.errors import DataCloneError

__all__ = ["packed_of", "plain_of", "post_packed", "refused", "start_packing"]


_port_of: Callable[[Any], Any] | None = None


def start_packing(number: int, port_of: Callable[[Any], Any]) -> None:
    """Turn on the packed lane of a port.

    Args:
        number: the number of the port.
        port_of: returns the port object of a native port; the same function in every call.
    """
    global _port_of  # noqa: PLW0603 - passed in because this package can't import `_port`
    if _port_of is not None:
        bridge().pack(number)
        return
    _port_of = port_of
    names = to_js_list([name.decode() for name in NAMES])
    limits = HASHABLE, MAX_KEY_DEPTH, MAX_KEY_WEIGHT, UNCOUNTED
    bridge().pack(number, to_js_bytes(TABLE), names, *limits)


def post_packed(
    number: int,
    message: Any,
    moved: TransferList | None,
    announce: Callable[[Any], None] | None = None,
) -> None:
    """Send a message: unchanged if JavaScript keeps its type, else packed.

    Args:
        number: the number of the port.
        message: the message.
        moved: the transfer list; None if it is empty.
        announce: called with the message before it is sent, if it holds JavaScript objects.

    Raises:
        DataCloneError: a value can't be sent; the error has its path. Nothing was transferred.
    """
    if moved is None and is_scalar(message):
        bridge().post(number, message)
        return
    ports = moved.natives() if moved else {}
    items = [ports.get(id(item), item) for item in moved.items] if moved else []
    packet = pack(message, ports)
    if announce is not None and packet.side and has_objects(packet.side):
        announce(message)
    segments, short = packet.segments, b""
    if len(segments) == 1 and len(segments[0]) <= SHARED_BYTES:
        short, segments = segments[0], []
    size = len(short)
    out_of_band: tuple[Any, ...] = ()
    if items or segments or packet.side or packet.buffers:
        out_of_band = (
            to_js_list(items) if items else None,
            to_js_list(packet.side) if packet.side else None,
            to_js_list(list(map(to_js_bytes, segments))) if segments else None,
            to_js_list(list(map(to_js_bytes, packet.buffers))) if packet.buffers else None,
        )
    outgoing, send = bridge().outgoing, bridge().send_packed
    # Nothing may be called between these two lines, since it could write to the shared memory.
    outgoing[:size] = short
    failure = send(number, size, packet.exotic, *out_of_band)
    if not failure:
        return
    cause, _, text = failure.partition(" ")
    if cause == "transfer":
        index, _, text = text.partition(" ")
        raise DataCloneError(text, f"transfer[{index}]")
    if cause == "packed":
        raise DataCloneError(text)
    validate(message, ports, lambda value: "" if value in items else bridge().clonable(value))
    raise DataCloneError(f"the browser refused the message: {text}")


def packed_of(segments: tuple[Any, ...], side: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
    """Return a message that JavaScript has scanned, or a notice if it can't be read."""
    factory = ValueFactory(side, buffers, _wrap_port, _copy_in)
    return unpack_or_notice(segments, factory, _copy_to)


def plain_of(stream: bytes) -> Any:
    """Return a message, or a notice if it can't be read, from a stream that calls no functions."""
    try:
        return loads(stream)
    except BaseException as error:  # noqa: BLE001 - the messages after this one must be delivered
        return unreadable(error)


def refused(reason: str) -> Notice:
    """Return the notice of a message that the scan refused."""
    return Notice("messageerror", error=ValueError(reason))


def _wrap_port(value: Any) -> Any:
    if _port_of is not None and is_js_proxy(value) and bridge().tag(value) == "MessagePort":
        return _port_of(value)
    return value


def _copy_in(buffer: Any) -> bytearray:
    copied = bytearray(buffer.byteLength)
    buffer.assign_to(copied)
    return copied


def _copy_to(segment: Any, target: memoryview) -> None:
    if is_js_proxy(segment):
        segment.assign_to(target)
    else:
        target[:] = segment
