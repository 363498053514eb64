"""Sending and receiving of packed messages in the browser."""

from __future__ import annotations

from _pickle import loads
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import SHARED_BYTES, bridge
from pyodide_msgchan._bridge.callbacks import unreadable
from pyodide_msgchan._bridge.ffi import is_js_proxy, to_js_bytes, to_js_list
from pyodide_msgchan._codec.encoder import EncodedMessage
from pyodide_msgchan._codec.packed.codec import pack, unpack_or_notice
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
from pyodide_msgchan._codec.sending import Lane
from pyodide_msgchan._interfaces import Notice

__all__ = ["PACKED", "packed_of", "plain_of", "refused", "start_packing"]


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


def _encode(message: Any, ports: Mapping[int, Any]) -> EncodedMessage:
    """Return a packed message; see `Lane`."""
    packet = pack(message, ports)
    segments, short = packet.segments, b""
    if len(segments) == 1 and len(segments[0]) <= SHARED_BYTES:
        short, segments = segments[0], []
    return EncodedMessage(
        short,
        packet.side,
        [to_js_bytes(segment) for segment in segments],
        [to_js_bytes(buffer) for buffer in packet.buffers],
        (packet.exotic,),
    )


def _find(message: Any, ports: Mapping[int, Any], moved: Sequence[Any]) -> None:
    """Raise the error of the JavaScript object that the browser refused; see `Lane`."""
    validate(message, ports, lambda value: "" if value in moved else bridge().clonable(value))


PACKED: Final = Lane(_encode, _find)
"""The lane of messages that keep their Python types."""


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
