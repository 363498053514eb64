"""Python's event loop in a call from JavaScript: what lets tasks run there, and where exits go."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop, _set_running_loop, current_task
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any

__all__ = ["forward_exit", "prepare_task_entry", "try_set_running_loop"]


_hooks: Any = None


_prepared: asyncio.AbstractEventLoop | None = None


def prepare_task_entry(loop: asyncio.AbstractEventLoop) -> bool:
    """Make this call into Python one in which the loop's tasks can run, as the loop itself does.

    Pyodide 314 gives every call that may suspend a thread state of its own, with no running loop
    and no async-generator hooks in it. False if tasks can't run here: one of them does already.
    """
    global _hooks, _prepared
    if not try_set_running_loop(loop):
        return False
    if loop is not _prepared:
        install = getattr(loop, "_install_asyncgen_hooks", None)
        if install is not None:
            install()
        _hooks, _prepared = None if install is None else get_asyncgen_hooks(), loop
    elif _hooks is not None and get_asyncgen_hooks() != _hooks:
        set_asyncgen_hooks(*_hooks)
    return True


def try_set_running_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Do the same for functions: until `enter` was called no task may be stepped."""
    running = _get_running_loop()
    if running is None:
        _set_running_loop(loop)
        return True
    return running is loop and current_task(loop) is None


def forward_exit(loop: asyncio.AbstractEventLoop, error: SystemExit | KeyboardInterrupt) -> None:
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
