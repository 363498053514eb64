"""Structured clone without JavaScript: what a message is on the other side of a memory channel."""

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


# The memory channel: the same table without JavaScript -------------------------------------------


SCALAR_BYTES: Final = 8
"""Bytes; the size of what is neither text nor buffer."""


def clone(message: Any, ports: Mapping[int, Any]) -> tuple[Any, int]:
    """Give what a message is on the other side, made by Python alone, and its size in bytes, about.

    Raises:
        DataCloneError: with the path of what can't be sent.
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
            except OverflowError:  # as JavaScript's own it would come back, which memory has not
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
