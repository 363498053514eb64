"""The ports to everybody else: sends text and pictures on them, answers, and measures."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from math import inf
from time import perf_counter
from typing import Any

from pictures import HEIGHT, WIDTH, mandelbrot
from pyodide.ffi import create_proxy, to_js

from pyodide_msgchan import MessageEvent, MessagePort, PortStateError

PATIENCE = 10
"""Seconds to wait for an answer."""

PINGS = 10
"""Round trips in a measurement: one alone is too short for a browser's coarse clock."""

PAUSE = 2
"""Seconds between measurements."""


class Mesh:
    """A named port to each of the others, joined to the page's panel.

    Args:
        panel: the card in the page, see panel.mjs.
        other: called with the mesh, the sender's name and the event for messages that are about
            something else than text, pictures and pings.
        report: called with the mesh, a peer's name, and how many milliseconds a message and its
            answer took, infinity if none came; or None when a person's message is sent.
    """

    def __init__(
        self,
        panel: Any,
        *,
        other: Callable[["Mesh", str, MessageEvent], None],
        report: Callable[["Mesh", str, float | None], None],
    ) -> None:
        self.ports: dict[str, MessagePort] = {}
        self._panel, self._other, self._report = panel, other, report
        self._tasks: set[asyncio.Task[None]] = set()
        panel.onsend = create_proxy(self._text_entered)
        panel.onpicture = create_proxy(self._picture_wanted)

    def join(self, peer: str, port: MessagePort, *, measure: bool = False) -> None:
        """Talk to a peer on this port; one that was loaded anew replaces the old."""
        if peer in self.ports:
            self.ports[peer].close()
        self.ports[peer] = port
        # Nothing is lost before this line: a port takes no message before somebody listens.
        port.on_message(partial(self._heard, peer))
        self._panel.peers(to_js(list(self.ports)))
        if measure:
            self._start(self._measure(peer, port))

    def _heard(self, peer: str, event: MessageEvent) -> None:
        match event.data:
            case {"type": "ping"}:
                pass
            case {"type": "text", "text": str(text)}:
                self._panel.received(peer, text)
            case {"type": "picture", "width": int(w), "height": int(h), "pixels": bytes(pixels)}:
                self._panel.draw(peer, w, h, to_js(pixels))
            case _:
                self._other(self, peer, event)
                return
        event.reply(None)

    async def _send(self, peer: str, message: dict[str, Any]) -> float | None:
        self._report(self, peer, None)
        start = perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.ports[peer].request(message)
        except (TimeoutError, PortStateError) as error:
            self._panel.trouble(peer, str(error) or f"no answer within {PATIENCE} s")
            return None
        return (perf_counter() - start) * 1000

    async def _send_all(self, peers: list[str], words: str, message: dict[str, Any]) -> None:
        times = await asyncio.gather(*(self._send(peer, message) for peer in peers))
        taken = [ms for ms in times if ms is not None]
        if len(taken) == len(peers):
            self._panel.sent(to_js(peers), words, max(taken))

    def _text_entered(self, peers: Any, text: str) -> None:
        self._start(self._send_all(list(peers), text, {"type": "text", "text": text}))

    def _picture_wanted(self, peers: Any) -> None:
        self._start(self._send_picture(list(peers)))

    async def _send_picture(self, peers: list[str]) -> None:
        pixels = await mandelbrot()
        # The bytes are copied out of Python's memory once for each peer, and that copy is moved.
        message = {"type": "picture", "width": WIDTH, "height": HEIGHT, "pixels": pixels}
        await self._send_all(peers, "a picture", message)

    async def _measure(self, peer: str, port: MessagePort) -> None:
        while not port.closed:
            start = perf_counter()
            try:
                async with asyncio.timeout(PATIENCE):
                    for _ in range(PINGS):
                        await port.request({"type": "ping"})
            except PortStateError:  # the peer was replaced
                return
            except TimeoutError:
                self._report(self, peer, inf)
            else:
                self._report(self, peer, (perf_counter() - start) * 1000 / PINGS)
            await asyncio.sleep(PAUSE)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_event_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._panel.trouble("*", f"{type(error).__name__}: {error}")
