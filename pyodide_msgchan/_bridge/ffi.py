"""JavaScript values in Python: type checks, origins, and copies into JavaScript's memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from pyodide_msgchan._bridge.bridge import SPARE_THRESHOLD, bridge, in_browser

__all__ = [
    "has_objects",
    "is_js_big_int",
    "is_js_proxy",
    "is_null",
    "js_error_of",
    "own_origin",
    "runtime",
    "to_js_bytes",
    "to_js_list",
    "url_origin",
]


def runtime() -> str:
    """Return the name and version of the Python runtime, which the peer of a connection is told."""
    import pyodide

    return f"pyodide {pyodide.__version__}"


def is_js_proxy(value: object) -> bool:
    """Return True if a value is a JavaScript object."""
    return isinstance(value, _proxies())


@cache
def _proxies() -> tuple[type, ...]:
    if not in_browser():
        return ()
    from pyodide.ffi import JsProxy

    return (JsProxy,)


def has_objects(side: Sequence[Any]) -> bool:
    """Return True if the out-of-band items of a message include anything but ports."""
    tag = bridge().tag
    return any(tag(item) != "MessagePort" for item in side)


def is_null(value: object) -> bool:
    """Return True if a value is JavaScript's null, which Pyodide distinguishes from None."""
    return type(value).__name__ == "JsNull" and in_browser()


def is_js_big_int(value: object) -> bool:
    """Return True for Pyodide's JsBigInt, an int that is always a BigInt in JavaScript."""
    return type(value).__name__ == "JsBigInt" and in_browser()


def own_origin() -> str:
    """Return the origin of this page or worker; "null" if it is opaque, empty off the browser."""
    if not in_browser():
        return ""
    import js

    return str(js.self.origin)


@lru_cache(maxsize=256)
def url_origin(address: str) -> str | None:
    """Return the origin of a URL as the browser parses it, "null" if opaque; None if malformed.

    Works only in a browser.
    """
    from js import URL
    from pyodide.ffi import JsException

    try:
        return str(URL.new(address).origin)
    except JsException:
        return None


def js_error_of(error: BaseException) -> Any:
    """Return the JavaScript error behind an exception that came from JavaScript, else None."""
    if not in_browser():
        return None
    from pyodide.ffi import JsException

    # The attribute alone proves nothing: any exception may have one of that name.
    return getattr(error, "js_error", None) if isinstance(error, JsException) else None


def to_js_bytes(data: Any) -> Any:
    """Copy bytes once from Wasm memory into a JavaScript Uint8Array."""
    from pyodide.ffi import to_js

    if len(data) >= SPARE_THRESHOLD and (spare := bridge().spare(len(data))) is not None:
        spare.assign(data)
        return spare
    return to_js(data)


def to_js_list(items: Sequence[Any]) -> Any:
    """Return a JavaScript array of JavaScript objects."""
    from pyodide.ffi import to_js

    return to_js(list(items), depth=1)
