"""The host's part of the picture: it hands out tiles, and those left undone once more."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from pyodide.ffi import create_proxy, to_js

from pyodide_msgchan import Connection, PortStateError, Remote, wrap

AHEAD = 2
"""Tiles that a frame computes before this page has taken the first."""

BATCH = 8
"""Tiles for which a frame is asked at a time, at most."""


class Painter:
    """Keeps every frame at work on the picture that is to be seen.

    Args:
        board: where tiles are shown, see mandelbrot.mjs.
        start: runs a coroutine as a task.
    """

    def __init__(
        self, board: Any, start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._board, self._start = board, start
        self._renderers: dict[str, Remote] = {}
        self._numbers = count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._begin()
        board.onview = create_proxy(self._begin)

    async def employ(self, name: str, connection: Connection) -> None:
        """Have a frame compute, for as long as it is there."""
        self._renderers[name] = wrap(connection, prefetch=AHEAD)
        self._board.joined(name)
        self._help(name)
        await connection.wait_closed()
        del self._renderers[name]
        self._board.left(name)

    def _begin(self) -> None:
        """Leave the picture before, in the frames too, and begin one of the board's view."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        view = {"picture": next(self._numbers), **self._board.view.to_py()}
        self._picture = Picture(view, self._board)
        for name in self._renderers:
            self._help(name)

    def _help(self, name: str) -> None:
        self._tasks.append(self._start(self._picture.help(name, self._renderers[name])))


class Picture:
    """A view of the set, and its tiles that nobody has in hand."""

    def __init__(self, view: dict[str, Any], board: Any) -> None:
        self._view, self._board = view, board
        self._places = board.places.to_py()  # of the tiles, in pixels; the middle first
        self._todo: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
        self._helpers = 0
        for number in range(len(self._places)):
            self._todo.put_nowait(number)

    async def help(self, name: str, renderer: Remote) -> None:
        """Have a frame compute tiles, until it goes away or this is cancelled."""
        self._helpers += 1
        try:
            while True:  # even if none is left: another frame may go away and leave some
                await self._compute(name, renderer, await self._take())
        except PortStateError:
            pass  # the frame is gone
        finally:
            self._helpers -= 1

    async def _take(self) -> list[int]:
        numbers = [await self._todo.get()]
        fair = self._todo.qsize() // (2 * self._helpers)  # few at last: all finish together
        while len(numbers) < min(fair, BATCH):
            numbers.append(self._todo.get_nowait())
        return numbers

    async def _compute(self, name: str, renderer: Remote, numbers: list[int]) -> None:
        self._board.claimed(name, to_js(numbers))
        tiles = [(number, *self._places[number]) for number in numbers]
        try:
            # Cancelling the task in here ends the generator in the frame.
            async for number, pixels in renderer.render(tiles, **self._view):
                self._board.draw(name, number, to_js(pixels))
                numbers.remove(number)
        except Exception:
            self._board.returned(to_js(numbers))
            for number in numbers:
                self._todo.put_nowait(number)
            raise
