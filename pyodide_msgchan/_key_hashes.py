"""How many keys of a dict or set have one hash: each is compared with those before it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

__all__ = ["SAME_HASH", "KeyHashes"]

SAME_HASH: Final = 100
"""Keys of one hash, at most; powers of two have up to 68 where hashes have 32 bits."""

SAME_WEIGHT: Final = 800
"""Of the weight of keys of one hash, at most: those that are tuples take longer to compare."""

FEW: Final = 3
"""Keys of one hash that are no trouble, whatever they are."""


class KeyHashes:
    """The hashes of the keys that the containers of one message got."""

    def __init__(self) -> None:
        self._by_owner: dict[int, tuple[Any, Counter[int]]] = {}

    def count(self, owner: Any, keys: tuple[Any, ...]) -> None:
        """Count keys that come into a container; None stands for one that gets no others.

        Raises:
            ValueError: too many keys have one hash.
        """
        hashes = list(map(hash, keys))
        if owner is None:
            counts = Counter(hashes)
        else:  # which is kept, so that no other object gets its id
            counts = self._by_owner.setdefault(id(owner), (owner, Counter()))[1]
            counts.update(hashes)
        if max(map(counts.__getitem__, hashes), default=0) <= FEW:
            return
        for key, number in zip(keys, hashes, strict=True):
            same = counts[number]
            most = SAME_WEIGHT // same
            if same > SAME_HASH or (same > FEW and _weighs_more(key, most)):
                raise ValueError("too many keys have one hash")


def _weighs_more(key: Any, most: int) -> bool:
    """Return True if a key holds more values than that; look at no more of them."""
    waiting = [key]
    for _ in range(most):
        if not waiting:
            return False
        one = waiting.pop()
        if type(one) is tuple:
            waiting.extend(one)
    return bool(waiting)
