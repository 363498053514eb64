"""The encoder and the decoder of packed messages.

A packed message is a `Packet`: the segments of a pickle stream, and the JavaScript objects, ports
and buffers that are sent out of band. The stream holds built-in containers and scalars. All other
values are calls of `make` and `fill` of `_codec.packed.values`. A received stream is untrusted:
`_codec.packed.opcodes` scans it before `unpack` decodes it, and describes what the scan guarantees.
"""

from __future__ import annotations

from _pickle import Unpickler  # pickle's C half: the module itself takes long to load
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from pyodide_msgchan._bridge.callbacks import unreadable
from pyodide_msgchan._codec.encoder import ChunkWriter, OutOfBandPickler
from pyodide_msgchan._codec.packed.reducers import UnfitError, reduce_other, reducers
from pyodide_msgchan._codec.packed.validation import can_fast_pack, validate
from pyodide_msgchan._codec.packed.values import ValueFactory, fill, make
from pyodide_msgchan.errors import DataCloneError

__all__ = ["Packet", "is_scalar", "pack", "unpack", "unpack_or_notice"]


SEGMENT_THRESHOLD: Final = 1 << 18
"""Bytes. A payload of at least this size is its own segment, so that it is copied only once."""


_SCALARS: Final = frozenset({str, int, bool, type(None)})


def is_scalar(message: Any) -> bool:
    """Return True if a message needs no packing, because JavaScript keeps its type and value."""
    kind = type(message)
    return kind in _SCALARS or (kind is float and not message.is_integer())


@final
class Packet:
    """A packed message.

    Attributes:
        segments: the segments of the pickle stream: one per large payload, and one for all else.
        side: the JavaScript objects and ports of the message.
        buffers: the memory of arrays, not copied.
        exotic: True if the fast check refused the message; then the sender scans it too.
    """

    __slots__ = ("buffers", "exotic", "segments", "side")

    def __init__(
        self, segments: list[Any], side: list[Any], buffers: list[Any], *, exotic: bool = False
    ) -> None:
        self.segments, self.side, self.buffers, self.exotic = segments, side, buffers, exotic


class _Pickler(OutOfBandPickler):
    def __init__(self, sink: ChunkWriter) -> None:
        super().__init__(sink)
        self.buffers: list[Any] = []
        self.replacements: dict[int, Any] = {}

    def reducer_override(self, value: Any) -> Any:
        reducer = reducers.get(type(value))
        if reducer is not None:
            return reducer(self, value)
        if value is make or value is fill:
            return NotImplemented
        return reduce_other(self, value)

    def append_buffer(self, view: memoryview) -> int:
        """Append memory to the list of buffers, and return its index."""
        self.buffers.append(view)
        return len(self.buffers) - 1


_idle_picklers: list[tuple[ChunkWriter, _Pickler]] = []


def pack(message: Any, ports: Mapping[int, Any]) -> Packet:
    """Return a packed message.

    Args:
        message: a value that the packed lane carries.
        ports: the native ports of the transferred port objects, by the id of the port object.

    Raises:
        DataCloneError: a value can't be sent; the error has its path.
    """
    if can_fast_pack(message):
        try:
            return _pickle(message, ports, {}, exotic=False)
        except UnfitError:
            pass  # Only the full validation can convert the message, or say what can't be sent.
    replacements = validate(message, ports)
    try:
        return _pickle(message, ports, replacements, exotic=True)
    except UnfitError as error:
        raise DataCloneError(str(error)) from None


def _pickle(
    message: Any, ports: Mapping[int, Any], replacements: dict[int, Any], *, exotic: bool
) -> Packet:
    if _idle_picklers:  # Making a pickler costs more than packing a small message.
        sink, pickler = _idle_picklers.pop()
    else:
        sink = ChunkWriter()
        pickler = _Pickler(sink)
    pickler.ports, pickler.replacements = ports, replacements
    pickler.dump(message)
    packet = Packet(_join_chunks(sink.chunks), pickler.side, pickler.buffers, exotic=exotic)
    sink.chunks.clear()
    pickler.clear_memo()
    pickler.side, pickler.buffers, pickler.ports, pickler.replacements = [], [], {}, {}
    # Only a pickler that completed is used again: an error leaves it in an unknown state.
    _idle_picklers.append((sink, pickler))
    return packet


