"""Bounded texts of values and errors that came from outside.

The bound applies before a text is made, since a small message can have a huge `repr`: 20 lists,
each of which contains the one before twice, print as a million items.
"""

from __future__ import annotations

from enum import Enum
from traceback import format_exception, format_tb
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

__all__ = ["error_text", "format_error", "short_repr"]


MAX_LENGTH: Final = 80
"""Default bound of a text, in characters."""


MAX_ITEMS: Final = 4
"""Items of a container that are shown."""


MAX_NESTING: Final = 3
"""Levels of nested containers that are shown."""


MAX_CHAINED_ERRORS: Final = 100
"""Errors that are followed from one error, as causes, contexts and members of groups."""


MAX_INT_BITS: Final = 256
"""Bits of an integer that is shown with its digits."""


_SCALAR_TYPES: Final[tuple[type, ...]] = (type(None), bool, float, complex)


_STRING_TYPES: Final = (str, bytes, bytearray)


_NAMED_TYPES: Final = (type, FunctionType, BuiltinFunctionType, ModuleType)


_PLAIN_MODULES: Final = frozenset({"datetime", "decimal", "pathlib", "uuid"})
"""Modules whose types contain only numbers and strings."""


_BRACKETS: Final[dict[type, str]] = {
    list: "[]",
    tuple: "()",
    set: "{}",
    dict: "{}",
    frozenset: "{}",
}


def short_repr(value: object, length: int = MAX_LENGTH) -> str:
    """Return a bounded `repr` of a value, in a time that does not depend on its size."""
    text = _format_value(value, MAX_NESTING, length)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _format_value(value: Any, levels: int, length: int) -> str:
    kind = type(value)
    if kind in _STRING_TYPES:
        return repr(value[:length])
    if kind is int:
        bits = value.bit_length()
        return repr(value) if bits <= MAX_INT_BITS else f"<int of {bits} bits>"
    if kind in _SCALAR_TYPES or _is_from_plain_module(kind):
        return repr(value)
    if isinstance(value, Enum):
        return f"{kind.__qualname__}.{value.name}"
    if kind in _BRACKETS:
        brackets = _BRACKETS[kind]
        return f"{brackets[0]}{_format_items(value, levels, length)}{brackets[1]}"
    if kind in _NAMED_TYPES:
        return f"<{kind.__name__} {getattr(value, '__qualname__', value.__name__)[:length]}>"
    if kind is MethodType:
        return f"<method {getattr(value.__func__, '__qualname__', '')[:length]}>"
    return f"<{kind.__qualname__[:length]} object>"


def _is_from_plain_module(kind: type) -> bool:
    return str(kind.__module__).partition(".")[0] in _PLAIN_MODULES


def _format_items(value: Any, levels: int, length: int) -> str:
    if not levels:
        return "…" if value else ""
    parts: list[str] = []
    for item in value:
        if len(parts) == MAX_ITEMS:
            parts.append("…")
            break
        part = _format_value(item, levels - 1, length)
        if type(value) is dict:
            part += f": {_format_value(value[item], levels - 1, length)}"
        parts.append(part)
    return ", ".join(parts) + ("," if type(value) is tuple and len(parts) == 1 else "")


def error_text(error: BaseException) -> str:
    """Return the text of an error, with a short form of arguments that are not strings.

    The `__str__` of a class that is not built in is used as it is.
    """
    if _has_bounded_text(error):
        try:
            return str(error)
        except BaseException:  # noqa: BLE001 - the `__str__` of a user's class may raise anything
            return f"<{type(error).__name__} whose text can't be had>"
    if len(error.args) == 1:
        return _format_arg(error.args[0])
    shown = [repr(arg) if type(arg) is str else _format_arg(arg) for arg in error.args]
    return f"({', '.join(shown)})"


def _format_arg(arg: object) -> str:
    if type(arg) is str:
        return arg
    if isinstance(arg, BaseException) and _has_bounded_text(arg):
        return error_text(arg)
    return short_repr(arg)


def _has_bounded_text(error: BaseException) -> bool:
    """Return True if the text of an error is no longer than its arguments."""
    if isinstance(error, BaseExceptionGroup):
        return True  # its text contains only the number of its members
    if isinstance(error, OSError) and not (
        _is_bounded_arg(error.filename) and _is_bounded_arg(error.filename2)
    ):
        return False
    definer = next(kind for kind in type(error).__mro__ if "__str__" in kind.__dict__)
    return definer.__module__ != "builtins" or all(map(_is_bounded_arg, error.args))


def _is_bounded_arg(arg: Any) -> bool:
    kind = type(arg)
    if kind is int:
        return arg.bit_length() <= MAX_INT_BITS  # type: ignore[no-any-return]
    if kind is tuple:  # a SyntaxError has one
        return len(arg) <= MAX_ITEMS * 2 and not any(type(part) is tuple for part in arg) and all(
            map(_is_bounded_arg, arg)
        )  # fmt: skip
    return kind in _SCALAR_TYPES or kind in _STRING_TYPES or _is_from_plain_module(kind)


def format_error(error: BaseException) -> str:
    """Return the traceback of an error as Python prints it, or a shorter one if it has no bound."""
    if all(map(_has_bounded_traceback, _chained_errors(error))):
        return "".join(format_exception(error))
    frames = "".join(format_tb(error.__traceback__))
    head = f"Traceback (most recent call last):\n{frames}" if frames else ""
    return f"{head}{type(error).__qualname__}: {error_text(error)}\n"


def _has_bounded_traceback(error: BaseException) -> bool:
    notes = getattr(error, "__notes__", None) or ()
    return (
        _has_bounded_text(error)
        and type(notes) in (list, tuple)
        and all(type(note) is str for note in notes)
    )


def _chained_errors(error: BaseException) -> list[BaseException]:
    """Return an error and the errors that it refers to, each once."""
    found = {id(error): error}
    waiting = [error]
    while waiting and len(found) < MAX_CHAINED_ERRORS:
        current = waiting.pop()
        members = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        for other in (current.__cause__, current.__context__, *members):
            if other is not None and id(other) not in found:
                found[id(other)] = other
                waiting.append(other)
    return list(found.values())
