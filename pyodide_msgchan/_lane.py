"""The packed lane in the browser: what Python packs is written once into JavaScript's memory."""

from __future__ import annotations

from _pickle import loads
from collections.abc import Callable
from typing import Any

from ._browser import (
    SHARED_BYTES,
    bridge,
    has_objects,
    is_js_proxy,
    to_js_bytes,
    to_js_list,
    unreadable,
)
from ._fitness import check
from ._packed import is_scalar, pack, unpack
from ._scan import HASHABLE, KEY_DEPTH, KEY_WEIGHT, NAMES, TABLE, UNCOUNTED
from ._sealed import Making
from ._types import Moved, Notice
from .errors import DataCloneError

__all__ = ["packed_of", "plain_of", "post_packed", "refused", "start_packing"]

_port_of: Callable[[Any], Any] | None = None


def start_packing(number: int, port_of: Callable[[Any], Any]) -> None:
    """Let a port take what was packed; `port_of` gives the wrapper of a native port."""
    global _port_of  # noqa: PLW0603 - from above, and always the same
    if _port_of is not None:
        bridge().pack(number)
        return
    _port_of = port_of
    names = to_js_list([name.decode() for name in NAMES])
    limits = HASHABLE, KEY_DEPTH, KEY_WEIGHT, UNCOUNTED
    bridge().pack(number, to_js_bytes(TABLE), names, *limits)


def post_packed(
    number: int,
    message: Any,
    moved: Moved | None,
    announce: Callable[[Any], None] | None = None,
) -> None:
    """Send a message: as itself if JavaScript keeps its type, else packed.

    Args:
        number: of the port.
        message: what to send.
        moved: what goes along.
        announce: called before a message with JavaScript objects in it goes.

    Raises:
        DataCloneError: with the path of what can't be sent; nothing was moved.
    """
    if moved is None and is_scalar(message):
        bridge().post(number, message)
        return
    ports = {key: port._endpoint.native for key, port in moved.wrappers.items()} if moved else {}
    items = [ports.get(id(item), item) for item in moved.items] if moved else []
    packet = pack(message, ports)
    if announce is not None and packet.side and has_objects(packet.side):
        announce(message)
    segments, short = packet.segments, b""
    if len(segments) == 1 and len(segments[0]) <= SHARED_BYTES:
        short, segments = segments[0], []
    size = len(short)
    beside: tuple[Any, ...] = ()
    if items or segments or packet.side or packet.buffers:
        beside = (
            to_js_list(items) if items else None,
            to_js_list(packet.side) if packet.side else None,
            to_js_list(list(map(to_js_bytes, segments))) if segments else None,
            to_js_list(list(map(to_js_bytes, packet.buffers))) if packet.buffers else None,
        )
    outgoing, send = bridge().outgoing, bridge().send_packed
    outgoing[:size] = short  # nothing is called between these two, as in `post_stream`
    complaint = send(number, size, packet.exotic, *beside)
    if not complaint:
        return
    name, _, text = complaint.partition(" ")
    if name == "transfer":
        index, _, text = text.partition(" ")
        raise DataCloneError(text, f"transfer[{index}]")
    if name == "packed":
        raise DataCloneError(text)
    check(message, ports, lambda value: "" if value in items else bridge().clonable(value))
    raise DataCloneError(f"the browser refuses it: {text}")


def packed_of(segments: tuple[Any, ...], side: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
    """Give the message that JavaScript has scanned; a notice if it can't be read."""
    making = Making(side, buffers, _adopted, _copied)
    try:
        return unpack(segments, making, _copy_to)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the next message comes
        return unreadable(making.error or error, making.partial, making.adopted)


def plain_of(stream: bytes) -> Any:
    """Do the same for a stream that calls nothing, as most do."""
    try:
        return loads(stream)
    except BaseException as error:  # noqa: BLE001 - as above
        return unreadable(error)


def refused(reason: str) -> Notice:
    """Give the notice of a message that the scan did not let through."""
    return Notice("messageerror", error=ValueError(reason))


def _adopted(value: Any) -> Any:
    if _port_of is not None and is_js_proxy(value) and bridge().tag(value) == "MessagePort":
        return _port_of(value)
    return value


def _copied(buffer: Any) -> bytearray:
    copied = bytearray(buffer.byteLength)
    buffer.assign_to(copied)
    return copied


def _copy_to(segment: Any, target: memoryview) -> None:
    if is_js_proxy(segment):
        segment.assign_to(target)
    else:
        target[:] = segment
