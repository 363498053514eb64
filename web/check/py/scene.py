"""What rows find ready: other pages with Python, and light ones that each may make for itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import js
import page

from pyodide_msgchan import OPAQUE_ORIGIN, Connection, HandshakeError, connect

from .rows import NotRun, scenario_name

BOOT = 150
"""Seconds for another page to fetch and start Python."""

AT_ONCE = 2
"""Pages that start Python side by side: more would only take longer, each of them."""

NO_OTHER = "no second origin was given, so a sandboxed frame stood in for one of another site"
FILES = {
    (True, False): "check/frame.html",
    (True, True): "check/worker.mjs",
    (False, False): "check/light.html",
    (False, True): "check/light.mjs",
}
KINDS = {
    "same": "Same origin",
    "cross": "Cross site",
    "sandbox": "Sandbox",
    "worker": "Worker",
    "popup": "Popup",
}


class FromAfar(Exception):  # noqa: N818 - it passes on whatever was raised there
    """A scenario raised an exception in the page that it ran in."""


class Peer:
    """Another page or worker.

    Attributes:
        kind: "same", "cross", "sandbox", "worker" or "popup".
        target: its iframe element, window or worker, for `connect` and `post_to_window`.
        origin: of its page: a text, OPAQUE_ORIGIN, or None for a worker.
        options: keywords for `connect`: its origin, unless it is a worker.
        connection: over which it is told what to run. Rows make connections of their own.
    """

    def __init__(self, kind: str, target: Any, origin: Any) -> None:
        self.kind = kind
        self.target = target
        self.origin = origin
        self.options: dict[str, Any] = {} if kind == "worker" else {"origin": origin}
        self.connection: Connection

    @property
    def window(self) -> Any:
        """Its window, as `event.source` would be; None for a worker."""
        if self.kind == "worker":
            return None
        return self.target if self.kind == "popup" else self.target.contentWindow

    async def run(
        self, scenario: str | Callable[..., Any], *args: Any, transfer: Sequence[Any] = ()
    ) -> Any:
        """Run a scenario there and give what it returns.

        Args:
            scenario: a function under `@scenario`; the name of one in light.mjs for a light
                page.
            args: for it.
            transfer: ports among them.

        Raises:
            FromAfar: it raised something.
        """
        name = scenario if isinstance(scenario, str) else scenario_name(scenario)
        message = {"run": name, "args": list(args)}
        answer = await self.connection.request(message, transfer=transfer)
        if "error" in answer:
            raise FromAfar(f"in {self.kind}: {answer['error']}")
        return answer["value"]

    def remove(self) -> None:
        """Take it away: remove the frame, close the window, terminate the worker."""
        match self.kind:
            case "worker":
                self.target.terminate()
            case "popup":
                self.target.close()
            case _:
                self.target.remove()


class Scene:
    """The page's surroundings; one for all rows."""

    def __init__(self) -> None:
        self.other: str | None = page.other
        self.notes: list[str] = []
        self._boots: dict[str, asyncio.Task[Peer]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def __getattr__(self, kind: str) -> Peer:
        """Give a Python peer that the row has named in `needs`."""
        if kind not in KINDS:
            raise AttributeError(kind)
        return self._boots[kind].result()

    async def need(self, kind: str) -> Peer:
        """Boot a Python peer, or wait until it is there, or say why it can't be."""
        if kind not in self._boots:
            self._boots[kind] = asyncio.ensure_future(self._boot(kind))
        if kind == "cross" and not self.other:
            self.notes.append(NO_OTHER)
        return await asyncio.shield(self._boots[kind])

    def retry(self) -> None:
        """Forget of whom nothing came: a popup that was blocked may be opened after a click."""
        failed = [kind for kind, boot in self._boots.items() if boot.done() and boot.exception()]
        for kind in failed:
            del self._boots[kind]

    async def _boot(self, kind: str) -> Peer:
        async with self._turns:
            peer = await self._put_up(kind, python=True, shared=True)
            page.booting(kind, KINDS[kind])
            options = {"name": "check", "timeout": BOOT, **peer.options}
            try:
                peer.connection = await connect(peer.target, **options)
            except HandshakeError as error:
                page.booted(kind, fine=False, words=str(error))
                raise NotRun(f"{KINDS[kind]}: {error}") from None
            page.booted(kind, fine=True, words=peer.connection.peer.runtime)
            return peer

    def light(
        self, kind: str = "same", *, connected: bool = True
    ) -> AbstractAsyncContextManager[Peer]:
        """Put up a page without Python for a row alone, and take it away afterwards.

        Its scenarios are the functions of light.mjs.

        Args:
            kind: as in `KINDS`.
            connected: or else the row connects to it, once, by the name "light".
        """
        return self._own(kind, python=False, connected=connected)

    def python(self, kind: str = "same") -> AbstractAsyncContextManager[Peer]:
        """Put up a page with Python for a row that leaves it not as it was; takes seconds."""
        return self._own(kind, python=True, connected=True)

    @asynccontextmanager
    async def _own(self, kind: str, *, python: bool, connected: bool) -> AsyncIterator[Peer]:
        if kind == "cross" and not self.other:
            self.notes.append(NO_OTHER)
        peer = await self._put_up(kind, python=python, shared=False)
        try:
            if connected:
                name = "check" if python else "light"
                options = {"name": name, "timeout": BOOT, **peer.options}
                async with connect(peer.target, **options) as peer.connection:
                    yield peer
            else:
                yield peer
        finally:
            peer.remove()

    async def _put_up(self, kind: str, *, python: bool, shared: bool) -> Peer:
        file = FILES[python, kind == "worker"]
        base = self.other if kind == "cross" and self.other else str(js.location.href)
        address = js.URL.new(file, base)
        address.search = page.query(kind)
        opaque = kind == "sandbox" or (kind == "cross" and not self.other)
        origin = OPAQUE_ORIGIN if opaque else str(address.origin)
        match kind:
            case "worker":
                return Peer(kind, page.makeWorker(address), None)
            case "popup":
                if (window := await page.openPopup(address)) is None:
                    raise NotRun("the browser blocked the popup")
                return Peer(kind, window, origin)
            case _:
                return Peer(kind, page.makeFrame(address, kind, opaque, shared), origin)
