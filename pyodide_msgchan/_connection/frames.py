"""Frames and windows that a page opens, connects to and takes away again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import to_js_list
from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._connection.opening import connect
from pyodide_msgchan._connection.options import Origins
from pyodide_msgchan.errors import HandshakeError

__all__ = ["open_frame", "open_window"]


_OUT_OF_REACH: Final = re.compile(
    r"(?i)(?<![^\s,])no(?:opener|referrer)(?![^\s,=])(?:\s*=\s*(\w+))?"
)
"""A feature by which the new window does not know its opener, and what it is set to."""


_OFF: Final = frozenset({"0", "no", "false"})


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@asynccontextmanager
async def open_frame(
    src: str,
    *,
    parent: Any = None,
    origin: Origins | None = None,
    sandbox: str | None = None,
    attributes: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> AsyncIterator[Connection]:
    """Put a frame into this page and connect to it, as an async context manager.

    On the way out the connection is closed and the frame removed.

    Args:
        src: address of the page that calls `accept` or `listen`.
        parent: the element to append the frame to, the document's body if it is not given.
        origin: as for `connect`; the origin of `src` if it is not given.
        sandbox: the frame's ``sandbox`` attribute, as ``"allow-scripts"``. Without
            ``allow-same-origin`` in it the page's origin is opaque: say so by
            ``origin=OPAQUE_ORIGIN``.
        attributes: further attributes of the element, set before it loads.
        options: name, timeout, heartbeat, stack_switching and lane, as for `connect`.

    Raises:
        ValueError: a sandboxed page's origin was not given.
        HandshakeError and others: as `connect`; the frame is removed then too.
    """
    windows = bridge().windows
    if origin is None:
        if sandbox is not None and "allow-same-origin" not in sandbox.split():
            raise ValueError(
                "a sandboxed frame has an opaque origin: pass origin=OPAQUE_ORIGIN to allow that"
            )
        origin = str(windows.originOf(src))
    flat = [text for pair in attributes.items() for text in pair]
    frame = windows.makeFrame(src, parent, sandbox, to_js_list(flat))
    try:
        async with connect(frame, origin=origin, **options) as connection:
            yield connection
    finally:
        frame.remove()


@asynccontextmanager
async def open_window(
    url: str,
    *,
    origin: Origins | None = None,
    target: str = "_blank",
    features: str = "",
    **options: Any,
) -> AsyncIterator[Connection]:
    """Open a window and connect to it, as an async context manager.

    Browsers allow that only in answer to a click or a key. On the way out the connection and the
    window are closed.

    Args:
        url: address of the page that calls `accept` or `listen`.
        origin: as for `connect`; the origin of `url` if it is not given.
        target: name of the window (``window.open``).
        features: as for ``window.open``; not ``noopener`` or ``noreferrer``, which would make it
            unreachable.
        options: name, timeout, heartbeat, stack_switching and lane, as for `connect`.

    Raises:
        HandshakeError: the browser blocked the window (``code`` "blocked"), `features` would make
            it unreachable ("no-opener"), or as `connect`.
    """
    if any(said not in _OFF for said in _OUT_OF_REACH.findall(features)):
        raise HandshakeError(
            "noopener and noreferrer make a window that nobody can connect to", "no-opener"
        )
    windows = bridge().windows
    opening = windows.openWindow(url, target, features)
    try:
        window = await opening.opened
        if window is None:
            raise HandshakeError(
                "the browser opened no window: do it in answer to a click or a key", "blocked"
            )
        if origin is None:
            origin = str(windows.originOf(url))
        async with connect(window, origin=origin, **options) as connection:
            yield connection
    finally:
        opening.close()