def _join_chunks(chunks: list[Any]) -> list[Any]:
    """Return the segments of a stream: small chunks are joined, large ones are not copied."""
    if len(chunks) == 1:
        return chunks[:]
    segments: list[Any] = []
    small: list[Any] = []
    for chunk in chunks:
        if len(chunk) < SEGMENT_THRESHOLD:
            small.append(chunk)
            continue
        if small:
            segments.append(b"".join(small))
            small = []
        segments.append(chunk)
    if small:
        segments.append(b"".join(small))
    return segments


class _Segments:
    """A file for the unpickler: returns whole segments, and copies payloads to their destination.

    `read` returns more than the unpickler asks for, unless it reads a payload; the unpickler keeps
    the rest. So nothing that it reads may cross the end of a segment, which the scan guarantees.
    The unpickler reads a payload at once, and since Python 3.15 in parts.
    """

    __slots__ = ("_copy_to", "_rest")

    def __init__(self, segments: Sequence[Any], copy_to: Callable[[Any, memoryview], None]) -> None:
        self._rest = list(reversed(segments))
        self._copy_to = copy_to

    def read(self, size: int) -> Any:
        if not self._rest:
            return b""
        segment = self._rest.pop() if size < SEGMENT_THRESHOLD else self._part(size)
        # Since Python 3.15 the result must be of type bytes.
        return bytes(segment) if isinstance(segment, _PYTHON_BUFFERS) else segment.to_bytes()

    def readinto(self, target: memoryview) -> int:
        self._copy_to(self._part(len(target)), target)
        return len(target)

    def readline(self) -> bytes:
        return b""

    def _part(self, size: int) -> Any:
        """Remove up to `size` bytes from the next segment, and return them."""
        segment = self._rest.pop()
        if size >= _size(segment):
            return segment
        if isinstance(segment, _PYTHON_BUFFERS):
            view = memoryview(segment)
            part, rest = view[:size], view[size:]
        else:
            part, rest = segment.subarray(0, size), segment.subarray(size)
        self._rest.append(rest)
        return part


_PYTHON_BUFFERS: Final = (bytes, bytearray, memoryview)
"""Types of segments in Python's memory; all others are JavaScript arrays."""


def _size(segment: Any) -> int:
    size: int = len(segment) if isinstance(segment, _PYTHON_BUFFERS) else segment.byteLength
    return size


class _Unpickler(Unpickler):
    factory: ValueFactory

    def find_class(self, module: str, name: str) -> Any:
        return self.factory.find(module, name)

    def persistent_load(self, parts: Any) -> Any:
        """Insert keys; only the scan writes calls of this."""
        if type(parts) is not tuple or not parts:
            raise TypeError("keys come into dicts and sets")
        return self.factory.insert(*parts)


def unpack(
    segments: Sequence[Any],
    factory: ValueFactory,
    copy_to: Callable[[Any, memoryview], None],
) -> Any:
    """Return the message of a stream that was scanned.

    Args:
        segments: the segments of the stream, in the form that the scan has prepared.
        factory: makes the values of this message.
        copy_to: copies a segment that is not in Python's memory into a memoryview.

    Raises:
        BaseException: the message can't be read, for any reason: functions of the user run here.
            `factory` has the parts that could be read.
    """
    unpickler = _Unpickler(_Segments(segments, copy_to))
    unpickler.factory = factory
    message = unpickler.load()
    factory.done(message)
    return message


def unpack_or_notice(
    segments: Sequence[Any],
    factory: ValueFactory,
    copy_to: Callable[[Any, memoryview], None],
) -> Any:
    """Return the message of a stream that was scanned, or a notice if it can't be read.

    The arguments are those of `unpack`.
    """
    try:
        return unpack(segments, factory, copy_to)
    except BaseException as error:  # noqa: BLE001 - the messages after this one must be delivered
        notice = unreadable(factory.error or error, factory.partial, factory.adopted)
        # The garbage collector does not see what the stack of an unpickler holds. The traceback of
        # the error holds the unpickler, so if that stack held the error, both would stay forever.
        factory.error = None
        return notice
