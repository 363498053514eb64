"""How values from outside are written into texts: the bound applies before a text is made.

A value whose parts are shared is small as a message and endless as a text: 20 lists, each of which
holds the one before twice, print as a million items.
"""

from __future__ import annotations

from enum import Enum
from traceback import format_exception, format_tb
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

__all__ = ["error_text", "format_error", "short_repr"]


LENGTH: Final = 80
"""Characters, at most, if nothing else is said."""


ITEMS: Final = 4
"""Of a container, at most."""


LEVELS: Final = 3
"""Of containers within containers, at most."""


CHAIN: Final = 100
"""Errors that one error refers to, at most: as causes, contexts and members of groups."""


BITS: Final = 256
"""Of an integer that is written in digits, at most."""


_SCALARS: Final[tuple[type, ...]] = (type(None), bool, float, complex)


_TEXTS: Final = (str, bytes, bytearray)


_NAMED: Final = (type, FunctionType, BuiltinFunctionType, ModuleType)


_PLAIN_MODULES: Final = frozenset({"datetime", "decimal", "pathlib", "uuid"})
"""Their types hold nothing but numbers and texts."""


_BRACKETS: Final[dict[type, str]] = {
    list: "[]",
    tuple: "()",
    set: "{}",
    dict: "{}",
    frozenset: "{}",
}


def short_repr(value: object, length: int = LENGTH) -> str:
    """Return what a value looks like, made in a time that does not depend on the value."""
    text = _shown(value, LEVELS, length)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _shown(value: Any, levels: int, length: int) -> str:
    kind = type(value)
    if kind in _TEXTS:
        return repr(value[:length])
    if kind is int:
        bits = value.bit_length()
        return repr(value) if bits <= BITS else f"<int of {bits} bits>"
    if kind in _SCALARS or _is_plain(kind):
        return repr(value)
    if isinstance(value, Enum):
        return f"{kind.__qualname__}.{value.name}"
    if kind in _BRACKETS:
        brackets = _BRACKETS[kind]
        return f"{brackets[0]}{_items(value, levels, length)}{brackets[1]}"
    if kind in _NAMED:
        return f"<{kind.__name__} {getattr(value, '__qualname__', value.__name__)[:length]}>"
    if kind is MethodType:
        return f"<method {getattr(value.__func__, '__qualname__', '')[:length]}>"
    return f"<{kind.__qualname__[:length]} object>"


def _is_plain(kind: type) -> bool:
    return str(kind.__module__).partition(".")[0] in _PLAIN_MODULES


def _items(value: Any, levels: int, length: int) -> str:
    if not levels:
        return "…" if value else ""
    parts: list[str] = []
    for item in value:
        if len(parts) == ITEMS:
            parts.append("…")
            break
        part = _shown(item, levels - 1, length)
        if type(value) is dict:
            part += f": {_shown(value[item], levels - 1, length)}"
        parts.append(part)
    return ", ".join(parts) + ("," if type(value) is tuple and len(parts) == 1 else "")


def error_text(error: BaseException) -> str:
    """Return the text of an error, in which values that are not text are shown in short.

    Only a class of the user's that has a `__str__` of its own decides by itself.
    """
    if _is_text(error):
        try:
            return str(error)
        except BaseException:  # noqa: BLE001 - somebody's own __str__
            return f"<{type(error).__name__} whose text can't be had>"
    if len(error.args) == 1:
        return _arg_text(error.args[0])
    shown = [repr(arg) if type(arg) is str else _arg_text(arg) for arg in error.args]
    return f"({', '.join(shown)})"


def _arg_text(arg: object) -> str:
    if type(arg) is str:
        return arg
    if isinstance(arg, BaseException) and _is_text(arg):
        return error_text(arg)
    return short_repr(arg)


def _is_text(error: BaseException) -> bool:
    """Return True if making the text of an error costs no more than its parts are long."""
    if isinstance(error, BaseExceptionGroup):
        return True  # it says how many there are
    if isinstance(error, OSError) and not (_is_flat(error.filename) and _is_flat(error.filename2)):
        return False
    own = next(kind for kind in type(error).__mro__ if "__str__" in kind.__dict__)
    return own.__module__ != "builtins" or all(map(_is_flat, error.args))


def _is_flat(arg: Any) -> bool:
    kind = type(arg)
    if kind is int:
        return arg.bit_length() <= BITS  # type: ignore[no-any-return]
    if kind is tuple:  # as a SyntaxError has
        return len(arg) <= ITEMS * 2 and not any(type(part) is tuple for part in arg) and all(
            map(_is_flat, arg)
        )  # fmt: skip
    return kind in _SCALARS or kind in _TEXTS or _is_plain(kind)


def format_error(error: BaseException) -> str:
    """Return the traceback of an error as Python prints it; a plainer one if that has no bound."""
    if all(map(_prints_in_bounds, _chain(error))):
        return "".join(format_exception(error))
    where = "".join(format_tb(error.__traceback__))
    head = f"Traceback (most recent call last):\n{where}" if where else ""
    return f"{head}{type(error).__qualname__}: {error_text(error)}\n"


def _prints_in_bounds(error: BaseException) -> bool:
    notes = getattr(error, "__notes__", None) or ()
    return (
        _is_text(error)
        and type(notes) in (list, tuple)
        and all(type(note) is str for note in notes)
    )


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those it refers to, each once."""
    found = {id(error): error}
    waiting = [error]
    while waiting and len(found) < CHAIN:
        one = waiting.pop()
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        for other in (one.__cause__, one.__context__, *members):
            if other is not None and id(other) not in found:
                found[id(other)] = other
                waiting.append(other)
    return list(found.values())
