"""Messages on their way to JavaScript: written by the C pickler, read by js/decode.mjs."""

from __future__ import annotations

import datetime as dt
from _pickle import Pickler  # pickle's C half: the module itself takes long to load
from collections.abc import Iterable, Mapping
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

__all__ = ["ChunkWriter", "EncodedMessage", "encode", "find_unclonable"]


OUT_OF_BAND_THRESHOLD: Final = 4096
"""Bytes: larger typed arrays go beside the stream, so that they are copied once."""


MAX_FAST_DEPTH: Final = 16
"""Containers within containers that the quick look follows."""


MAX_WIDTH: Final = 1_000_000
"""Values on one level, above which the quick look gives up."""


FEW: Final = 16
"""Values on one level, above which those that stand there more than once are looked at once."""


@final
class EncodedMessage:
    """A message on its way to JavaScript: the stream, and what goes beside it.

    A short stream is `short`, to be put into the shared memory by who sends it, right before that.
    """

    __slots__ = ("chunks", "short", "side")

    def __init__(self, short: bytes, side: list[Any], chunks: list[Any]) -> None:
        self.short = short
        self.side = side
        self.chunks = chunks


class _NeedsWalkError(Exception):
    """The quick way can't take this message; the careful one can, or knows why not."""


class ChunkWriter:
    """What the pickler writes to: payloads over 64 kB come as they are, uncopied."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.write = self.chunks.append


class _Pickler(Pickler):
    def __init__(self, sink: ChunkWriter) -> None:
        super().__init__(sink, 5)
        self.side: list[Any] = []
        self.ports: Mapping[int, Any] = {}

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
            return 0, self.beside(native)
        if is_js_big_int(value):
            return 6, int.__add__(value, 0)
        if isinstance(value, dt.datetime):
            return None if value.tzinfo is None else (1, milliseconds(value))
        if is_null(value):
            return (2,)
        if isinstance(value, BaseException):
            native = js_error_of(value)
            return (4, error_parts(value)) if native is None else (0, self.beside(native))
        view = typed_view(value)
        if view is None:
            return None
        if view.nbytes <= OUT_OF_BAND_THRESHOLD:
            return 3, view.tobytes(), view.format
        return 5, self.beside(to_js_bytes(view.cast("B"))), view.format

    def beside(self, value: Any) -> int:
        self.side.append(value)
        return len(self.side) - 1


_sink: ChunkWriter | None = None


_pickler: _Pickler | None = None


def special(*_parts: Any) -> None:
    """Stand in a stream for what pickle has no word for; js/decode.mjs makes the value."""


def encode(message: Any, ports: Mapping[int, Any]) -> EncodedMessage:
    """Write a message for the bridge.

    Args:
        message: any value of the table in the README.
        ports: the native port of each port that is transferred with it, by the wrapper's id.

    Raises:
        DataCloneError: with the path of what can't be sent.
    """
    if not _is_plain(message):
        message = walk(message, _leaf_for(ports))
    try:
        return _pickle(message, ports)
    except _NeedsWalkError:  # something stands in a key, where the quick look does not go
        return _pickle(walk(message, _leaf_for(ports)), ports)


def _pickle(message: Any, ports: Mapping[int, Any]) -> EncodedMessage:
    global _sink, _pickler  # noqa: PLW0603 - making a pickler costs more than a small message
    if _pickler is None or _sink is None:
        _sink = ChunkWriter()
        _pickler = _Pickler(_sink)
    pickler, sink, _pickler = _pickler, _sink, None  # kept only if it comes to its end
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


def _is_plain(message: Any) -> bool:
    """Return True if a message is of built-in containers and values alone, and not nested deep.

    C functions do the looking. Pickling something deep would overflow the browser's stack, which
    Python can't notice, and the interpreter would be gone.
    """
    level = [message]
    for _ in range(MAX_FAST_DEPTH):
        kinds = set(map(type, level))
        if not kinds <= ATOMS:
            if not kinds <= ATOMS | CONTAINERS:
                return False
        else:
            return True
        if len(kinds) > 1:
            level = [item for item in level if type(item) in CONTAINERS]
        if len(level) > FEW:
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
    """Return the leaf of the careful way: it lets through what the pickler has words for."""

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
    """Raise a DataCloneError that names the JavaScript object the browser refused, if one is."""
    listed = list(moved)
    checked = _leaf_for(ports)

    def leaf(value: Any, path: Path) -> Any:
        if is_js_proxy(value) and not any(value == item for item in listed):
            complaint = bridge().clonable(value)
            if complaint:
                raise DataCloneError(
                    f"a JavaScript {bridge().tag(value)} can't be cloned: {complaint}",
                    format_path(path),
                )
        return checked(value, path)

    walk(message, leaf)
