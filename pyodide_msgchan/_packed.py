"""The packed lane's codec: values to a pickle stream and back, with no trust in who wrote it.

A `Packet` is what crosses: segments of the stream, and beside them JavaScript objects, ports and
memory. The stream holds built-in containers and scalars, and calls of `_sealed.make` and `fill` for
all the rest. `unpack` scans it before it decodes it; see `_scan` for what that promises.
"""

from __future__ import annotations

from _pickle import Pickler, Unpickler  # pickle's C half: the module itself takes long to load
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from ._fitness import check, is_fit
from ._reducers import UnfitError, reduce_other, reducers
from ._sealed import Making, fill, make
from ._stream import Sink
from .errors import DataCloneError

__all__ = ["Packet", "is_scalar", "pack", "unpack"]

WHOLE: Final = 1 << 18
"""Bytes: a payload from here on is a segment of its own, so that it is copied once."""


_SCALARS: Final = frozenset({str, int, bool, type(None)})


def is_scalar(message: Any) -> bool:
    """Say whether a message needs no packing: JavaScript gives it back as it was."""
    kind = type(message)
    return kind in _SCALARS or (kind is float and not message.is_integer())


@final
class Packet:
    """A message on the packed lane.

    Attributes:
        segments: of the stream; all but payloads in one.
        side: JavaScript objects and ports.
        buffers: memory of arrays, uncopied.
        exotic: whether it holds what the quick look does not know: then it is scanned here too.
    """

    __slots__ = ("buffers", "exotic", "segments", "side")

    def __init__(
        self, segments: list[Any], side: list[Any], buffers: list[Any], *, exotic: bool = False
    ) -> None:
        self.segments, self.side, self.buffers, self.exotic = segments, side, buffers, exotic


class _Pickler(Pickler):
    def __init__(self, sink: Sink) -> None:
        super().__init__(sink, 5)
        self.side: list[Any] = []
        self.buffers: list[Any] = []
        self.ports: Mapping[int, Any] = {}
        self.instead: dict[int, Any] = {}

    def reducer_override(self, value: Any) -> Any:
        reducer = reducers.get(type(value))
        if reducer is not None:
            return reducer(self, value)
        if value is make or value is fill:
            return NotImplemented
        return reduce_other(self, value)

    def beside(self, value: Any) -> int:
        """Put something into the side list; gives where."""
        self.side.append(value)
        return len(self.side) - 1

    def memory(self, view: memoryview) -> int:
        """Put memory beside the stream; gives where."""
        self.buffers.append(view)
        return len(self.buffers) - 1


_kept: list[tuple[Sink, _Pickler]] = []


def pack(message: Any, ports: Mapping[int, Any]) -> Packet:
    """Write a message.

    Args:
        message: any value that the lane carries.
        ports: what stands for each port that is transferred with it, by the wrapper's id.

    Raises:
        DataCloneError: with the path of what can't be sent.
    """
    if is_fit(message):
        try:
            return _pickle(message, ports, {}, exotic=False)
        except UnfitError:
            pass  # that needs care, or can't be sent
    instead = check(message, ports)
    try:
        return _pickle(message, ports, instead, exotic=True)
    except UnfitError as error:
        raise DataCloneError(str(error)) from None


def _pickle(
    message: Any, ports: Mapping[int, Any], instead: dict[int, Any], *, exotic: bool
) -> Packet:
    if _kept:  # making a pickler costs more than a small message
        sink, pickler = _kept.pop()
    else:
        sink = Sink()
        pickler = _Pickler(sink)
    pickler.ports, pickler.instead = ports, instead
    pickler.dump(message)
    packet = Packet(_joined(sink.chunks), pickler.side, pickler.buffers, exotic=exotic)
    sink.chunks.clear()
    pickler.clear_memo()
    pickler.side, pickler.buffers, pickler.ports, pickler.instead = [], [], {}, {}
    _kept.append((sink, pickler))  # only if it came to its end
    return packet


def _joined(chunks: list[Any]) -> list[Any]:
    """Put small chunks together."""
    if len(chunks) == 1:
        return chunks[:]
    segments: list[Any] = []
    small: list[Any] = []
    for chunk in chunks:
        if len(chunk) < WHOLE:
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
    """What the unpickler reads: whole segments at once, and payloads straight to their place.

    Of what is not a payload it asks for less than it gets; what is left it keeps. So nothing it
    reads may lie across the end of a segment, which the scan has seen to. Payloads it reads whole,
    from Python 3.15 on in parts.
    """

    __slots__ = ("_copy_to", "_rest")

    def __init__(self, segments: Sequence[Any], copy_to: Callable[[Any, memoryview], None]) -> None:
        self._rest = list(reversed(segments))
        self._copy_to = copy_to

    def read(self, size: int) -> Any:
        if not self._rest:
            return b""
        segment = self._rest.pop() if size < WHOLE else self._part(size)
        # Of this type it has to be from 3.15 on.
        return bytes(segment) if isinstance(segment, _HERE) else segment.to_bytes()

    def readinto(self, target: memoryview) -> int:
        self._copy_to(self._part(len(target)), target)
        return len(target)

    def readline(self) -> bytes:
        return b""

    def _part(self, size: int) -> Any:
        """Take so much of the next segment."""
        segment = self._rest.pop()
        if size >= _size(segment):
            return segment
        if isinstance(segment, _HERE):
            view = memoryview(segment)
            part, rest = view[:size], view[size:]
        else:
            part, rest = segment.subarray(0, size), segment.subarray(size)
        self._rest.append(rest)
        return part


_HERE: Final = (bytes, bytearray, memoryview)
"""Types of segments that are in Python's memory."""


def _size(segment: Any) -> int:
    size: int = len(segment) if isinstance(segment, _HERE) else segment.byteLength
    return size


class _Unpickler(Unpickler):
    making: Making

    def find_class(self, module: str, name: str) -> Any:
        return self.making.find(module, name)

    def persistent_load(self, parts: Any) -> Any:
        """Insert keys; only the scan writes calls of this."""
        if type(parts) is not tuple or not parts:
            raise TypeError("keys come into dicts and sets")
        return self.making.insert(*parts)


def unpack(
    segments: Sequence[Any],
    making: Making,
    copy_to: Callable[[Any, memoryview], None],
) -> Any:
    """Read a message that was scanned.

    Args:
        segments: of the stream, in the form that the scan has prepared.
        making: for this message.
        copy_to: copies a segment that is not in Python's memory to where it is needed.

    Raises:
        BaseException: of any kind: it can't be read. `making` tells what of it could be.
    """
    unpickler = _Unpickler(_Segments(segments, copy_to))
    unpickler.making = making
    message = unpickler.load()
    making.done(message)
    return message
