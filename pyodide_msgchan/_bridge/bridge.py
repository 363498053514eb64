"""`Bridge`: loads the JavaScript part, binds its functions, and shares memory with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from pyodide_msgchan.errors import NotInBrowserError

__all__ = ["MAX_DEPTH", "SHARED_BYTES", "SPARE_THRESHOLD", "Bridge", "bridge", "in_browser"]


MAX_DEPTH: Final = 500
"""Maximum depth of nested containers: the least that structured clone supports in any browser."""


SHARED_BYTES: Final = 1 << 16
"""Bytes of shared memory for encoded messages in each direction; larger ones are copied separately.

Each direction has its own half, because a finalizer may post while an incoming message is read."""


SPARE_THRESHOLD: Final = 1 << 18
"""Bytes from which a buffer may reuse memory that js/src/spare.mjs keeps."""


MAX_FLAGS: Final = 4096
"""Ports with a flag in the shared memory; further ports call JavaScript whenever they wait."""


_EXPORT: Final = "export{createBridge};"
"""The last statement of js/bridge.mjs, the only one that can't be evaluated."""


def in_browser() -> bool:
    """Return True if this Python runs on JavaScript."""
    return sys.platform == "emscripten" and "pyodide_js" in sys.modules


class Bridge:
    """The functions of js/src/bridge.mjs, bound once.

    Attributes:
        memory: shared memory: incoming encoded messages, outgoing ones, and a flag for each port.
        outgoing: the part of it for outgoing messages.
    """

    def __init__(self) -> None:
        self.memory = bytearray(2 * SHARED_BYTES + MAX_FLAGS)
        self.outgoing = memoryview(self.memory)[SHARED_BYTES : 2 * SHARED_BYTES]
        native = _create_native(self.memory)
        self.channel: Callable[[bool], int] = native.channel
        self.adopt: Callable[[Any, bool, int], int] = native.adopt
        self.endpoint: Callable[[Any, bool], int] = native.endpoint
        self.listen_window: Callable[..., int] = native.window
        self.native: Callable[[int], Any] = native.native
        self.flag: Callable[[int], int] = native.flag
        self.tag: Callable[[Any], str] = native.tag
        self.count: Callable[[int], None] = native.count
        self.sent: Callable[[int], int] = native.sent
        self.sent_bytes: Callable[[int], int] = native.sentBytes
        self.answers: Callable[[int], int] = native.answers
        self.pass_on: Callable[[int], None] = native.passOn
        self.received: Callable[[int], int] = native.received
        self.post: Callable[[int, Any], None] = native.post
        self.send: Callable[..., str | None] = native.send
        self.pack: Callable[..., None] = native.pack
        self.is_packed: Callable[[Any], bool] = native.isPacked
        self.send_packed: Callable[..., str | None] = native.sendPacked
        self.send_to: Callable[..., str | None] = native.sendTo
        self.clonable: Callable[[Any], str] = native.clonable
        self.poll_or_arm: Callable[[int, int, int], Any] = native.pollOrArm
        self.listen: Callable[[int], None] = native.listen
        self.disarm: Callable[[int], None] = native.disarm
        self.start: Callable[[int], None] = native.start
        self.queued: Callable[[int], int] = native.queued
        self.size: Callable[[int], int] = native.size
        self.event: Callable[[int, int], Any] = native.event
        self.spare: Callable[[int], Any] = native.spare
        self.drop: Callable[[int, bool, bool], None] = native.drop
        self.windows: Any = native.windows
        self.begin_calls: Callable[[int, str], None] = native.calls.begin
        self.assign_call_number: Callable[[str, int], None] = native.calls.assignNumber
        self.open_calls: Callable[[int], None] = native.calls.open
        self.serve_calls: Callable[[int, bool], None] = native.calls.serve
        self.call: Callable[..., None] = native.calls.call
        self.answer: Callable[[int, str, Any], None] = native.calls.answer


@cache
def bridge() -> Bridge:
    """Return the bridge; the first call loads the JavaScript part.

    Raises:
        NotInBrowserError: this Python has no JavaScript.
        RuntimeError: the page's Content-Security-Policy forbids evaluating the JavaScript part, and
            the page has not registered it; the text contains the line that registers it.
    """
    if not in_browser():
        raise NotInBrowserError
    return Bridge()


def _create_native(memory: bytearray) -> Any:
    """Return the JavaScript object of the bridge, to which Python's callbacks were passed."""
    import pyodide_js
    from pyodide.ffi import create_proxy

    from pyodide_msgchan._bridge.callbacks import (
        _is_running,
        _on_batch,
        _on_call,
        _on_results,
        _on_scalar,
        _on_step,
        _on_stray,
    )

    return _load_script()(
        create_proxy(_on_scalar),
        create_proxy(_on_batch),
        create_proxy(_on_step),
        create_proxy(memory),
        SHARED_BYTES,
        MAX_DEPTH,
        getattr(pyodide_js, "_module", None),
        create_proxy(_on_call),
        create_proxy(_on_results),
        create_proxy(_is_running),
        create_proxy(_on_stray),
    )


def _load_script() -> Any:
    """Return the function `createBridge` of js/bridge.mjs, registered by the page or evaluated."""
    from pyodide.code import run_js
    from pyodide.ffi import JsException

    try:
        from pyodide_msgchan_bridge import createBridge  # type: ignore[import-not-found]
    except ImportError:
        pass
    else:
        return createBridge
    try:
        return run_js(script())
    except JsException as error:
        if error.name != "EvalError":
            raise
        raise RuntimeError(
            "this page's Content-Security-Policy forbids 'unsafe-eval'; "
            "before the import add to the page: "
            'pyodide.registerJsModule("pyodide_msgchan_bridge", await import("./bridge.mjs")) '
            "(the package's folder js holds it)"
        ) from None


def script() -> str:
    """Return the text of js/bridge.mjs as an expression, whose value is `createBridge`.

    Raises:
        RuntimeError: this is a checkout in which ./build.sh has not made that file.
    """
    loader: Any = globals()["__loader__"]  # reads from a folder and from an archive
    folder = __file__.rsplit("/", 2)[0]
    try:
        text = loader.get_data(f"{folder}/js/bridge.mjs").decode()
    except OSError:
        raise RuntimeError("pyodide_msgchan/js/bridge.mjs is missing: run ./build.sh") from None
    statements = text.rstrip().removesuffix(_EXPORT)
    return f'(() => {{ "use strict"; {statements} return createBridge; }})()'
