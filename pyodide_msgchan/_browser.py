"""The border to JavaScript: the only module that imports `js` or `pyodide`, and only when asked."""

from __future__ import annotations

import asyncio
import re
import sys
from _pickle import loads  # pickle's C half: the module itself takes long to load
from asyncio import _get_running_loop, _set_running_loop, current_task
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any, Final

from ._types import Notice, Taker
from .errors import NotInBrowserError

__all__ = [
    "MAX_DEPTH",
    "SHARED_BYTES",
    "Bridge",
    "bridge",
    "enter",
    "enter_plainly",
    "has_objects",
    "holding",
    "in_browser",
    "is_js_big_int",
    "is_js_proxy",
    "is_null",
    "js_error_of",
    "leave",
    "own_origin",
    "report",
    "runtime",
    "stepping",
    "to_js_bytes",
    "to_js_list",
    "unpack",
    "unreadable",
    "url_origin",
    "use_stray_taker",
]

MAX_DEPTH: Final = 500
"""Containers within containers, at most: the least that structured clone takes in any browser."""

SHARED_BYTES: Final = 1 << 16
"""Size of the memory through which streams cross, in each direction; larger ones are copied in a
call of their own. Two halves, since a finalizer may post at any point of reading a stream."""

SPARE: Final = 1 << 18
"""Bytes; for larger buffers js/spare.mjs may have memory that was used before."""

FLAGS: Final = 4096
"""Ports that have a flag behind that memory; more of them say by a call that they wait."""

MOST_NAMES: Final = 256
"""Names of calls that cross as numbers."""

holding: Final[dict[int, Taker]] = {}
"""Who is told when something arrives for an id. Being here keeps a port alive: somebody waits."""

stepping: Final[dict[int, tuple[Taker, Callable[[], None]]]] = {}
"""Who goes on for an id, in a call of its own, once what arrived is stored."""


_PARTS: Final = (
    "decode", "scan", "packed", "encode", "dispatch", "enter", "spare", "windows", "calls",
    "bridge",
)  # fmt: skip
"""The JavaScript half, each part after those that it imports."""


def in_browser() -> bool:
    """Say whether this Python runs on JavaScript at all."""
    return sys.platform == "emscripten" and "pyodide_js" in sys.modules


class Bridge:
    """The functions of js/bridge.mjs, bound once, and the memory that both sides see."""

    def __init__(self) -> None:
        import pyodide_js
        from pyodide.ffi import create_proxy

        self.memory = bytearray(2 * SHARED_BYTES + FLAGS)
        self.outgoing = memoryview(self.memory)[SHARED_BYTES : 2 * SHARED_BYTES]
        native = _load()(
            create_proxy(_one),
            create_proxy(_deliver),
            create_proxy(_step),
            create_proxy(self.memory),
            SHARED_BYTES,
            MAX_DEPTH,
            getattr(pyodide_js, "_module", None),
            create_proxy(_asked),
            create_proxy(_answered),
            create_proxy(_is_running),
            create_proxy(_stray),
        )
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
        self.want: Callable[[int, int, int], Any] = native.want
        self.listen: Callable[[int], None] = native.listen
        self.rest: Callable[[int], None] = native.rest
        self.start: Callable[[int], None] = native.start
        self.queued: Callable[[int], int] = native.queued
        self.size: Callable[[int], int] = native.size
        self.event: Callable[[int, int], Any] = native.event
        self.spare: Callable[[int], Any] = native.spare
        self.drop: Callable[[int, bool, bool], None] = native.drop
        self.windows: Any = native.windows
        self.begin_calls: Callable[[int, str], None] = native.calls.begin
        self.know_name: Callable[[str, int], None] = native.calls.know
        self.open_calls: Callable[[int], None] = native.calls.open
        self.serve_calls: Callable[[int, bool], None] = native.calls.serve
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
    try:
        return run_js(_joined())
    except JsException as error:
        if error.name != "EvalError":
            raise
        raise RuntimeError(
            "this page's Content-Security-Policy forbids 'unsafe-eval'; "
            "before the import add to the page: "
            'pyodide.registerJsModule("pyodide_msgchan_bridge", await import("./bridge.mjs")) '
            "(the package's folder js holds it)"
        ) from None


def _joined() -> str:
    """Give all parts as one expression, in which no two may use a name for different things."""
    loader: Any = globals()["__loader__"]  # which finds it in a folder as in an archive
    folder = __file__.rpartition("/")[0]
    text = "\n".join(loader.get_data(f"{folder}/js/{name}.mjs").decode() for name in _PARTS)
    text = re.sub(r'\bimport ?{[^}]*} ?from ?"[^"]*";|\bexport (?=const|function)', "", text)
    return f"(() => {{{text}\nreturn createBridge; }})()"


