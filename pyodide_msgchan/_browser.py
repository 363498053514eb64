"""The border to JavaScript: the only module that imports `js` or `pyodide`, and only when asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pickle import loads
from typing import Any, Final

from ._types import Caller
from .errors import NotInBrowserError

__all__ = [
    "MAX_DEPTH",
    "SHARED_BYTES",
    "Bridge",
    "bridge",
    "calling",
    "enter",
    "holding",
    "is_js_proxy",
    "is_null",
    "js_error_of",
    "leave",
    "own_origin",
    "runtime",
    "stepping",
    "to_js_bytes",
    "to_js_list",
    "unpack",
]

MAX_DEPTH: Final = 500
"""Containers within containers, at most: the least that structured clone takes in any browser."""

SHARED_BYTES: Final = 1 << 16
"""Size of the memory through which streams cross; larger ones are copied in a call of their own."""

type Arrival = Callable[[list[Any], Any], None]

holding: Final[dict[int, Arrival]] = {}
"""Who is told when something arrives for an id. Being here keeps a port alive: somebody waits."""

calling: Final[dict[int, Caller]] = {}
"""Who takes the calls and answers that come apart from other messages."""

stepping: Final[dict[int, Callable[[], Any]]] = {}
"""What is to run once the arrival for an id is stored: a task's step, or listeners."""


def in_browser() -> bool:
    """Say whether this Python runs on JavaScript at all."""
    return sys.platform == "emscripten" and "pyodide_js" in sys.modules


class Bridge:
    """The functions of js/bridge.mjs, bound once, and the memory that both sides see."""

    def __init__(self) -> None:
        from pyodide.ffi import create_proxy

        self.memory = bytearray(SHARED_BYTES)
        self.window = memoryview(self.memory)
        native = _load()(
            create_proxy(_deliver),
            create_proxy(_step),
            create_proxy(self.memory),
            MAX_DEPTH,
            create_proxy(_asked),
            create_proxy(_answered),
        )
        self.channel: Callable[[bool], int] = native.channel
        self.adopt: Callable[[Any, bool], int] = native.adopt
        self.endpoint: Callable[[Any, bool], int] = native.endpoint
        self.listen_window: Callable[[Any, Any], int] = native.window
        self.native: Callable[[int], Any] = native.native
        self.tag: Callable[[Any], str] = native.tag
        self.count: Callable[[int], None] = native.count
        self.sent: Callable[[int], int] = native.sent
        self.received: Callable[[int], int] = native.received
        self.post: Callable[[int, Any], None] = native.post
        self.send: Callable[..., str | None] = native.send
        self.send_to: Callable[..., str | None] = native.sendTo
        self.clonable: Callable[[Any], str] = native.clonable
        self.want: Callable[[int, int], Any] = native.want
        self.listen: Callable[[int], None] = native.listen
        self.rest: Callable[[int], None] = native.rest
        self.start: Callable[[int], None] = native.start
        self.queued: Callable[[int], int] = native.queued
        self.event: Callable[[int, int], Any] = native.event
        self.drop: Callable[[int, bool], None] = native.drop
        self.windows: Any = native.windows
        self.open_calls: Callable[[int], None] = native.calls.open
        self.call: Callable[..., None] = native.calls.call
        self.answer: Callable[[int, str, Any], None] = native.calls.answer


@cache
def bridge() -> Bridge:
    """Load the JavaScript half, once.

    Raises:
        NotInBrowserError: there is no JavaScript here.
        RuntimeError: the page's Content-Security-Policy forbids evaluating it, and the page has
            not registered it; the text says which line does.
    """
    if not in_browser():
        raise NotInBrowserError
    return Bridge()


def _load() -> Any:
    from pyodide.code import run_js
    from pyodide.ffi import JsException

    try:
        from pyodide_msgchan_bridge import createBridge  # type: ignore[import-not-found]
    except ImportError:
        pass
    else:
        return createBridge
    folder = files(__package__) / "js"
    lines = [
        line.removeprefix("export ")
        for name in ("decode.mjs", "encode.mjs", "windows.mjs", "calls.mjs", "bridge.mjs")
        for line in (folder / name).read_text("utf-8").splitlines()
        if not line.startswith("import ")
    ]
    try:
        return run_js("\n".join(["(() => {", *lines, "return createBridge; })()"]))
    except JsException as error:
        if error.name != "EvalError":
            raise
        raise RuntimeError(
            "this page's Content-Security-Policy forbids 'unsafe-eval'; "
            "before the import add to the page: "
            'pyodide.registerJsModule("pyodide_msgchan_bridge", await import("./bridge.mjs")) '
            "(the package's folder js holds it)"
        ) from None


