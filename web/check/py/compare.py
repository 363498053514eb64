"""Comparing what came with what was expected, strictly, and showing both to people."""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pyodide.ffi import JsProxy

LONGEST = 600
"""Characters of a shown value."""

MOST = 24
"""Items of a list that are shown; of a longer one the first and the last."""


class Raised:
    """An exception that is the result of a row, of exactly this type and with these fields.

    ``expected=Raised(DataCloneError, path="message[0]")`` compares the fields that it names.
    """

    def __init__(self, kind: type[BaseException], **fields: Any) -> None:
        self.kind = kind
        self.fields = fields
        self.came = False

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """Make one of an exception that came."""
        raised = cls(type(error), **{**vars(error), "text": str(error)})
        raised.came = True
        return raised

    def __repr__(self) -> str:
        """Show it as it would be written here."""
        if self.came:
            return f"{self.kind.__name__}: {self.fields['text']}"
        fields = ", ".join(f"{name}={show(value)}" for name, value in self.fields.items())
        return f"{self.kind.__name__}{f', {fields}' if fields else ''}"


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """Wait for it, and give what it returns or what it raises."""
    try:
        return await awaitable
    except Exception as error:
        return Raised.of(error)


def attempt(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call it, and give what it returns or what it raises."""
    try:
        return function(*args, **options)
    except Exception as error:
        return Raised.of(error)


def same(got: Any, expected: Any) -> bool:
    """Whether both are the same in type and value: True is not 1, 1.0 is not 1, nan is nan."""
    if isinstance(expected, Raised) and isinstance(got, Raised):
        return got.kind is expected.kind and all(
            name in got.fields and same(got.fields[name], value)
            for name, value in expected.fields.items()
        )
    if type(got) is not type(expected):
        return False
    match expected:
        case float():
            both_nan = math.isnan(expected) and math.isnan(got)
            signs = math.copysign(1, got) == math.copysign(1, expected)
            return both_nan or (got == expected and signs)
        case list() | tuple():
            return len(got) == len(expected) and all(map(same, got, expected))
        case dict():
            return _all_found(got.items(), expected.items())
        case set() | frozenset():
            return _all_found(got, expected)
        case memoryview():
            return got.format == expected.format and same(got.tolist(), expected.tolist())
    return bool(got == expected)


def difference(got: Any, expected: Any) -> str:
    """Say where two long lists part, which does not show where only their ends do."""
    if not (isinstance(got, list) and isinstance(expected, list)):
        return ""
    if max(len(got), len(expected)) <= MOST:
        return ""
    pairs = enumerate(zip(got, expected, strict=False))
    where = ((i, one, two) for i, (one, two) in pairs if not same(one, two))
    for i, one, two in where:
        return f", first difference at [{i}]: {show(one)} instead of {show(two)}"
    return f", {len(got)} items instead of {len(expected)}"


def _all_found(got: Iterable[Any], expected: Iterable[Any]) -> bool:
    """Whether each has its like on the other side, in any order."""
    left = list(got)
    for one in expected:
        found = next((i for i, other in enumerate(left) if same(other, one)), None)
        if found is None:
            return False
        del left[found]
    return not left


def show(value: Any) -> str:
    """Write a value so that a person sees its type too, and no more of it than fits."""
    match value:
        case memoryview():
            text = f"memoryview({value.format!r}, {value.tolist()!r})"
        case JsProxy():
            text = f"JavaScript {value.typeof}: {value}"
        case type():
            text = value.__name__
        case list() | tuple() if len(value) > MOST:
            first, last = (", ".join(map(show, part)) for part in (value[:6], value[-3:]))
            text = f"[{first}, … {last}] ({len(value)} items)"
        case _:
            text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 20]} … {text[-15:]}"