def unpack(port: int, packed: Any) -> tuple[list[Any], Any]:
    """Give the messages of a batch, and their native events where those were asked for.

    Should one of them be more than Python can make, then all are told of as unreadable: whoever
    reads the port goes on.
    """
    try:
        return _unpack(packed)
    except BaseException as error:  # noqa: BLE001 - handed on with the notices
        return [unreadable(error) for _ in range(bridge().size(port))], None


def _unpack(packed: Any) -> tuple[list[Any], Any]:
    if type(packed) is int:
        if packed < 0:  # one message, as Python has packed it; it was scanned there
            return [loads(bridge().memory[:-packed])], None
        return loads(bridge().memory[:packed]), None
    side, events, large, size = packed
    data = bridge().memory[:size] if large is None else large.to_bytes()
    return loads(data, buffers=() if side is None else tuple(side)), events


def _one(port: int, now: bool, message: Any) -> int:  # noqa: FBT001 - JavaScript has no keywords
    """Store a message that is a string, number or bool; else as `_deliver`."""
    taker = holding.pop(port)
    try:
        run = taker._take_one(message)
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _go_on(port, taker, run, now=now)


def _deliver(port: int, now: bool, stays: bool, size: int, extra: Any = None) -> int:  # noqa: FBT001
    """Store what arrived; called by JavaScript, at the top of the browser's loop.

    Returns 1 if somebody is to be woken by `_step`, 2 if all of it was taken, else 0.
    """
    taker = holding[port] if stays else holding.pop(port)
    try:
        messages, events = unpack(port, size if extra is None else extra)
        if events is None and len(messages) == 1 and type(messages[0]) is not Notice:
            run = taker._take_one(messages.pop())
        else:
            run = taker._take(messages, events)
        del messages, events  # whoever takes one may drop it long before this call ends
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _go_on(port, taker, run, now=now)


_paths: Final[list[tuple[str, ...]]] = []
"""Of names that calls had; JavaScript says their number the next time."""


def _asked(port: int, now: bool, call: str, name: str | int | None, *values: Any) -> Any:  # noqa: FBT001 - as above
    """Take a call of plain values.

    Returns its result if that is plain and there already, which JavaScript sends as the answer: one
    way across the border less. Else None; or, unless `now`, 1 if `_step` is to follow.
    """
    path: tuple[str, ...] = ()
    if type(name) is int:
        path = _paths[name]
    elif type(name) is str:
        path = (name,)
        if len(_paths) < MOST_NAMES:
            _paths.append(path)
            bridge().know_name(name, len(_paths) - 1)
    feed: Any = holding[port]  # which stays: only who reads for good is asked
    try:
        if now:
            result = feed.reader.asked(call, path, values)
            if result is not NotImplemented:
                return result
        run = feed.store_call(call, path, values)
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        _report(error)
        return None
    step = _go_on(port, feed, run, now=now)
    return None if now else step


def _answered(port: int, now: bool, *answers: Any) -> int:  # noqa: FBT001 - as above
    """Store answers that are plain values: numbers and values in turn; answers as `_deliver`."""
    feed: Any = holding[port]
    try:
        run = feed.reader.answered(*answers)
        if now and run is not None:  # as `_go_on`, a call dearer
            run()
            return 0
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _go_on(port, feed, run, now=now)


def _go_on(port: int, taker: Taker, run: Callable[[], None] | None, *, now: bool) -> int:
    if run is None:
        return 0
    if not now:
        stepping[port] = taker, run
        return 1
    try:
        run()
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return 0 if taker._left() else 2


def _step(port: int) -> int:
    """Wake who waits for what was stored, as the last act of this call; answers as `_deliver`."""
    if port not in stepping:  # closed meanwhile
        return 0
    return _go_on(port, *stepping.pop(port), now=True)


_take_stray: Callable[[int, Any, Any], None]


def use_stray_taker(take: Callable[[int, Any, Any], None]) -> None:
    """Set who takes messages that come to transferred ports; the module of endpoints does, once."""
    global _take_stray  # noqa: PLW0603 - set once, from above
    _take_stray = take


def _stray(port: int, stream: Any, side: Any, event: Any) -> None:
    """Pass on a message that the browser dispatched at a port which had been transferred."""
    try:
        [message] = loads(stream.to_bytes(), buffers=() if side is None else tuple(side))
    except BaseException as error:  # noqa: BLE001 - handed on with the notice
        message = unreadable(error)
    asyncio.get_event_loop().call_soon(_take_stray, port, message, event)


def _is_running() -> bool:
    """Return True if JavaScript was called from Python; asked where it can't tell by itself."""
    return sys._getframe().f_back is not None


def _report(error: BaseException) -> int:
    report("a message could not be handed over", error)
    return 0


def report(message: str, error: BaseException) -> None:
    """Send an exception that nobody can catch to the loop's exception handler; never raises.

    An exit goes where the loop sends exits.
    """
    loop = asyncio.get_event_loop()
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        leave(loop, error)
        return
    try:
        loop.call_exception_handler({"message": message, "exception": error})
    except (SystemExit, KeyboardInterrupt) as wish:  # the handler is the user's
        leave(loop, wish)


