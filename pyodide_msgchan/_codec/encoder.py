"""The encoder of messages to JavaScript: pickle streams, which js/src/decode.mjs reads."""

from __future__ import annotations

import datetime as dt
from _pickle import Pickler  # pickle's C half: the module itself takes long to load
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, final

from pyodide_msgchan._bridge.bridge import SHARED_BYTES, bridge
from pyodide_msgchan._bridge.ffi import (
    is_js_big_int,
    is_js_proxy,
    is_null,
    js_error_of,
    to_js_bytes,
)
from pyodide_msgchan._codec.exceptions import error_parts
from pyodide_msgchan._codec.outgoing import (
    Leaf,
    Path,
    check_leaf,
    distinct,
    format_path,
    milliseconds,
    typed_view,
    walk,
)
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS
from pyodide_msgchan.errors import DataCloneError

__all__ = ["ChunkWriter", "EncodedMessage", "OutOfBandPickler", "encode", "find_unclonable"]


OUT_OF_BAND_THRESHOLD: Final = 4096
"""Bytes. Larger typed arrays are sent out of band, so that they are copied only once."""


MAX_FAST_DEPTH: Final = 16
"""Levels of nested containers that the fast check visits."""


MAX_WIDTH: Final = 1_000_000
"""Values on one level, at most, that the fast check visits."""


DISTINCT_THRESHOLD: Final = 16
"""Values. Repeated references are removed from a level that has more."""


_OUT_OF_BAND, _DATE, _NULL, _SMALL_BUFFER, _ERROR, _BUFFER, _BIG_INT = range(7)
"""The kinds of values that a call of `special` stands for, as in js/src/decode.mjs."""


_NULL_PARTS: Final = (_NULL,)
"""One tuple, so that the stream refers to it when null occurs again."""


@final
class EncodedMessage:
    """An encoded message: the pickle stream, and the objects that are sent out of band.

    Attributes:
        short: a stream that fits into the shared memory, where the sender copies it to right before
            sending; else empty.
        side: the JavaScript objects and the buffers that are sent out of band.
        chunks: the stream as JavaScript arrays, if it is not `short`.
        buffers: further JavaScript arrays that are sent out of band.
        options: further arguments of the bridge's function.
    """

    __slots__ = ("buffers", "chunks", "options", "short", "side")

    def __init__(
        self,
        short: bytes,
        side: list[Any],
        chunks: list[Any],
        buffers: Sequence[Any] = (),
        options: tuple[Any, ...] = (),
    ) -> None:
        self.short = short
        self.side = side
        self.chunks = chunks
        self.buffers = buffers
        self.options = options


class _NeedsWalkError(Exception):
    """Raised when a message must be walked to be encoded, or to find what can't be sent."""


