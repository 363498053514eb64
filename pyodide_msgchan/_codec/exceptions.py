"""Conversion between exceptions and their wire forms."""

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
    """Return name, message and stack of the JavaScript error that corresponds to an exception."""
    if isinstance(error, RemoteError):
        return str(error.name), str(error.message), str(error.stack)
    name = next((name for kind, name in _ERROR_NAMES if isinstance(error, kind)), "Error")
    return name, error_text(error), traceback_of(error)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text; empty if it can't be formatted."""
    try:
        return format_error(error)
    except BaseException:  # noqa: BLE001 - `traceback` fails on some errors in the chain
        return ""


_JS_ERROR_CLASSES: dict[str, type[RemoteError]] = {}


def error_of(name: str, message: str, stack: str) -> RemoteError:
    """Return the exception for a JavaScript Error that was received."""
    builtin = {
        "TypeError": TypeError, "RangeError": ValueError, "URIError": ValueError,
        "SyntaxError": SyntaxError, "ReferenceError": NameError,
    }.get(name)  # fmt: skip
    if builtin is None:
        return RemoteError(name, message, stack)
    if name not in _JS_ERROR_CLASSES:
        _JS_ERROR_CLASSES[name] = type(
            f"Remote{builtin.__name__}",
            (RemoteError, builtin),
            {"builtin": builtin, "__module__": __name__},
        )
    error = _JS_ERROR_CLASSES[name](name, message, stack)
    if isinstance(error, SyntaxError):
        error.msg = message  # Tracebacks of a SyntaxError show `msg` instead of its text.
    return error


MAX_NOTES: Final = 20
"""Notes of an exception that are sent, at most."""


_NEVER_REBUILT: Final = (StopIteration, StopAsyncIteration, TimeoutError, MsgChanError)
"""Classes that are never rebuilt: a local await would take them for its own end or timeout."""


_RESERVED_NAMES: Final = frozenset(dir(RemoteError))
"""Attributes of `RemoteError`, which no field of a received error may replace."""


_MISSING: Final = object()


MAX_SOURCE_POSITION: Final = 1_000_000
"""The largest line and column of a SyntaxError that is rebuilt with its location."""


_registered_classes: dict[str, type[Exception]] = {}


_remote_classes: dict[type[Exception], type[RemoteError]] = {}


def register_error[E: type[Exception]](kind: E) -> E:
    """Register an exception class so that its instances keep their class in remote calls.

    Register the same class on both sides: it is identified by its module and qualified name. The
    other side raises an instance of both the class and `RemoteError`, with the args and the public
    fields of the original, and without calling its ``__init__``. A field is not sent if its name is
    private, belongs to `RemoteError` (``name``, ``message``, ``stack``, ``value``, ``builtin``,
    ``args`` …), or is a method or property of the class. It is usable as a decorator.

    Args:
        kind: the class.

    Returns:
        The class.

    Raises:
        TypeError: `kind` is not an exception class, or one of those that are never rebuilt:
            StopIteration, StopAsyncIteration, TimeoutError and this package's own exceptions.
    """
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise TypeError(f"only classes of exceptions can be registered, not {short_repr(kind)}")
    if issubclass(kind, _NEVER_REBUILT):
        raise TypeError(
            f"{kind.__name__} can't be registered: the other side would take it for an error of "
            "its own; derive the class from another exception"
        )
    _registered_classes[_name(kind)] = kind
    return kind


def wire_of_error(error: BaseException, *, traceback: bool) -> Wire:
    """Return the wire form of an exception. It never raises, since a caller waits for the result.

    Args:
        error: the exception.
        traceback: True if the other side may see the traceback.
    """
    if isinstance(error, RemoteError):
        name, message, stack = (_text_attribute(error, key) for key in ("name", "message", "stack"))
        wire = thrown(name, message, stack if traceback else "")
        kind = type(error).builtin
        if kind is None or type(error) is not _remote_classes.get(kind):
            return wire
        return _with_details(wire, error, kind)
    native = js_error_of(error)
    if native is not None:
        name, message, stack = (
            _text_attribute(native, key) for key in ("name", "message", "stack")
        )
        return thrown(name, message, stack if traceback else "")
    wire = thrown(type(error).__name__, error_text(error), traceback_of(error) if traceback else "")
    return _with_details(wire, error, type(error))


def _with_details(wire: Wire, error: BaseException, kind: type[BaseException]) -> Wire:
    try:
        return {**wire, "python": _details(error, kind)}
    except BaseException:  # noqa: BLE001 - a class can override attribute access, and raise
        return wire


def _details(error: BaseException, kind: type[BaseException]) -> dict[str, Any]:
    notes = vars(error).get("__notes__")
    received = (
        _stack_note(_text_attribute(error, "stack")) if isinstance(error, RemoteError) else None
    )
    return {
        "type": _name(kind),
        # For an OSError this is more than its `args`.
        "args": list(_builtin_base(kind).__reduce__(error)[1]),
        "fields": {key: value for key, value in vars(error).items() if _is_settable(kind, key)},
        "notes": [
            note
            for note in (notes[:MAX_NOTES] if isinstance(notes, list) else ())
            if isinstance(note, str) and note != received  # The stack has a field of its own.
        ],
    }


def unreadable_request(error: MessageError) -> Wire:
    """Return the wire form of the answer to an unreadable request, a MessageError at its caller."""
    return {**thrown("MessageError", error_text(error)), "unreadable": True}