def unreadable(error: BaseException, partial: Any = None, beside: Sequence[Any] = ()) -> Notice:
    """Return the notice of a message that can't be read; an exit goes where exits go as well.

    Args:
        error: the reason.
        partial: what could be read of it.
        beside: ports and JavaScript objects that came with it.
    """
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        leave(asyncio.get_event_loop(), error)
    return Notice("messageerror", error=error, partial=partial, beside=beside)


_hooks: Any = None
_prepared: asyncio.AbstractEventLoop | None = None


def enter(loop: asyncio.AbstractEventLoop) -> bool:
    """Make this call into Python one in which the loop's tasks can run, as the loop itself does.

    Pyodide 314 gives every call that may suspend a thread state of its own, with no running loop
    and no async-generator hooks in it. False if tasks can't run here: one of them does already.
    """
    global _hooks, _prepared
    if not enter_plainly(loop):
        return False
    if loop is not _prepared:
        install = getattr(loop, "_install_asyncgen_hooks", None)
        if install is not None:
            install()
        _hooks, _prepared = None if install is None else get_asyncgen_hooks(), loop
    elif _hooks is not None and get_asyncgen_hooks() != _hooks:
        set_asyncgen_hooks(*_hooks)
    return True


def enter_plainly(loop: asyncio.AbstractEventLoop) -> bool:
    """Do the same for functions: until `enter` was called no task may be stepped."""
    running = _get_running_loop()
    if running is None:
        _set_running_loop(loop)
        return True
    return running is loop and current_task(loop) is None


def leave(loop: asyncio.AbstractEventLoop, error: SystemExit | KeyboardInterrupt) -> None:
    """Send an exit the way the loop sends it when one of its own callbacks asks for it.

    Never raises: whoever calls this has more to do. A loop without a handler for exits gets a
    callback that raises it.
    """
    if isinstance(error, SystemExit):
        handler = getattr(loop, "_system_exit_handler", None)
        args: tuple[Any, ...] = (error.code,)
    else:
        handler, args = getattr(loop, "_keyboard_interrupt_handler", None), ()
    if handler is None:
        loop.call_soon(_raise, error)
        return
    try:
        handler(*args)
    except BaseException as wish:  # noqa: BLE001 - raised where the loop sees it
        loop.call_soon(_raise, wish)


def _raise(error: BaseException) -> None:
    raise error


def runtime() -> str:
    """Say what Python runs on, as the other side of a connection is told."""
    import pyodide

    return f"pyodide {pyodide.__version__}"


def is_js_proxy(value: object) -> bool:
    """Say whether a value lives in JavaScript; never true where there is none."""
    return isinstance(value, _proxies())


@cache
def _proxies() -> tuple[type, ...]:
    if not in_browser():
        return ()
    from pyodide.ffi import JsProxy

    return (JsProxy,)


def has_objects(side: Sequence[Any]) -> bool:
    """Return True if there is anything but ports among what goes beside a message."""
    tag = bridge().tag
    return any(tag(item) != "MessagePort" for item in side)


def is_null(value: object) -> bool:
    """Say whether a value is JavaScript's null, which Pyodide keeps apart from None."""
    return type(value).__name__ == "JsNull" and in_browser()


def is_js_big_int(value: object) -> bool:
    """Return True for Pyodide's JsBigInt, an int that is a BigInt in JavaScript, however small."""
    return type(value).__name__ == "JsBigInt" and in_browser()


def own_origin() -> str:
    """Give the origin of this page or worker, "null" where it has none; empty off the browser."""
    if not in_browser():
        return ""
    import js

    return str(js.self.origin)


@lru_cache(maxsize=256)
def url_origin(address: str) -> str | None:
    """Return the origin that the browser's `URL` gives an address ("null" too), or None.

    Only in a browser.
    """
    from js import URL
    from pyodide.ffi import JsException

    try:
        return str(URL.new(address).origin)
    except JsException:
        return None


def js_error_of(error: BaseException) -> Any:
    """Give the JavaScript error behind an exception that came from JavaScript, else None."""
    if not in_browser():
        return None
    from pyodide.ffi import JsException

    # An attribute alone proves nothing: any exception may have one of that name
    return getattr(error, "js_error", None) if isinstance(error, JsException) else None


def to_js_bytes(data: Any) -> Any:
    """Copy bytes out of Wasm memory, once."""
    from pyodide.ffi import to_js

    if len(data) >= SPARE and (spare := bridge().spare(len(data))) is not None:
        spare.assign(data)
        return spare
    return to_js(data)


def to_js_list(items: Sequence[Any]) -> Any:
    """Give a JavaScript array of things that live in JavaScript."""
    from pyodide.ffi import to_js

    return to_js(list(items), depth=1)
