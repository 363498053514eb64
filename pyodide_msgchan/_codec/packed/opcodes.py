"""The opcodes that a packed stream may have, and the scan of a stream before it is decoded.

A packed stream is a pickle of protocol 5, and a pickle is a program. The scan reads a stream once,
from front to back, before Python's unpickler does, and refuses everything that
`_codec.packed.codec` does not write. It tracks the kinds of the values on the stack, so that:

- The only names are ``make`` and ``fill`` of `_codec.packed.values`, and only these two are called.
- Items are added only to lists, dicts and sets that the stream itself opened and has not yet put
  into another value. So no method of a value from `make` is called, no attribute is set, and one
  pass is enough to determine the depth.
- Every length is within the stream, and within one segment, since the unpickler reads segments.
- The memo grows by one at a time, and nothing nests deeper than `MAX_DEPTH`.
- Keys and members of sets are scalars, or tuples with at most `MAX_KEY_DEPTH` levels and
  `MAX_KEY_WEIGHT` values, where shared values count each time. So the cost of hashing them is in
  proportion to the length of the stream.

The hashes of numbers, and of tuples of numbers, can be chosen so that they collide. If one dict or
set gets more than `UNCOUNTED` such keys, `prepare` replaces the opcode that inserts them by a call
of `ValueFactory.insert`, which counts their hashes first. The hashes of text and bytes are random
in each interpreter, and at most three integers of four bytes have the same hash.

js/src/scan.mjs is the same scan, with the same table, for messages that arrive in the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import MAX_DEPTH

__all__ = [
    "HASHABLE",
    "MAX_KEY_BITS",
    "MAX_KEY_DEPTH",
    "MAX_KEY_WEIGHT",
    "NAMES",
    "TABLE",
    "UNCOUNTED",
    "prepare",
    "scan",
]


MAX_KEY_DEPTH: Final = 8
"""Levels of nested tuples in a key, at most."""


MAX_KEY_WEIGHT: Final = 256
"""Values and tuples in a key, at most. Shared values count each time."""


MAX_KEY_BITS: Final = 2039
"""Bits of an integer key, at most: hashing a longer one is slow, and Python does not cache it."""


UNCOUNTED: Final = 100
"""Weight of a container's keys whose hashes can be chosen, at most, before they are counted."""


NAMES: Final = (b"pyodide_msgchan._codec.packed.values", b"make", b"fill")
"""The module and the two functions that a stream may name."""


HASHABLE: Final = 10
"""Tags of `_codec.packed.values.make` below this number make values that can be keys."""


(
    _CONSTANT, _SHORT, _FIXED2, _FIXED4, _FIXED8, _TEXT1, _DATA1, _DATA4, _LONG1, _LONG4, _DATA8,
    _LIST, _DICT, _SET, _NOTHING, _MARK, _APPEND, _APPENDS, _SETITEM, _SETITEMS, _ADDITEMS,
    _FROZENSET, _TUPLE, _TUPLE1, _TUPLE2, _TUPLE3, _MEMOIZE, _GET1, _GET4, _POP, _POP_MARK,
    _GLOBAL, _REDUCE, _FRAME, _STOP,
) = range(1, 36)  # fmt: skip


_OPCODES: Final = {
    0x4E: _CONSTANT, 0x88: _CONSTANT, 0x89: _CONSTANT,  # NONE, NEWTRUE, NEWFALSE
    0x4B: _SHORT, 0x4D: _FIXED2, 0x4A: _FIXED4, 0x47: _FIXED8,  # BININT1, 2, BININT, BINFLOAT
    0x8C: _TEXT1, 0x43: _DATA1, 0x8A: _LONG1,  # SHORT_BINUNICODE, SHORT_BINBYTES, LONG1
    0x58: _DATA4, 0x42: _DATA4, 0x8B: _LONG4,  # BINUNICODE, BINBYTES, LONG4
    0x96: _DATA8,  # BYTEARRAY8
    0x5D: _LIST, 0x7D: _DICT, 0x8F: _SET, 0x29: _NOTHING,  # EMPTY_*
    0x28: _MARK, 0x61: _APPEND, 0x65: _APPENDS, 0x73: _SETITEM, 0x75: _SETITEMS,
    0x90: _ADDITEMS, 0x91: _FROZENSET,
    0x74: _TUPLE, 0x85: _TUPLE1, 0x86: _TUPLE2, 0x87: _TUPLE3,
    0x94: _MEMOIZE, 0x68: _GET1, 0x6A: _GET4, 0x30: _POP, 0x31: _POP_MARK,
    0x93: _GLOBAL, 0x52: _REDUCE, 0x95: _FRAME, 0x2E: _STOP,
}  # fmt: skip


