"""The fast path for remote calls of plain values in memory; js/calls.mjs is that of a browser."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol, final

from pyodide_msgchan._codec.outgoing import MAX_SAFE_INT
from pyodide_msgchan._codec.wire import raw

__all__ = ["MemoryPlainCalls", "parse_call", "result_number", "take_results"]


MAX_ID_LENGTH: Final = 1000
MAX_NAME_LENGTH: Final = 100
MAX_SHORT_ARGUMENTS: Final = 100
MAX_BATCH: Final = 256
"""The limits of js/calls.mjs and js/bridge.mjs. Other messages are handled as ordinary ones."""


PLAIN_TYPES: Final = frozenset({str, int, float, bool, type(None)})


class CallEndpoint(Protocol):
    """The part of an endpoint that the fast path uses."""

    takes_calls: bool
    """True if calls and results may come by the fast path."""

    def post_call(self, message: dict[str, Any]) -> None:
        """Send the message of a call or of a result, which is never packed."""


@final
class MemoryPlainCalls:
    """The fast path at one endpoint in memory.

    Args:
        endpoint: the endpoint.
        prefix: the prefix of the ids of its own requests.
    """

    def __init__(self, endpoint: CallEndpoint, prefix: str) -> None:
        self._endpoint = endpoint
        self._prefix = prefix

    def open(self) -> None:
        """Have calls and results come by the fast path too from now on."""
        self._endpoint.takes_calls = True

    def serve(self, on: bool, /) -> None:  # noqa: FBT001 - the protocol's, for JavaScript
        """Do nothing: nobody else reads an endpoint in memory."""

    def call(self, call: int, path: tuple[str, ...], values: tuple[Any, ...]) -> None:
        """Send a call of an attribute, or of the exposed object itself if the path is empty."""
        wires = [raw(value) for value in values]
        message = {"id": f"{self._prefix}{call}", "type": "APPLY"}
        self._endpoint.post_call({**message, "path": list(path), "argumentList": wires})

    def answer(self, call: str, value: Any) -> None:
        """Send the result of a call."""
        self._endpoint.post_call({"id": call, **raw(value)})


def is_plain(value: Any) -> bool:
    """Return True if JavaScript has the value as a string, number or boolean, or as no value."""
    return type(value) in PLAIN_TYPES and (type(value) is not int or abs(value) <= MAX_SAFE_INT)


def result_number(data: Any, prefix: str) -> int:
    """Return the number of the request that a plain result is for; 0 if it is no plain result."""
    if type(data) is not dict or data.get("type") != "RAW" or not is_plain(data.get("value")):
        return 0
    id_ = data.get("id")
    if type(id_) is not str or not id_.startswith(prefix):
        return 0
    digits = id_.removeprefix(prefix)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(MAX_SAFE_INT)):
        return 0
    number = int(digits)
    return number if str(number) == digits and number <= MAX_SAFE_INT else 0


def take_results(queue: deque[tuple[Any, Any]], prefix: str) -> list[Any]:
    """Remove the plain results at the head of a queue; return their numbers and values in turn.

    Fewer than two are left where they are, and the list is empty.
    """
    results: list[Any] = []
    for data, _ in queue:
        number = result_number(data, prefix)
        if not number or len(results) == 2 * MAX_BATCH:
            break
        results += (number, data.get("value"))
    if len(results) <= 2:  # noqa: PLR2004 - one number and its value
        return []
    for _ in results[::2]:
        queue.popleft()
    return results


def parse_call(data: Any) -> tuple[str, tuple[str, ...], tuple[Any, ...]] | None:
    """Return the id, the path and the arguments of a call of plain values; None if it is none."""
    if type(data) is not dict or data.get("type") != "APPLY" or data.get("keywords"):
        return None
    id_, path, wires = data.get("id"), data.get("path"), data.get("argumentList")
    if type(id_) is not str or len(id_) > MAX_ID_LENGTH:
        return None
    if type(path) is not list or len(path) > 1:
        return None
    if path and (type(path[0]) is not str or len(path[0]) > MAX_NAME_LENGTH):
        return None
    if type(wires) is not list or len(wires) > MAX_SHORT_ARGUMENTS:
        return None
    if not all(type(wire) is dict and wire.get("type") == "RAW" for wire in wires):
        return None
    values = tuple(wire.get("value") for wire in wires)
    return (id_, tuple(path), values) if all(map(is_plain, values)) else None
