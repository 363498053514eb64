"""What every participant does on its connections: sends text and pictures, answers, measures."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from time import perf_counter
from typing import Any

from pictures import HEIGHT, WIDTH, next_picture
from pyodide.ffi import create_proxy, to_js

from pyodide_msgchan import Connection, MessageEvent, PeerLostError, PortStateError

CHANNEL = "demo"
"""The name under which host and frames look for each other; they could have more of them."""

PATIENCE = 10
"""Seconds to wait for an answer."""

PINGS = 10
"""Round trips in a measurement: one alone is too short for a browser's coarse clock."""

PAUSE = 1
"""Seconds between measurements."""


class Link:
    """A connection to another participant, and what is known about it.

    Attributes:
        peer: the other's name.
        connection: where it is.
        number: by which the host knows the link.
        count: messages so far, both ways; answers go on channels of their own.
        ms: how long a message and its answer take; infinity if none comes.
    """

    def __init__(self, peer: str, connection: Connection, number: int) -> None:
        self.peer = peer
        self.connection = connection
        self.number = number
        self.count = 0
        self.ms = inf

    async def request(self, message: dict[str, Any], times: int = 1) -> float:
        """Send a message and wait for its answer, once or several times in turn.

        Returns:
            Milliseconds that it took, on average.
        """
        start = perf_counter()
        async with asyncio.timeout(PATIENCE):
            for _ in range(times):
                self.count += 1
                await self.connection.request({"to": self.peer, **message})
        return (perf_counter() - start) * 1000 / times


class Mesh:
    """The links to all the others, joined to the page's panel.

    Args:
        name: of this participant.
        panel: the card in the page, see panel.mjs.
        report: called with "sent", "measured" or "ended", and the link where that happened.
    """

    def __init__(self, name: str, panel: Any, report: Callable[[str, Link], None]) -> None:
        self.links: dict[str, Link] = {}
        self._name, self._panel, self._report = name, panel, report
        self._tasks: set[asyncio.Task[None]] = set()
        panel.onsend = create_proxy(self._text_entered)
        panel.onpicture = create_proxy(self._picture_wanted)

    async def talk(
        self,
        link: Link,
        *,
        measure: bool = False,
        other: Callable[[MessageEvent], None] | None = None,
    ) -> None:
        """Hear what a peer sends, until one of the two closes the connection or goes away.

        Args:
            link: to the peer.
            measure: ask the peer for answers all the time, and report how long they take.
            other: called with what is no text, picture or ping for this participant.
        """
        before, self.links[link.peer] = self.links.get(link.peer), link
        if before:  # the host has lost one of the two for a while, and introduced them anew
            before.connection.close()
        self._show_peers()
        if measure:
            self.start(self._measure(link))
        try:
            async for event in link.connection.events():
                link.count += 1
                if not self._heard(link.peer, event) and other:
                    other(event)
        except PeerLostError as error:
            self._panel.note(link.peer, str(error))
        finally:
            link.connection.close()
            if self.links.get(link.peer) is link:
                del self.links[link.peer]
            self._show_peers()
            self._report("ended", link)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside everything else; the panel shows if it fails."""
        task = asyncio.get_event_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._done)
        return task

    def _heard(self, peer: str, event: MessageEvent) -> bool:
        """Take a message if it is one that everybody understands."""
        match event.data:
            case {"to": self._name, "type": "ping"}:
                pass
            case {"to": self._name, "type": "text", "text": str(text)}:
                self._panel.received(peer, text)
            case {
                "to": self._name,
                "type": "picture",
                "width": int(width),
                "height": int(height),
                "pixels": bytes(pixels),
            }:
                self._panel.draw(peer, width, height, to_js(pixels))
            case _:
                return False
        if event.ports:
            event.reply(None)
        return True

    async def _measure(self, link: Link) -> None:
        while not link.connection.closed:
            try:
                link.ms = await link.request({"type": "ping"}, PINGS)
            except TimeoutError:
                link.ms = inf
            except PortStateError:  # the peer is gone
                return
            self._report("measured", link)
            await asyncio.sleep(PAUSE)

    async def _send(self, peer: str, message: dict[str, Any]) -> float | None:
        try:
            link = self.links[peer]
            self._report("sent", link)
            return await link.request(message)
        except KeyError:
            self._panel.trouble(peer, "is gone")
        except (TimeoutError, PortStateError) as error:
            self._panel.trouble(peer, str(error) or f"no answer within {PATIENCE} s")
        return None

    async def _send_all(self, peers: list[str], words: str, message: dict[str, Any]) -> None:
        times = await asyncio.gather(*(self._send(peer, message) for peer in peers))
        taken = [ms for ms in times if ms is not None]
        if len(taken) == len(peers):
            self._panel.sent(to_js(peers), words, max(taken))

    async def _send_picture(self, peers: list[str]) -> None:
        pixels = await next_picture()
        # The bytes are copied out of Python's memory once for each peer, and that copy is moved.
        message = {"type": "picture", "width": WIDTH, "height": HEIGHT, "pixels": pixels}
        await self._send_all(peers, "a picture", message)

    def _text_entered(self, peers: Any, text: str) -> None:
        self.start(self._send_all(list(peers), text, {"type": "text", "text": text}))

    def _picture_wanted(self, peers: Any) -> None:
        self.start(self._send_picture(list(peers)))

    def _show_peers(self) -> None:
        self._panel.peers(to_js(list(self.links)))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._panel.trouble("*", f"{type(error).__name__}: {error}")