TABLE: Final = bytes(_OPCODES.get(code, 0) for code in range(256))
"""The action for each opcode byte: one of the numbers above; 0 for opcodes that are refused."""


# The kinds of values on the stack. Those from _MAKE on can't be put into another value.
(
    _VALUE, _IN_LIST, _IN_DICT, _IN_SET, _MADE, _ARGS, _TAG, _MODULE, _MAKER, _FILLER,
    _MAKE, _FILL, _TARGET, _FILLING, _FILLED,
) = range(15)  # fmt: skip


_KIND_OF_NAME: Final[dict[bytes, int]] = dict(zip(NAMES, (_MODULE, _MAKER, _FILLER), strict=True))


_CHOSEN: Final = frozenset({_FIXED8, _LONG1})
"""Scalars whose hashes can be chosen."""


# What calls the unpickler's `persistent_load` with the container and the items, or with the items
# of a frozenset. Nothing moves in the memo, and no stream that comes may do so.
_COUNTED: Final = {
    _SETITEM: b"\x86\x86Q",  # TUPLE2, TUPLE2, BINPERSID
    _SETITEMS: b"t\x86Q",  # TUPLE, TUPLE2, BINPERSID
    _ADDITEMS: b"t\x86Q",
    _FROZENSET: b"t\x85Q",  # TUPLE, TUPLE1, BINPERSID
}


_OPENED: Final = {_LIST: _IN_LIST, _DICT: _IN_DICT, _SET: _IN_SET}


_TUPLE_SIZES: Final = {_TUPLE1: 1, _TUPLE2: 2, _TUPLE3: 3}


_WIDTH: Final = {
    _FIXED2: 2, _FIXED4: 4, _FIXED8: 8, _TEXT1: 1, _DATA1: 1, _DATA4: 4, _LONG1: 1,
    _LONG4: 4, _DATA8: 8, _GET1: 1, _GET4: 4, _FRAME: 8, _SHORT: 1,
}  # fmt: skip


def scan(segments: Sequence[Any]) -> str:
    """Return the reason why a stream is refused; empty if it may be decoded."""
    try:
        prepare(segments)
    except ValueError as error:
        return str(error)
    return ""


def prepare(segments: Sequence[Any]) -> Sequence[Any]:
    """Return the segments of a stream in the form that is decoded.

    Raises:
        ValueError: it may not be decoded; the text says why.
    """
    scanned = _Scan(segments)
    try:
        scanned.run()
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    prepared = list(segments)
    for number, replaced in groupby(scanned.counted, lambda one: one[0]):
        segment, start = scanned.segments[number], 0
        parts: list[Any] = []
        for _, at, call in replaced:
            parts += segment[start:at], call
            start = at + 1
        prepared[number] = b"".join([*parts, segment[start:]])
    return prepared


class _RefusedError(Exception):
    """Raised when the scan refuses a stream; the text is the reason."""