def unpack(packed: Any) -> tuple[list[Any], Any]:
    """Give the messages of a batch, and their native events where those were asked for."""
    if type(packed) is int:
        return loads(bridge().window[:packed]), None  # noqa: S301 - encode.mjs of this page wrote it
    side, events, large, size = packed
    data = bridge().window[:size] if large is None else large.to_bytes()
    return loads(data, buffers=() if side is None else tuple(side)), events  # noqa: S301 - as above


def _deliver(port: int, size: int, now: bool, extra: Any = None) -> int:  # noqa: FBT001 - JavaScript has no keywords
    """Store what arrived; called by JavaScript, at the top of the browser's loop.

    Returns 1 if somebody is to be woken by `_step`, 2 if all of it was taken, else 0.
    """
    try:
        holding.pop(port)(*unpack(size if extra is None else extra))
    except Exception as error:  # noqa: BLE001 - no exception stops the next message
        asyncio.get_event_loop().call_exception_handler(
            {"message": "a message could not be handed over", "exception": error}
        )
    if port not in stepping:
        return 0
    return 2 * _step(port) if now else 1


def _asked(port: int, now: bool, call: str, name: str, *values: Any) -> int:  # noqa: FBT001 - as above
    """Take a call of plain values; gives what `_deliver` gives."""
    try:
        run = calling[port].asked(call, name, values)
    except Exception as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _go_on(port, run, now=now)


def _answered(port: int, now: bool, call: str, value: Any = None) -> int:  # noqa: FBT001 - as above
    """Take an answer that is a plain value; gives what `_deliver` gives."""
    try:
        run = calling[port].answered(call, value)
    except Exception as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _go_on(port, run, now=now)


def _go_on(port: int, run: Callable[[], Any] | None, *, now: bool) -> int:
    if run is None:
        return 0
    stepping[port] = run
    return 2 * _step(port) if now else 1


def _report(error: Exception) -> int:
    asyncio.get_event_loop().call_exception_handler(
        {"message": "a message could not be handed over", "exception": error}
    )
    return 0


def _step(port: int) -> bool:
    """Wake who waits for what was stored, as the last act of this call; says if all was taken."""
    loop = enter()
    try:
        return bool(stepping.pop(port, bool)())
    except (SystemExit, KeyboardInterrupt) as error:
        leave(loop, error)
    except Exception as error:  # noqa: BLE001 - as above
        loop.call_exception_handler(
            {"message": "a message could not be handed over", "exception": error}
        )
    return False


def enter() -> asyncio.AbstractEventLoop:
    """Make this call into Python one in which the loop's tasks can run, as the loop itself does.

    Pyodide 314 gives every call that may suspend a thread state of its own, with no running loop
    and no async-generator hooks in it.
    """
    loop = asyncio.get_event_loop()
    if asyncio._get_running_loop() is not loop:
        asyncio._set_running_loop(loop)
    install = getattr(loop, "_install_asyncgen_hooks", None)
    if install is not None:
        install()
    return loop


def leave(loop: asyncio.AbstractEventLoop, error: SystemExit | KeyboardInterrupt) -> None:
    """Send an exit the way the loop sends it when one of its own callbacks asks for it."""
    if isinstance(error, SystemExit):
        handler = getattr(loop, "_system_exit_handler", None)
        args: tuple[Any, ...] = (error.code,)
    else:
        handler, args = getattr(loop, "_keyboard_interrupt_handler", None), ()
    if handler is None:
        raise error
    handler(*args)


def runtime() -> str:
    """Say what Python runs on, as the other side of a connection is told."""
    import pyodide

    return f"pyodide {pyodide.__version__}"


def is_js_proxy(value: object) -> bool:
    """Say whether a value lives in JavaScript; never true where there is none."""
    if not in_browser():
        return False
    from pyodide.ffi import JsProxy

    return isinstance(value, JsProxy)


def is_null(value: object) -> bool:
    """Say whether a value is JavaScript's null, which Pyodide keeps apart from None."""
    return type(value).__name__ == "JsNull" and in_browser()


def own_origin() -> str:
    """Give the origin of this page or worker, "null" where it has none; empty off the browser."""
    if not in_browser():
        return ""
    import js

    return str(js.self.origin)


def js_error_of(error: BaseException) -> Any:
    """Give the JavaScript error behind an exception that came from JavaScript, else None."""
    return getattr(error, "js_error", None) if in_browser() else None


def to_js_bytes(data: Any) -> Any:
    """Copy a buffer out of Wasm memory, once, into a typed array of its element type."""
    from pyodide.ffi import to_js

    return to_js(data)


def to_js_list(items: Sequence[Any]) -> Any:
    """Give a JavaScript array of things that live in JavaScript."""
    from pyodide.ffi import to_js

    return to_js(list(items), depth=1)
