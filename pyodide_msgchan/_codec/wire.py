"""The wire form of values and errors in remote calls."""

from __future__ import annotations

from typing import Any

__all__ = ["Wire", "raw", "thrown"]

type Wire = dict[str, Any]


def raw(value: Any) -> Wire:
    """Return the wire form of a value that structured clone carries."""
    return {"type": "RAW", "value": value}


def thrown(name: str, message: str, stack: str = "") -> Wire:
    """Return the wire form of an error."""
    error = {"name": name, "message": message, "stack": stack}
    return {"type": "HANDLER", "name": "throw", "value": {"isError": True, "value": error}}
