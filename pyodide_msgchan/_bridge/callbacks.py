"""The functions that JavaScript calls: they hand arriving messages and calls to their sinks."""

from __future__ import annotations

import asyncio
import sys
from _pickle import loads  # pickle's C half: the module itself takes long to load
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.event_loop import forward_exit
from pyodide_msgchan._interfaces import MessageSink, Notice

__all__ = [
    "_is_running",
    "_on_batch",
    "_on_call",
    "_on_results",
    "_on_scalar",
    "_on_step",
    "_on_stray",
    "report",
    "set_stray_sink",
    "unpack",
    "unreadable",
    "waiting_sinks",
]


MAX_CALL_NAMES: Final = 256
"""Names of called attributes that JavaScript may send as numbers."""


waiting_sinks: Final[dict[int, MessageSink]] = {}
"""The sinks that wait for messages, by the id of their port; an entry keeps the port alive."""


_pending_steps: Final[dict[int, list[tuple[MessageSink, Callable[[], None]]]]] = {}
"""The steps to call for a port in their order, each in a call of its own, after what arrived was
stored. Before such a call more may arrive, or the port may be closed, and each task is still woken.
"""


def unpack(port: int, packed: Any) -> tuple[list[Any], Any]:
    """Return the messages of a batch, and their native events if the receiver asked for them.

    If decoding raises, for example for lack of memory, every message of the batch is unreadable,
    and receiving goes on with the next one.
    """
    try:
        return _unpack(packed)
    except BaseException as error:  # noqa: BLE001 - passed on in the notices
        return [unreadable(error) for _ in range(bridge().size(port))], None


def _unpack(packed: Any) -> tuple[list[Any], Any]:
    if type(packed) is int:
        if packed < 0:  # one message of the packed lane, which JavaScript has validated
            return [loads(bridge().memory[:-packed])], None
        return loads(bridge().memory[:packed]), None
    side, events, large, size = packed
    data = bridge().memory[:size] if large is None else large.to_bytes()
    return loads(data, buffers=() if side is None else tuple(side)), events


def _on_scalar(port: int, now: bool, message: Any) -> int:  # noqa: FBT001 - JavaScript has no keywords
    """Store one message that is a string, number or bool; returns as `_on_batch`."""
    sink = waiting_sinks.pop(port)
    try:
        run = sink.on_message(message)
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _resume(port, sink, run, now=now)


def _on_batch(port: int, now: bool, stays: bool, size: int, extra: Any = None) -> int:  # noqa: FBT001
    """Store a batch that arrived; JavaScript calls this from an event handler.

    Returns:
        1 if JavaScript must call `_on_step` to wake a waiting task; 2 if every message was
        consumed; else 0.
    """
    sink = waiting_sinks[port] if stays else waiting_sinks.pop(port)
    try:
        messages, events = unpack(port, size if extra is None else extra)
        if events is None and len(messages) == 1 and type(messages[0]) is not Notice:
            run = sink.on_message(messages.pop())
        else:
            run = sink.on_batch(messages, events)
        del messages, events  # this call may last longer than its consumers need them
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _resume(port, sink, run, now=now)


_call_paths: Final[list[tuple[str, ...]]] = []
"""The paths of earlier calls of one name; JavaScript sends their index from then on."""


def _on_call(port: int, now: bool, call: str, name: str | int | None, *values: Any) -> Any:  # noqa: FBT001 - as above
    """Run or store a remote call of plain values.

    Returns:
        The result if it is a plain value and available at once; JavaScript sends it, which saves
        a call into JavaScript. Else None; or, unless `now`, 1 if JavaScript must call `_on_step`.
    """
    path: tuple[str, ...] = ()
    if type(name) is int:
        path = _call_paths[name]
    elif type(name) is str:
        path = (name,)
        if len(_call_paths) < MAX_CALL_NAMES:
            _call_paths.append(path)
            bridge().assign_call_number(name, len(_call_paths) - 1)
    sink: Any = waiting_sinks[port]  # it stays registered: only exclusive readers have calls
    try:
        if now:
            result = sink.on_call(call, path, values)
            if result is not NotImplemented:
                return result
        run = sink.store_call(call, path, values)
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        _report(error)
        return None
    step = _resume(port, sink, run, now=now)
    return None if now else step


def _on_results(port: int, now: bool, *answers: Any) -> int:  # noqa: FBT001 - as above
    """Store results that are plain values: numbers and values in turn; returns as `_on_batch`."""
    sink: Any = waiting_sinks[port]
    try:
        run = sink.on_results(*answers)
        if now and run is not None:  # inlined from `_resume`: saves a call
            run()
            return 0
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return _resume(port, sink, run, now=now)


def _resume(port: int, sink: MessageSink, run: Callable[[], None] | None, *, now: bool) -> int:
    if run is None:
        return 0
    if not now:
        _pending_steps.setdefault(port, []).append((sink, run))
        return 1
    try:
        run()
    except BaseException as error:  # noqa: BLE001 - no exception stops the next message
        return _report(error)
    return 0 if sink.has_buffered() else 2


def _on_step(port: int) -> int:
    """Wake the task that waits for what was stored, as the last step; returns as `_on_batch`."""
    steps = _pending_steps[port]
    sink, run = steps.pop(0)
    if not steps:
        del _pending_steps[port]
    return _resume(port, sink, run, now=True)


_stray_sink: Callable[[int, Any, Any], None]


def set_stray_sink(report_stray: Callable[[int, Any, Any], None]) -> None:
    """Set the function that reports messages which arrive at transferred ports."""
    global _stray_sink  # noqa: PLW0603 - set once, when the module of endpoints is imported
    _stray_sink = report_stray


def _on_stray(port: int, stream: Any, side: Any, event: Any) -> None:
    """Report a message that the browser dispatched at a port which had been transferred."""
    try:
        [message] = loads(stream.to_bytes(), buffers=() if side is None else tuple(side))
    except BaseException as error:  # noqa: BLE001 - passed on in the notice
        message = unreadable(error)
    asyncio.get_event_loop().call_soon(_stray_sink, port, message, event)


def _is_running() -> bool:
    """Return True if Python is on the stack, for engines whose JavaScript can't tell by itself."""
    return sys._getframe().f_back is not None  # noqa: SLF001 - a documented function


def _report(error: BaseException) -> int:
    report("a message could not be handed over", error)
    return 0


def report(message: str, error: BaseException) -> None:
    """Pass an exception that no caller can catch to the loop's exception handler; never raises.

    SystemExit and KeyboardInterrupt go where the loop sends exits.
    """
    loop = asyncio.get_event_loop()
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        forward_exit(loop, error)
        return
    try:
        loop.call_exception_handler({"message": message, "exception": error})
    except (SystemExit, KeyboardInterrupt) as raised:  # the handler is the user's
        forward_exit(loop, raised)


def unreadable(
    error: BaseException, partial: Any = None, attachments: Sequence[Any] = ()
) -> Notice:
    """Return the notice of a message that can't be read.

    If the error is an exit, it also goes where the loop sends exits.

    Args:
        error: the error that tells why.
        partial: the part of the message that could be read.
        attachments: the ports and JavaScript objects that came with it.
    """
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        forward_exit(asyncio.get_event_loop(), error)
    return Notice("messageerror", error=error, partial=partial, attachments=attachments)
