"""Structured clone in pure Python, for channels in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from pyodide_msgchan._codec.exceptions import error_of, error_parts
from pyodide_msgchan._codec.incoming import date_of, view_of
from pyodide_msgchan._codec.outgoing import (
    MAX_SAFE_INT,
    Path,
    check_leaf,
    format_path,
    milliseconds,
    typed_view,
    walk,
)
from pyodide_msgchan._codec.registry import ATOMS
from pyodide_msgchan.errors import DataCloneError

__all__ = ["clone"]


SCALAR_BYTES: Final = 8
"""The size in bytes that is assumed for a value that is neither text nor a buffer."""


def clone(message: Any, ports: Mapping[int, Any]) -> tuple[Any, int]:
    """Return a structured clone of a message, and its approximate size in bytes.

    Args:
        message: the message to clone.
        ports: the transferred ports at the other side, by the id of their wrapper at this side.

    Raises:
        DataCloneError: a value can't be sent; the error has its path.
    """
    size = 0

    def leaf(value: Any, path: Path) -> Any:
        nonlocal size
        size += len(value) if isinstance(value, (str, bytes, bytearray)) else SCALAR_BYTES
        if id(value) in ports:
            return ports[id(value)]
        if isinstance(value, float):
            return int(value) if value.is_integer() and abs(value) <= MAX_SAFE_INT else value
        if isinstance(value, bytearray):
            return bytes(value)
        if type(value) in ATOMS:
            return value
        if isinstance(value, BaseException):
            return error_of(*error_parts(value))
        value = check_leaf(value, path)
        if isinstance(value, dt.datetime):
            try:
                return date_of(milliseconds(value))
            except OverflowError:  # a browser would deliver a JsProxy
                raise DataCloneError("outside of datetime in UTC", format_path(path)) from None
        view = typed_view(value)
        if view is None:
            return leaf(value, path)
        size += view.nbytes
        return (
            view.tobytes()
            if view.format == "B"
            else view_of(bytearray(view.tobytes()), view.format)
        )

    data = walk(message, leaf)
    return data, size
