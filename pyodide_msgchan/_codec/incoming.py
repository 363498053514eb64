"""The functions that decode what a pickle stream of js/src/encode.mjs can't express directly.

js/src/encode.mjs writes the names of these functions into its streams, so rename them there too.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from pyodide_msgchan._codec.outgoing import EPOCH, MILLISECOND

__all__ = ["date_of", "view_of"]


def bytes_of(buffer: Any) -> bytes:
    """Return a copy of a JavaScript buffer."""
    data: bytes = buffer.to_bytes()
    return data


def view_of(data: Any, code: str) -> memoryview:
    """Return a typed array as a writable memoryview of a format, on a copy of its memory."""
    if not isinstance(data, bytearray):
        copied = bytearray(data.byteLength)
        data.assign_to(copied)
        data = copied
    return memoryview(data).cast(code)  # type: ignore[call-overload, no-any-return]


def date_of(timestamp: int) -> dt.datetime:
    """Return the datetime of a JavaScript timestamp, in milliseconds."""
    return EPOCH + timestamp * MILLISECOND
