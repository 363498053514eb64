"""Exceptions on the wire: each becomes an Error or a "throw", and an exception again."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Final

from pyodide_msgchan._bridge.ffi import js_error_of
from pyodide_msgchan._codec.registry import ATOMS
from pyodide_msgchan._codec.wire import Wire, thrown
from pyodide_msgchan._printing import error_text, format_error, short_repr
from pyodide_msgchan.errors import MessageError, MsgChanError, PortStateError, RemoteError

__all__ = [
    "error_from",
    "error_of",
    "error_parts",
    "post_thrown",
    "register_error",
    "traceback_of",
    "unreadable_request",
    "wire_of_error",
]


_ERROR_NAMES: Final = (
    (TypeError, "TypeError"), (UnicodeError, "URIError"), (ValueError, "RangeError"),
    (OverflowError, "RangeError"),
    (IndexError, "RangeError"), (SyntaxError, "SyntaxError"), (NameError, "ReferenceError"),
)  # fmt: skip


def error_parts(error: BaseException) -> tuple[str, str, str]:
    """Return name, message and stack of the JavaScript error that is nearest to an exception."""
    if isinstance(error, RemoteError):
        return str(error.name), str(error.message), str(error.stack)
    name = next((name for kind, name in _ERROR_NAMES if isinstance(error, kind)), "Error")
    return name, error_text(error), traceback_of(error)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text; empty if one of its classes prevents that."""
    try:
        return format_error(error)
    except BaseException:  # noqa: BLE001 - an error in its chain is not what `traceback` expects
        return ""


_REMOTE_CLASSES: dict[str, type[RemoteError]] = {}


def error_of(name: str, message: str, stack: str) -> RemoteError:
    """Return an error that came from afar as an exception."""
    builtin = {
        "TypeError": TypeError, "RangeError": ValueError, "URIError": ValueError,
        "SyntaxError": SyntaxError, "ReferenceError": NameError,
    }.get(name)  # fmt: skip
    if builtin is None:
        return RemoteError(name, message, stack)
    if name not in _REMOTE_CLASSES:
        made = type(
            f"Remote{builtin.__name__}",
            (RemoteError, builtin),
            {"builtin": builtin, "__module__": __name__},
        )
        _REMOTE_CLASSES[name] = made
    error = _REMOTE_CLASSES[name](name, message, stack)
    if isinstance(error, SyntaxError):
        error.msg = message  # what a traceback shows of it, in place of its text
    return error


NOTES: Final = 20
"""Notes of an exception that travel."""


_NEVER: Final = (StopIteration, StopAsyncIteration, TimeoutError, MsgChanError)
"""Raised in an await these would mean something else: the end of a loop, a timeout over here."""


_OWN: Final = frozenset(dir(RemoteError))
"""Attributes that every error from outside has itself; no field of the other side hides one."""


_MISSING: Final = object()


LONG_SOURCE: Final = 1_000_000
"""The largest line and column of a SyntaxError that is rebuilt with its place."""


_registered: dict[str, type[Exception]] = {}


_made: dict[type[Exception], type[RemoteError]] = {}


def register_error[E: type[Exception]](kind: E) -> E:
    """Let a class of yours be rebuilt when its instances come from afar; usable as a decorator.

    Both ends register the same class: it is known by its module and name. What arrives is an
    instance of it and of `RemoteError`, with args and public fields; its ``__init__`` is not run.
    A field stays behind if its name is private, belongs to `RemoteError` (``name``, ``message``,
    ``stack``, ``value``, ``builtin``, ``args`` …) or to a method or property of the class.

    Raises:
        TypeError: it is no exception class, or one of those that are never rebuilt: StopIteration,
            StopAsyncIteration, TimeoutError and this package's own.
    """
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise TypeError(f"only classes of exceptions can be registered, not {short_repr(kind)}")
    if issubclass(kind, _NEVER):
        raise TypeError(f"{kind.__name__} would mean something else on the other side")
    _registered[_name(kind)] = kind
    return kind


def wire_of_error(error: BaseException, *, traceback: bool) -> Wire:
    """Return the Wire of an exception; never raises, since a caller waits for it.

    Args:
        error: what was raised.
        traceback: whether the other side may see where.
    """
    if isinstance(error, RemoteError):
        name, message, stack = (_part(error, key) for key in ("name", "message", "stack"))
        wire = thrown(name, message, stack if traceback else "")
        kind = type(error).builtin
        if kind is None or type(error) is not _made.get(kind):
            return wire
        return _with_details(wire, error, kind)
    native = js_error_of(error)
    if native is not None:
        name, message, stack = (_part(native, key) for key in ("name", "message", "stack"))
        return thrown(name, message, stack if traceback else "")
    wire = thrown(type(error).__name__, error_text(error), traceback_of(error) if traceback else "")
    return _with_details(wire, error, type(error))