class _Slot:
    """A value on the stack, or in the memo.

    Attributes:
        kind: one of the kinds above.
        depth: the levels of containers in it, including itself.
        weight: the cost of hashing it; 0 if it can't be hashed.
        tag: the first number of a tuple, which is the tag if the tuple has the arguments of `make`;
            else -1.
        index: its index in the memo, or -1.
        owner: for a value in the memo: its slot on the stack, while items can be added to it.
        looped: True if a value above it on the stack refers to it.
        chosen: the weight of the keys whose hashes can be chosen: its own, or those of a container.
    """

    __slots__ = ("chosen", "depth", "index", "kind", "looped", "owner", "tag", "weight")

    def __init__(
        self, kind: int, depth: int, weight: int, tag: int = -1, *, chosen: bool = False
    ) -> None:
        self.kind, self.depth, self.weight, self.tag = kind, depth, weight, tag
        plain = kind in (_VALUE, _TAG) and weight == 1 and not depth
        self.chosen = 0 if plain and not chosen else weight
        self.index, self.looped = -1, False
        self.owner: _Slot | None = None


class _Depths:
    """The minimum depths of ranges of the memo, kept in linear time.

    `deepen` adds a range that reaches to the end of the memo. Of two containers the one that is
    closed later was opened first, or was opened after the other was closed. So two ranges are
    disjoint, or one includes the other. They form a forest, whose paths `at` shortens (union-find).
    """

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.deepest: list[int] = []
        self.roots: list[tuple[int, int, int]] = []
        self.leaves: dict[int, int] = {}

    def deepen(self, start: int, end: int, depth: int) -> None:
        """Set the minimum depth of the values in the memo from `start` to `end`, its end."""
        node, before = len(self.parents), end
        self.parents.append(-1)
        self.deepest.append(depth)
        while self.roots and self.roots[-1][0] >= start:
            first, last, root = self.roots.pop()
            self.parents[root] = node
            self.leaves.update(dict.fromkeys(range(last, before), node))
            before = first
        self.leaves.update(dict.fromkeys(range(start, before), node))
        self.roots.append((start, end, node))

    def at(self, index: int, depth: int) -> int:
        """Return the depth of a value in the memo.

        Args:
            index: its index in the memo.
            depth: its depth when it was put there.
        """
        node = self.leaves.get(index, -1)
        if node < 0:
            return depth
        path = []
        while self.parents[node] >= 0:
            path.append(node)
            node = self.parents[node]
        minimum = self.deepest[node]
        for passed in reversed(path):
            self.deepest[passed] = minimum = max(minimum, self.deepest[passed])
            self.parents[passed] = node
        return max(depth, minimum)


