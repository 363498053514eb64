"""The event loop during calls from JavaScript: entering tasks, and forwarding exits."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop, _set_running_loop, current_task
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any

__all__ = ["forward_exit", "prepare_task_entry", "try_set_running_loop"]


_hooks: Any = None


_prepared: asyncio.AbstractEventLoop | None = None


def prepare_task_entry(loop: asyncio.AbstractEventLoop) -> bool:
    """Prepare this call from JavaScript so that tasks of the loop can run in it.

    Pyodide 314 runs every call that may suspend in a thread state of its own, which has no running
    loop and no async-generator hooks.

    Returns:
        False if tasks can't run in this call, because a task is running already.
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
    """Set the running loop for plain functions; tasks need `prepare_task_entry`.

    Returns:
        False if another loop or a task is running.
    """
    running = _get_running_loop()
    if running is None:
        _set_running_loop(loop)
        return True
    return running is loop and current_task(loop) is None


def forward_exit(loop: asyncio.AbstractEventLoop, error: SystemExit | KeyboardInterrupt) -> None:
    """Forward an exit as the loop does when one of its callbacks raises it; never raises.

    In a loop without a handler for exits, a callback raises it.
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
    except BaseException as raised:  # noqa: BLE001 - raised again where the loop sees it
        loop.call_soon(_raise, raised)


def _raise(error: BaseException) -> None:
    raise error
