"""Structured clone on the way in: js/encode.mjs writes these names into its streams."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pyodide_msgchan._codec.outgoing import EPOCH, MILLISECOND

__all__ = ["date_of", "view_of"]


# What comes back: js/encode.mjs writes these names into its streams ------------------------------


def bytes_of(large: Any) -> bytes:
    """Copy a JavaScript buffer in, once."""
    data: bytes = large.to_bytes()
    return data


def view_of(data: Any, code: str) -> memoryview:
    """Return a typed array as a writable view of that format, on a copy of its own."""
    if not isinstance(data, bytearray):
        copied = bytearray(data.byteLength)
        data.assign_to(copied)
        data = copied
    return memoryview(data).cast(code)  # type: ignore[call-overload, no-any-return]


def date_of(number: int) -> dt.datetime:
    """Return JavaScript's number for a moment as that moment."""
    return EPOCH + number * MILLISECOND