def _with_details(wire: Wire, error: BaseException, kind: type[BaseException]) -> Wire:
    try:
        return {**wire, "python": _details(error, kind)}
    except BaseException:  # noqa: BLE001 - the class has its own idea of what an attribute is
        return wire


def _details(error: BaseException, kind: type[BaseException]) -> dict[str, Any]:
    notes = vars(error).get("__notes__")
    received = _note_of(_part(error, "stack")) if isinstance(error, RemoteError) else None
    return {
        "type": _name(kind),
        "args": list(_native(kind).__reduce__(error)[1]),  # more than `args`, for an OSError
        "fields": {key: value for key, value in vars(error).items() if _is_free(kind, key)},
        "notes": [
            note
            for note in (notes[:NOTES] if isinstance(notes, list) else ())
            if isinstance(note, str) and note != received  # the stack travels by itself, if it may
        ],
    }


def unreadable_request(error: MessageError) -> Wire:
    """Return the Wire that answers a request which can't be read: a MessageError at its caller."""
    return {**thrown("MessageError", error_text(error)), "unreadable": True}


def _is_free(kind: type[BaseException], key: object) -> bool:
    """Return True if a field of that name hides no attribute of an error from outside.

    What a class of the user's sets as a plain default is there to be replaced.
    """
    if type(key) is not str or not key.isidentifier() or key.startswith("_") or key in _OWN:
        return False
    default = next((vars(base)[key] for base in kind.__mro__ if key in vars(base)), _MISSING)
    return not callable(default) and not hasattr(type(default), "__get__")


def post_thrown(wire: Wire, post: Callable[[Wire], None]) -> None:
    """Post the Wire of an error, without those of its args and fields that can't be sent.

    Raises:
        PortStateError: the port ended.
    """
    for form in (_whole, _with_atoms, _without_details):
        try:
            post(form(wire))
        except PortStateError:
            raise
        except BaseException:  # noqa: BLE001, S112 - a value in it, from whomever it came
            continue
        return


def _whole(wire: Wire) -> Wire:
    return wire


def _with_atoms(wire: Wire) -> Wire:
    """Return the Wire of an error with those args and fields alone that are sure to be sendable."""
    details = wire.get("python")
    if details is None:
        return wire
    args, fields = details["args"], details["fields"]
    sendable = {
        "args": args if all(type(arg) in ATOMS for arg in args) else [],
        "fields": {key: value for key, value in fields.items() if type(value) in ATOMS},
    }
    return {**wire, "python": {**details, **sendable}}


def _without_details(wire: Wire) -> Wire:
    return {key: part for key, part in wire.items() if key != "python"}


def error_from(wire: Wire) -> Exception:
    """Return the exception that a "throw" stands for; never raises."""
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
    given = details.get("notes")
    notes = [_string(note) for note in given[:NOTES]] if type(given) is list else []
    if stack:
        notes.append(_note_of(stack))
    if notes:
        vars(error)["__notes__"] = notes  # not by add_note, which may be the class's own
    return error


def _note_of(stack: str) -> str:
    return f"Remote traceback:\n{stack.rstrip()}"


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
    if issubclass(kind, SyntaxError) and not _is_syntax_args(args):
        args = (parts[1],)
    error: RemoteError = native.__new__(made, *args)
    native.__init__(error, *args)
    known = {key: value for key, value in fields.items() if _is_free(kind, key)}
    # not by setattr, which is the class's own
    vars(error).update(known, **dict(zip(("name", "message", "stack"), parts, strict=True)))
    return error


def _is_syntax_args(args: tuple[Any, ...]) -> bool:
    """Return True if printing a SyntaxError that has these args works, and costs what it shows.

    The traceback module takes the types for granted, and writes as many carets as it is told to.
    """
    message, *more = args or ("",)
    path = more[0] if len(more) == 1 else ()
    if more and (type(path) not in (list, tuple) or len(path) not in (4, 6)):
        return False
    texts, numbers = (message, *path[0:4:3]), (*path[1:3], *path[4:])
    return all(text is None or type(text) is str for text in texts) and all(
        number is None or (type(number) is int and -1 <= number <= LONG_SOURCE)
        for number in numbers
    )


def _native(kind: type[BaseException]) -> Any:
    """Return the built-in class that an exception class comes from."""
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
    return value if type(value) is str else short_repr(value)


def _part(error: Any, name: str) -> str:
    """Return one of the texts of an error, whatever stands in its place."""
    try:
        return _string(getattr(error, name, None))
    except BaseException:  # noqa: BLE001 - a property of a class, or a getter of JavaScript's
        return ""


def _string(value: Any) -> str:
    return value if type(value) is str else "" if value is None else _text(value)