class ChunkWriter:
    """A file for the pickler that keeps the chunks; payloads over 64 kB are not copied."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.write = self.chunks.append


class OutOfBandPickler(Pickler):
    """A pickler that puts objects into a side list instead of its stream.

    Attributes:
        side: the objects.
        ports: the native ports of the transferred port objects, by the id of the port object.
    """

    def __init__(self, sink: ChunkWriter) -> None:
        super().__init__(sink, 5)
        self.side: list[Any] = []
        self.ports: Mapping[int, Any] = {}

    def append_out_of_band(self, value: Any) -> int:
        """Append an object to the side list, and return its index."""
        self.side.append(value)
        return len(self.side) - 1


class _Pickler(OutOfBandPickler):
    def reducer_override(self, value: Any) -> Any:
        if value is special:
            return NotImplemented
        parts = self.parts(value)
        if parts is None:
            raise _NeedsWalkError
        return special, parts

    def parts(self, value: Any) -> tuple[Any, ...] | None:
        native = self.ports.get(id(value), value if is_js_proxy(value) else None)
        if native is not None:
            return _OUT_OF_BAND, self.append_out_of_band(native)
        if is_js_big_int(value):
            return _BIG_INT, int.__add__(value, 0)
        if isinstance(value, dt.datetime):
            return None if value.tzinfo is None else (_DATE, milliseconds(value))
        if is_null(value):
            return _NULL_PARTS
        if isinstance(value, BaseException):
            js_error = js_error_of(value)
            return (
                (_ERROR, error_parts(value))
                if js_error is None
                else (_OUT_OF_BAND, self.append_out_of_band(js_error))
            )
        view = typed_view(value)
        if view is None:
            return None
        if view.nbytes <= OUT_OF_BAND_THRESHOLD:
            return _SMALL_BUFFER, view.tobytes(), view.format
        return _BUFFER, self.append_out_of_band(to_js_bytes(view.cast("B"))), view.format


_sink: ChunkWriter | None = None


_pickler: _Pickler | None = None


def special(*_parts: Any) -> None:
    """Represent, in a stream, a call that js/src/decode.mjs carries out; never called here."""


def encode(message: Any, ports: Mapping[int, Any]) -> EncodedMessage:
    """Return an encoded message.

    Args:
        message: a value of the README's table.
        ports: the native ports of the transferred port objects, by the id of the port object.

    Raises:
        DataCloneError: a value can't be sent; the error has its path.
    """
    if not _can_fast_encode(message):
        message = walk(message, _leaf_for(ports))
    try:
        return _pickle(message, ports)
    except _NeedsWalkError:  # A key needs conversion; the fast check does not look at keys.
        return _pickle(walk(message, _leaf_for(ports)), ports)


def _pickle(message: Any, ports: Mapping[int, Any]) -> EncodedMessage:
    global _sink, _pickler  # noqa: PLW0603 - making a pickler costs more than a small message
    if _pickler is None or _sink is None:
        _sink = ChunkWriter()
        _pickler = _Pickler(_sink)
    # The pickler is used again only if it completes: an error leaves it in an unknown state.
    pickler, sink, _pickler = _pickler, _sink, None
    pickler.ports = ports
    pickler.dump(message)
    chunks, side = sink.chunks[:], pickler.side
    sink.chunks.clear()
    pickler.clear_memo()
    if side:
        pickler.side = []
    _pickler = pickler
    if len(chunks) == 1 and len(chunks[0]) <= SHARED_BYTES:
        return EncodedMessage(chunks[0], side, [])
    return EncodedMessage(b"", side, [to_js_bytes(chunk) for chunk in chunks])


def _can_fast_encode(message: Any) -> bool:
    """Return True if a message has only built-in types and is not nested deeply.

    For speed, all values of a level are checked together, by C functions. The depth is limited
    because pickling a deep message would overflow the browser's stack. Python can't detect that,
    and it ends the interpreter.
    """
    level = [message]
    for _ in range(MAX_FAST_DEPTH):
        kinds = set(map(type, level))
        if kinds <= ATOMS:
            return True
        if not kinds <= ATOMS | CONTAINERS:
            return False
        if len(kinds) > 1:
            level = [item for item in level if type(item) in CONTAINERS]
        if len(level) > DISTINCT_THRESHOLD:
            level = distinct(level)
        if dict in kinds:
            level = list(
                chain.from_iterable(
                    [item.values() if type(item) is dict else item for item in level]
                )
            )
        else:
            level = list(chain.from_iterable(level))
        if len(level) > MAX_WIDTH:
            return False
    return False


def _leaf_for(ports: Mapping[int, Any]) -> Leaf:
    """Return the `leaf` of the walk: it accepts the values that the pickler can write."""

    def leaf(value: Any, path: Path) -> Any:
        kind = type(value)
        if (
            kind in ATOMS
            or id(value) in ports
            or is_null(value)
            or is_js_big_int(value)
            or isinstance(value, BaseException)
        ):
            return value
        if is_js_proxy(value):
            if bridge().tag(value) == "MessagePort" and value not in ports.values():
                raise DataCloneError("a port must be in the transfer list too", format_path(path))
            return value
        return check_leaf(value, path)

    return leaf


def find_unclonable(message: Any, ports: Mapping[int, Any], moved: Iterable[Any]) -> None:
    """Find the JavaScript object in a message that the browser refused to clone.

    Args:
        message: the message.
        ports: as for `encode`.
        moved: the JavaScript objects that are transferred with it.

    Raises:
        DataCloneError: there is one; the error has its path.
    """
    transferred = list(moved)
    check = _leaf_for(ports)

    def leaf(value: Any, path: Path) -> Any:
        if is_js_proxy(value) and not any(value == item for item in transferred):
            reason = bridge().clonable(value)
            if reason:
                raise DataCloneError(
                    f"a JavaScript {bridge().tag(value)} can't be cloned: {reason}",
                    format_path(path),
                )
        return check(value, path)

    walk(message, leaf)
