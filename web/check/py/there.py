"""What another page or worker does: it runs the scenarios that rows name."""

import asyncio
from importlib import import_module
from typing import Any

import page

from pyodide_msgchan import MessageEvent, accept

from .rows import SCENARIOS

_running: set[asyncio.Task[None]] = set()


async def main() -> None:
    """Serve the page that has the rows, until it goes."""
    for name in page.groups:
        import_module(f"check.{name}")
    options: dict[str, Any] = {"origin": page.host} if page.host else {}
    connection = await accept(name="check", **options)
    page.connected()
    async for event in connection.events():
        task = asyncio.ensure_future(answer(event))
        _running.add(task)
        task.add_done_callback(_running.discard)


async def answer(event: MessageEvent) -> None:
    """Run a scenario and send what it returns, with the ports that are in it."""
    try:
        function = SCENARIOS[event.data["run"]]
        reply = {"value": await function(*event.data["args"])}
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    event.reply(reply)