def _is_settable(kind: type[BaseException], key: object) -> bool:
    """Return True if a received field of this name may be set on an error of a class.

    Fields may replace plain default values of the class, but no methods and properties.
    """
    if (
        type(key) is not str
        or not key.isidentifier()
        or key.startswith("_")
        or key in _RESERVED_NAMES
    ):
        return False
    default = next((vars(base)[key] for base in kind.__mro__ if key in vars(base)), _MISSING)
    return not callable(default) and not hasattr(type(default), "__get__")


def post_thrown(wire: Wire, post: Callable[[Wire], None]) -> None:
    """Post the wire form of an error, without those of its args and fields that can't be sent.

    Raises:
        PortStateError: the port is closed or detached.
    """
    for form in (_whole, _with_atoms, _without_details):
        try:
            post(form(wire))
        except PortStateError:
            raise
        except BaseException:  # noqa: BLE001, S112 - encoding a value of the user can raise anything
            continue
        return


def _whole(wire: Wire) -> Wire:
    return wire


def _with_atoms(wire: Wire) -> Wire:
    """Return the wire form of an error with only those args and fields that can always be sent."""
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
    """Return the exception for a received "throw". It never raises."""
    payload = wire.get("value")
    if type(payload) is not dict or payload.get("isError") is not True:
        return _not_an_error(payload.get("value") if type(payload) is dict else payload)
    value = payload.get("value")
    parts = value if type(value) is dict else {}
    name, message, stack = (_as_text(parts.get(key)) for key in ("name", "message", "stack"))
    if wire.get("unreadable") is True:
        return MessageError(f"on the other side {message}")
    details = wire.get("python")
    if type(details) is not dict:
        return error_of(name, message, stack)
    error = _rebuild(details, name, message, stack)
    received = details.get("notes")
    notes = [_as_text(note) for note in received[:MAX_NOTES]] if type(received) is list else []
    if stack:
        notes.append(_stack_note(stack))
    if notes:
        vars(error)["__notes__"] = notes  # A class of the user can override `add_note`.
    return error


def _stack_note(stack: str) -> str:
    return f"Remote traceback:\n{stack.rstrip()}"


def _rebuild(details: dict[str, Any], name: str, message: str, stack: str) -> RemoteError:
    kind = _class_named(_as_text(details.get("type")))
    if kind is not None:
        args = details.get("args")
        fields = details.get("fields")
        try:
            return _instantiate(
                kind,
                tuple(args) if type(args) is list else (),
                fields if type(fields) is dict else {},
                (name, message, stack),
            )
        except Exception:  # noqa: BLE001, S110 - the class does not accept these args
            pass
    return RemoteError(name, message, stack)


def _instantiate(
    kind: type[Exception], args: tuple[Any, ...], fields: dict[Any, Any], parts: tuple[str, ...]
) -> RemoteError:
    """Return an error of a class, made without calling an `__init__` that is written in Python."""
    if kind not in _remote_classes:
        _remote_classes[kind] = type(
            f"Remote{kind.__name__}",
            (RemoteError, kind),
            {"builtin": kind, "__module__": __name__, "__reduce__": _reduce},
        )
    native = _builtin_base(kind)
    if issubclass(kind, SyntaxError) and not _is_syntax_args(args):
        args = (parts[1],)
    error: RemoteError = native.__new__(_remote_classes[kind], *args)
    native.__init__(error, *args)
    allowed = {key: value for key, value in fields.items() if _is_settable(kind, key)}
    # A class of the user can override `__setattr__`.
    vars(error).update(allowed, **dict(zip(("name", "message", "stack"), parts, strict=True)))
    return error


def _is_syntax_args(args: tuple[Any, ...]) -> bool:
    """Return True if a SyntaxError with these args can be printed, at a cost that is bounded.

    The traceback module does not check their types, and prints as many carets as the columns say.
    """
    message, *more = args or ("",)
    path = more[0] if len(more) == 1 else ()
    if more and (type(path) not in (list, tuple) or len(path) not in (4, 6)):
        return False
    texts, numbers = (message, *path[0:4:3]), (*path[1:3], *path[4:])
    return all(text is None or type(text) is str for text in texts) and all(
        number is None or (type(number) is int and -1 <= number <= MAX_SOURCE_POSITION)
        for number in numbers
    )


def _builtin_base(kind: type[BaseException]) -> Any:
    """Return the nearest built-in base of an exception class."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _reduce(error: RemoteError) -> tuple[Any, ...]:
    """Copy and pickle the error as a plain RemoteError, since its class is made at run time."""
    return RemoteError, (error.name, error.message, error.stack)


def _class_named(name: str) -> type[Exception] | None:
    if name in _registered_classes:
        return _registered_classes[name]
    module, _, rest = name.partition(":")
    kind = getattr(builtins, rest, None) if module == "builtins" else None
    if (
        not isinstance(kind, type)
        or not issubclass(kind, Exception)
        or issubclass(kind, _NEVER_REBUILT)
    ):
        return None
    return kind


def _not_an_error(value: Any) -> RemoteError:
    """Return the exception for a thrown value that is no Error."""
    error = RemoteError("thrown", _text(value))
    error.value = value
    return error


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _text(value: object) -> str:
    return value if type(value) is str else short_repr(value)


def _text_attribute(error: Any, name: str) -> str:
    """Return an attribute of an error as text, whatever its type is."""
    try:
        return _as_text(getattr(error, name, None))
    except BaseException:  # noqa: BLE001 - a property or a JavaScript getter can raise anything
        return ""


def _as_text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else _text(value)