class _Scan:
    """The state of the scan of one stream."""

    def __init__(self, segments: Sequence[Any]) -> None:
        self.segments = [memoryview(segment).cast("B") for segment in segments]
        self.number = 0
        self.here = self.segments[0] if segments else memoryview(b"")
        self.at = 0
        self.stack: list[_Slot] = []
        self.marks: list[int] = []
        self.memo: list[_Slot] = []
        self.depths = _Depths()
        self.counted: list[tuple[int, int, bytes]] = []

    def run(self) -> None:
        if bytes(self.take(2)) != b"\x80\x05":
            raise _RefusedError("no stream of this format")
        while True:
            code = self.take(1)[0]
            action = TABLE[code]
            if action == _STOP:
                break
            if not action:
                raise _RefusedError(f"the opcode {code:#04x} is not allowed")
            self.step(action)
        if len(self.stack) != 1 or self.marks or self.stack[0].kind >= _MAKE:
            raise _RefusedError("not one value")
        if self.at != len(self.here) or self.number != len(self.segments) - 1:
            raise _RefusedError("more than one value")

    def take(self, count: int) -> memoryview:
        """Return the next bytes, which must be in one segment."""
        if self.at == len(self.here) and self.number + 1 < len(self.segments):
            self.number += 1
            self.here, self.at = self.segments[self.number], 0
        start = self.at
        self.at = end = start + count
        if end > len(self.here):
            raise _RefusedError("cut off")
        return self.here[start:end]

    def number_of(self, action: int) -> int:
        return int.from_bytes(self.take(_WIDTH[action]), "little")

    def push(self, slot: _Slot) -> None:
        if slot.depth > MAX_DEPTH:
            raise _RefusedError(f"nested deeper than {MAX_DEPTH} levels")
        self.stack.append(slot)

    def step(self, action: int) -> None:
        if action <= _DATA8:
            self.scalar(action)
        elif action in _OPENED:
            self.push(_Slot(_OPENED[action], 1, 0))
        elif action == _NOTHING:
            self.push(_Slot(_ARGS, 1, 1))
        elif action == _MARK:
            self.marks.append(len(self.stack))
        elif action <= _ADDITEMS:
            self.fill(action)
        elif action <= _TUPLE3:
            self.gather(action)
        elif action == _MEMOIZE:
            self.remember()
        elif action <= _GET4:
            self.recall(action)
        elif action <= _POP_MARK:
            self.drop(action)
        elif action == _FRAME:
            if self.number_of(action) > len(self.here) - self.at:
                raise _RefusedError("cut off")
        else:
            self.call(action)

    def scalar(self, action: int) -> None:
        if action == _SHORT:
            self.push(_Slot(_TAG, 0, 1, self.take(1)[0]))
        elif action <= _FIXED8:
            if action != _CONSTANT:
                self.take(_WIDTH[action])
            self.push(_Slot(_VALUE, 0, 1, chosen=action in _CHOSEN))
        else:
            data = self.take(self.number_of(action))
            kind = _KIND_OF_NAME.get(bytes(data), _VALUE) if action == _TEXT1 else _VALUE
            weight = 0 if action in (_LONG4, _DATA8) else 1
            self.push(_Slot(kind, 0, weight, chosen=action in _CHOSEN))

    def check_floor(self, count: int) -> None:
        """Check that the stack has at least `count` values above the last mark."""
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise _RefusedError("nothing to take")

    def few(self, count: int) -> list[_Slot]:
        """Remove the last `count` values from the stack, and return them."""
        self.check_floor(count)
        return self.taken(len(self.stack) - count)

    def marked(self) -> list[_Slot]:
        """Remove the values above the last mark from the stack, and return them."""
        if not self.marks:
            raise _RefusedError("no mark")
        return self.taken(self.marks.pop())

    def taken(self, start: int) -> list[_Slot]:
        """Remove the values from `start` on from the stack, and return them.

        No more items can be added to them. Values that were written while such a container was
        open, and refer to it, have at least its final depth.
        """
        taken = self.stack[start:]
        del self.stack[start:]
        for slot in reversed(taken):
            if slot.index >= 0 and self.memo[slot.index].owner is slot:
                self.memo[slot.index].owner = None
                if slot.looped:
                    self.depths.deepen(slot.index, len(self.memo), slot.depth)
        return taken

    def fill(self, action: int) -> None:
        """Add the items on top of the stack to the container below them."""
        count = {_APPEND: 1, _SETITEM: 2}.get(action)
        items = self.few(count) if count else self.marked()
        self.check_floor(1)
        owner = self.stack[-1]
        keys: list[_Slot] = []
        if action in (_APPEND, _APPENDS):
            kind = _IN_LIST
        elif action == _ADDITEMS:
            kind, keys = _IN_SET, items
        else:
            kind, keys = _IN_DICT, items[::2]
            if len(items) % 2:
                raise _RefusedError("a key without a value")
        if owner.kind != kind:
            raise _RefusedError("items for what holds none")
        self.check_keys(keys, action, owner)
        self.deepen(owner, 1 + self.deepest(items))

    def deepest(self, items: list[_Slot]) -> int:
        """Return the depth of the deepest item, and check that no item is a function."""
        depth = 0
        for item in items:
            if item.kind >= _MAKE:
                raise _RefusedError("a function among values")
            depth = max(depth, item.depth)
        return depth

    def deepen(self, slot: _Slot, depth: int) -> None:
        """Set the minimum depth of a value on the stack, and of its entry in the memo."""
        if depth > MAX_DEPTH:
            raise _RefusedError(f"nested deeper than {MAX_DEPTH} levels")
        slot.depth = max(slot.depth, depth)
        if slot.index >= 0:
            known = self.memo[slot.index]
            known.depth = max(known.depth, depth)

    def check_keys(self, keys: list[_Slot], action: int, owner: _Slot) -> None:
        """See that these can be keys, and have them counted if too many may have one hash."""
        chosen = 0
        for key in keys:
            if not 0 < key.weight <= MAX_KEY_WEIGHT or key.depth > MAX_KEY_DEPTH:
                raise _RefusedError("a key that can't be one")
            chosen += key.chosen
        owner.chosen += chosen
        if chosen and owner.chosen > UNCOUNTED:
            self.counted.append((self.number, self.at - 1, _COUNTED[action]))

    def gather(self, action: int) -> None:
        """Replace the items on top of the stack by a tuple or a frozenset of them."""
        items = self.few(_TUPLE_SIZES[action]) if action in _TUPLE_SIZES else self.marked()
        if action == _TUPLE2 and items[0].kind == _TARGET:
            return self.push(_Slot(_FILLING, self.deepest(items[1:]), 0))
        if action == _FROZENSET:
            made = _Slot(_VALUE, 0, 0)
            self.check_keys(items, action, made)
            made.depth = 1 + self.deepest(items)
            return self.push(made)
        depth = 1 + self.deepest(items)
        weight = 1 + sum(item.weight for item in items) if all(i.weight for i in items) else 0
        tag = items[0].tag if items and items[0].kind == _TAG else -1
        return self.push(_Slot(_ARGS, depth, min(weight, MAX_KEY_WEIGHT + 1), tag))

    def drop(self, action: int) -> None:
        """Drop items. They can be in the memo, so their depth counts for the value below them."""
        items = self.few(1) if action == _POP else self.marked()
        if len(items) == 1 and items[0].kind == _FILLED:
            depth = items[0].depth
        else:
            depth = 1 + self.deepest(items)
        if self.stack:
            self.deepen(self.stack[-1], depth)

    def remember(self) -> None:
        """Put the value on top of the stack into the memo."""
        self.check_floor(1)
        slot = self.stack[-1]
        if slot.index >= 0 or slot.kind > _FILL:
            raise _RefusedError("nothing to remember")
        slot.index = len(self.memo)
        known = _Slot(slot.kind if slot.kind >= _MODULE else _VALUE, slot.depth, slot.weight)
        known.chosen = slot.chosen
        known.owner = slot if _VALUE < slot.kind <= _MADE else None
        self.memo.append(known)

    def recall(self, action: int) -> None:
        """Push a value from the memo; the first argument of `fill` must be the object before it."""
        index = self.number_of(action)
        if index >= len(self.memo):
            raise _RefusedError("a reference to nothing")
        known = self.memo[index]
        # The depth of a scalar is 0 and can't change.
        depth = known.depth and self.depths.at(index, known.depth)
        slot = _Slot(known.kind, depth, known.weight)
        slot.chosen = known.chosen
        slot.index = index
        if self.stack and self.stack[-1].kind == _FILL:
            self.check_floor(2)
            if known.owner is not self.stack[-2] or self.stack[-2].kind != _MADE:
                raise _RefusedError("not what is to be filled")
            slot.kind = _TARGET
        elif known.owner is not None:
            known.owner.looped = True
        self.push(slot)

    def call(self, action: int) -> None:
        """Look up a name, or call `make` or `fill`."""
        first, second = self.few(2)
        if action == _GLOBAL:
            if first.kind != _MODULE or second.kind not in (_MAKER, _FILLER):
                raise _RefusedError("a name that is not allowed")
            self.push(_Slot(_MAKE if second.kind == _MAKER else _FILL, 0, 0))
        elif first.kind == _MAKE and second.kind == _ARGS:
            weight = second.weight if 0 <= second.tag < HASHABLE else 0
            self.push(_Slot(_MADE, second.depth - 1, weight))
        elif first.kind == _FILL and second.kind == _FILLING:
            self.push(_Slot(_FILLED, second.depth, 0))
        else:
            raise _RefusedError("a call that is not allowed")
