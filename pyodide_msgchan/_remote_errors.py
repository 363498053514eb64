"""Errors on the wire: an exception becomes a "throw", and a "throw" an exception again."""

from __future__ import annotations

import builtins
from traceback import format_exception
from typing import Any, Final

from ._browser import js_error_of
from ._clone import error_of
from ._comlink import Wire, thrown
from .errors import MessageError, MsgChanError, RemoteError

__all__ = ["error_from", "register_error", "unreadable_request", "wire_of_error", "without_details"]

NOTES: Final = 20
"""Notes of an exception that travel."""

_NEVER: Final = (StopIteration, StopAsyncIteration, TimeoutError, MsgChanError)
"""Raised in an await these would mean something else: the end of a loop, a timeout over here."""

_registered: dict[str, type[Exception]] = {}
_made: dict[type[Exception], type[RemoteError]] = {}


def register_error[E: type[Exception]](kind: E) -> E:
    """Let a class of yours be rebuilt when its instances come from afar; usable as a decorator.

    Both ends register the same class: it is known by its module and name. What arrives is an
    instance of it and of `RemoteError`, with args and public fields; its ``__init__`` is not run.

    Raises:
        TypeError: it is no exception class, or one of those that are never rebuilt: StopIteration,
            StopAsyncIteration, TimeoutError and this package's own.
    """
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise TypeError(f"only classes of exceptions can be registered, not {kind!r}")
    if issubclass(kind, _NEVER):
        raise TypeError(f"{kind.__name__} would mean something else on the other side")
    _registered[_name(kind)] = kind
    return kind


def wire_of_error(error: BaseException, *, traceback: bool) -> Wire:
    """Give the Wire of an exception; never raises, since a caller waits for it.

    Args:
        error: what was raised.
        traceback: whether the other side may see where.
    """
    try:
        return _wire_of(error, traceback=traceback)
    except BaseException:  # noqa: BLE001 - a class of the user's may raise whatever it is asked for
        return thrown(type(error).__name__, _text(error))


def _wire_of(error: BaseException, *, traceback: bool) -> Wire:
    if isinstance(error, RemoteError):
        wire = thrown(error.name, error.message, error.stack if traceback else "")
        kind = error.builtin
        return {**wire, "python": _details(error, kind)} if kind in _made else wire
    native = js_error_of(error)
    if native is not None:
        stack = str(native.stack or "") if traceback else ""
        return thrown(str(native.name), str(native.message), stack)
    stack = "".join(format_exception(error)) if traceback else ""
    wire = thrown(type(error).__name__, _text(error), stack)
    return {**wire, "python": _details(error, type(error))}


def _details(error: BaseException, kind: type[BaseException]) -> dict[str, Any]:
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return {
        "type": _name(kind),
        "args": list(_native(kind).__reduce__(error)[1]),  # more than `args`, for an OSError
        "fields": {key: value for key, value in vars(error).items() if not key.startswith("_")},
        "notes": notes[:NOTES],
    }


def unreadable_request(error: MessageError) -> Wire:
    """Return the Wire that answers a request which can't be read: a MessageError at its caller."""
    return {**thrown("MessageError", str(error)), "unreadable": True}


def without_details(wire: Wire) -> Wire:
    """Give the Wire of an error whose args or fields can't be sent."""
    return {key: part for key, part in wire.items() if key != "python"}


def error_from(wire: Wire) -> Exception:
    """Give the exception that a "throw" stands for; never raises."""
    thing = wire.get("value")
    if type(thing) is not dict or thing.get("isError") is not True:
        return _not_an_error(thing.get("value") if type(thing) is dict else thing)
    value = thing.get("value")
    parts = value if type(value) is dict else {}
    name, message, stack = (_string(parts.get(key)) for key in ("name", "message", "stack"))
    if wire.get("unreadable") is True:
        return MessageError(f"on the other side {message}")
    details = wire.get("python")
    if type(details) is not dict:
        return error_of(name, message, stack)
    error = _rebuilt(details, name, message, stack)
    notes = details.get("notes")
    for note in notes[:NOTES] if type(notes) is list else ():
        error.add_note(_string(note))
    if stack:
        error.add_note(f"Remote traceback:\n{stack.rstrip()}")
    return error


def _rebuilt(details: dict[str, Any], name: str, message: str, stack: str) -> RemoteError:
    kind = _kind_named(_string(details.get("type")))
    if kind is not None:
        args = details.get("args")
        fields = details.get("fields")
        try:
            return _made_of(
                kind,
                tuple(args) if type(args) is list else (),
                fields if type(fields) is dict else {},
                (name, message, stack),
            )
        except Exception:  # noqa: BLE001, S110 - args that the class does not take: a plain one then
            pass
    return RemoteError(name, message, stack)


def _made_of(
    kind: type[Exception], args: tuple[Any, ...], fields: dict[Any, Any], parts: tuple[str, ...]
) -> RemoteError:
    """Make an error of a class without running anybody's Python `__init__`."""
    if kind not in _made:
        _made[kind] = type(
            f"Remote{kind.__name__}",
            (RemoteError, kind),
            {"builtin": kind, "__module__": __name__, "__reduce__": _reduce},
        )
    made = _made[kind]
    native = _native(kind)
    error: RemoteError = native.__new__(made, *args)
    native.__init__(error, *args)
    for key, value in fields.items():
        if type(key) is str and key.isidentifier() and not key.startswith("_"):
            vars(error)[key] = value
    error.name, error.message, error.stack = parts
    return error


def _native(kind: type[BaseException]) -> Any:
    """Give the built-in class that an exception class comes from."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _reduce(error: RemoteError) -> tuple[Any, ...]:
    """Copy as the plain error: the class was made at run time."""
    return RemoteError, (error.name, error.message, error.stack)


def _kind_named(name: str) -> type[Exception] | None:
    if name in _registered:
        return _registered[name]
    module, _, rest = name.partition(":")
    kind = getattr(builtins, rest, None) if module == "builtins" else None
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, _NEVER):
        return None
    return kind


def _not_an_error(value: Any) -> RemoteError:
    """JavaScript may throw anything."""
    error = RemoteError("thrown", _text(value))
    error.value = value
    return error


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _text(value: object) -> str:
    try:
        return str(value)
    except BaseException:  # noqa: BLE001 - somebody's own __str__
        return f"<{type(value).__name__} whose text can't be had>"


def _string(value: Any) -> str:
    return value if type(value) is str else "" if value is None else _text(value)
