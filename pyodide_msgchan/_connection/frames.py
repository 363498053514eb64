"""`open_frame` and `open_window`: open a page, connect to it, and remove it at the end."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
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


_NO_OPENER_FEATURE: Final = re.compile(
    r"(?i)(?<![^\s,])no(?:opener|referrer)(?![^\s,=])(?:\s*=\s*(\w+))?"
)
"""A feature that hides the opener from the new window, and the value that it is set to."""


_DISABLED: Final = frozenset({"0", "no", "false"})
"""Values that turn a feature off."""


_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})


@asynccontextmanager
async def open_frame(
    src: str,
    *,
    parent: Any = None,
    origin: Origins | None = None,
    sandbox: str | None = None,
    attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    **options: Any,
) -> AsyncGenerator[Connection]:
    """Add a frame to this page and connect to it, as an asynchronous context manager.

    At the end of the block the connection is closed and the frame is removed, also if the block
    was cancelled or connecting failed. See the HTML standard, 4.8.5 The iframe element.

    Args:
        src: the address of a page that calls `accept` or `listen`.
        parent: the element to append the frame to, by default the document's body.
        origin: as for `connect`; by default the origin of `src`.
        sandbox: the frame's ``sandbox`` attribute, as ``"allow-scripts"``. Without
            ``allow-same-origin`` the page gets an opaque origin: pass ``origin=OPAQUE_ORIGIN``.
        attributes: further attributes of the element, set before it loads.
        options: `name`, `timeout` (seconds), `heartbeat` (seconds), `stack_switching` and `lane`,
            as for `connect`.

    Raises:
        ValueError: the page is sandboxed and `origin` is missing.
        HandshakeError and others: as for `connect`.
    """
    windows = bridge().windows
    if origin is None:
        if sandbox is not None and "allow-same-origin" not in sandbox.split():
            raise ValueError(
                "a sandboxed frame has an opaque origin: pass origin=OPAQUE_ORIGIN to allow that"
            )
        origin = str(windows.originOf(src))
    names_and_values = [text for pair in attributes.items() for text in pair]
    frame = windows.makeFrame(src, parent, sandbox, to_js_list(names_and_values))
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
) -> AsyncGenerator[Connection]:
    """Open a window and connect to it, as an asynchronous context manager.

    Browsers allow this only in response to a click or a key press. At the end of the block the
    connection and the window are closed, also if the block was cancelled or connecting failed.
    See the HTML standard, 7.2.2.1 Opening and closing windows.

    Args:
        url: the address of a page that calls `accept` or `listen`.
        origin: as for `connect`; by default the origin of `url`.
        target: the name of the window, as for ``window.open``.
        features: as for ``window.open``. ``noopener`` and ``noreferrer`` are refused, since this
            page could not reach the window.
        options: `name`, `timeout` (seconds), `heartbeat` (seconds), `stack_switching` and `lane`,
            as for `connect`.

    Raises:
        HandshakeError: the browser blocked the window (code "blocked"); `features` contains
            ``noopener`` or ``noreferrer`` (code "no-opener"); or as for `connect`.
        TypeError, ValueError, NotInBrowserError: as for `connect`.
    """
    if any(value not in _DISABLED for value in _NO_OPENER_FEATURE.findall(features)):
        raise HandshakeError(
            "noopener and noreferrer make a window that nobody can connect to", "no-opener"
        )
    windows = bridge().windows
    opening = windows.openWindow(url, target, features)
    try:
        window = await opening.opened
        if window is None:
            raise HandshakeError(
                "the browser blocked the window: open it in response to a click or a key press",
                "blocked",
            )
        if origin is None:
            origin = str(windows.originOf(url))
        async with connect(window, origin=origin, **options) as connection:
            yield connection
    finally:
        opening.close()
