"""Penpal: calls to and from pages and workers that use the npm package penpal 7, or this module."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, NamedTuple, Self, final

from ._browser import bridge, to_js_list
from ._call import Call
from ._comlink import Run
from ._endpoint import BrowserEndpoint, BrowserEvent, browser_pair, post_stream
from ._exposing import Exposer
from ._inbox import Inbox
from ._link import Link
from ._opening import Origins, browser_world, checked_seconds, kind_of, origins_of, owner_of
from ._parcel import Parcel
from ._penpal import Calls, Destroyed, Handshake, Lost, Offer, Post, Step, Take
from ._printing import error_text, short_repr
from ._reach import Reach
from ._remote import Hold, Remote
from ._remote_errors import wire_of_error
from ._side import fresh_id, shown
from ._types import Notice
from ._waiter import Waiter
from .errors import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageError,
    PeerClosedError,
    PortClosedError,
    PortStateError,
)
from .port import MessagePort, check_transfer

__all__ = ["Connecting", "accept", "connect"]


def connect(
    target: Any,
    *,
    origin: Origins | None = None,
    methods: object = None,
    nested: Iterable[str] = (),
    channel: str | None = None,
    timeout: float | None = 10,
    tracebacks: bool | None = None,
) -> Connecting:
    """Connect to a frame, window or worker in which Penpal's `connect` is called too.

    Three ways to use it: ``remote = await connect(frame)``; ``async with connect(frame) as
    remote``, which ends the connection on the way out; and ``async for remote in connect(frame)``,
    which gives it again whenever the page there was replaced, and ends when the connection does.
    ``await remote.add(1, 2)`` calls, ``await release(remote)`` ends it.

    Either side may be first. When the page there is reloaded every pending call raises
    PeerLostError, and the same `Remote` works again once the new page is connected. When the other
    side ends the connection they raise PeerClosedError; when the frame is removed or the window
    closed, PeerLostError. Of a page that left without a word Penpal learns nothing: put
    `asyncio.timeout` around a call that must end.

    Args:
        target: an iframe element, a window, or a Worker.
        origin: whom to hear and to speak to, exactly: one or several, ANY_ORIGIN, OPAQUE_ORIGIN;
            this page's own if it is not given. A worker has none.
        methods: what the other side may call, as for `expose`: an object, a module, a dict of
            functions, also of dicts of them.
        nested: as for `expose`.
        channel: the same on both sides, so that several pairs can share a window.
        timeout: seconds for the other side to answer, None for no limit.
        tracebacks: as for `expose`; None for pages of this page's own origin, and workers.

    Raises:
        HandshakeTimeoutError: nobody answered in time; it says who spoke and was not allowed.
        HandshakeError: the frame was removed, or the window closed meanwhile.
        TypeError: `target` is none of these, or `origin=` was given for a worker.
        ValueError: an origin is malformed, or needed since this page's own is opaque.
        NotInBrowserError: there is no JavaScript here.
    """
    world = browser_world()
    kind = kind_of(world, target)
    origins = origins_of(world, kind, origin)
    if channel is not None and not isinstance(channel, str):
        raise TypeError(f"a channel is a string or None, not {short_repr(channel)}")
    if tracebacks is None:
        tracebacks = origins is None or origins == {world.origin} != {"null"}
    terms = _Terms(target, kind, origins, channel, tracebacks)
    reach = _Methods({} if methods is None else methods, nested)
    return Connecting(partial(_Session, terms, reach), checked_seconds("timeout", timeout))


def accept(*, source: Any = None, timeout: float | None = None, **options: Any) -> Connecting:
    """Connect to this page's parent, else its opener, or a worker's owner: to whoever opened it.

    Args:
        source: the window, iframe element or worker to connect to instead.
        timeout: as for `connect`.
        options: the others of `connect`.

    Raises:
        HandshakeError: there is nobody to connect to; or as `connect`.
    """
    target = owner_of(browser_world()) if source is None else source
    return connect(target, timeout=timeout, **options)


@final
class Connecting:
    """What `connect` and `accept` give: awaited, entered or iterated over."""

    def __init__(self, make: Callable[[], _Session], timeout: float | None) -> None:
        self._make = make
        self._timeout = timeout
        self._session: _Session | None = None
        self._line: _Line | None = None

    async def _open(self) -> Remote:
        self._session = session = self._make()
        try:
            self._line = await session.join(None, self._timeout)
        except BaseException:
            session.destroy()
            raise
        return Remote(Hold(session, owned=False))

    def __await__(self) -> Generator[Any, Any, Remote]:
        """Wait for the connection."""
        return self._open().__await__()

    async def __aenter__(self) -> Remote:
        """Wait for the connection."""
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        if self._session is not None:
            self._session.destroy()

    def __aiter__(self) -> Self:
        """Give the other side, whenever another page is there."""
        return self

    async def __anext__(self) -> Remote:
        """Wait for the page that comes next: without limit after the first."""
        if self._session is None:
            return await self._open()
        try:
            self._line = await self._session.join(self._line, None)
        except (HandshakeError, PortStateError):
            raise StopAsyncIteration from None
        return Remote(Hold(self._session, owned=False))


class _Terms(NamedTuple):
    """What was asked for, checked."""

    target: Any
    kind: str
    origins: frozenset[str] | None
    channel: str | None
    tracebacks: bool


@final
class _Session:
    """One side of a Penpal connection, over all pages that come to be at the other one."""

    def __init__(self, terms: _Terms, reach: Reach) -> None:
        self._terms = terms
        self._reach = reach
        self._context = copy_context()
        self._line: _Line | None = None
        self._over: Callable[[], Exception] | None = None
        self._waiters: list[Waiter] = []
        target, _, origins, channel, _ = terms
        worker = origins is None
        self._machine = Handshake(channel, {"*"} if origins is None else origins, fresh_id())
        self._number = bridge().listen_window(
            None if worker else target,
            to_js_list(["*"] if origins is None else sorted(origins)),
            target if worker else None,
        )
        self._endpoint = BrowserEndpoint(self._number, stack_switching=True)
        self._inbox = Inbox(self._endpoint, self._heard)
        bridge().windows.watchSource(self._number, target)
        self._perform(self._machine.start(), None)

    async def join(self, before: _Line | None, seconds: float | None) -> _Line:
        """Wait for a line that is not the one before."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while (line := self._line) is None or line is before or line.port.closed:
                    if self._over is not None:
                        raise self._over()
                    waiter = Waiter(loop)
                    self._waiters.append(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.remove(waiter)
        except TimeoutError:
            raise self._too_late(seconds or 0) from None
        return line

    def _too_late(self, seconds: float) -> HandshakeTimeoutError:
        origins = self._terms.origins
        whom = "the worker" if origins is None else " or ".join(map(shown, sorted(origins)))
        heard = () if self._over else bridge().windows.rejected(self._number)
        return HandshakeTimeoutError(f"Penpal from {whom}", seconds, heard)

    # The handshake

    def _heard(self, message: Any, events: Sequence[Any], index: int) -> None:
        if isinstance(message, Notice):
            if message.kind == "gone":
                self._gone()
        elif type(message) is dict:
            event = events[index]
            ports = event.ports.length if message.get("type") == "ACK2" else 0
            origin = BrowserEvent(event).origin
            self._perform(self._machine.heard(message, origin, ports), event)

    def _perform(self, steps: Sequence[Step], event: Any) -> None:
        for step in steps:
            if isinstance(step, Post):
                self._post(step.message, step.origin)
            elif isinstance(step, Offer):
                ours, theirs = map(MessagePort._of, browser_pair())
                self._post(step.message, step.origin, [theirs])
                self._connected(ours)
            elif isinstance(step, Take):
                self._connected(MessagePort(event.ports[0]))
            elif isinstance(step, Lost) and self._line is not None:
                self._line.end(lost=True)

    def _post(self, message: Any, origin: str, ports: Sequence[MessagePort] = ()) -> None:
        target, kind, *_ = self._terms
        moved = check_transfer(ports) if ports else None
        where = (target, None if kind == "worker" else origin)
        with contextlib.suppress(TypeError):  # a frame that is in no document yet will speak first
            post_stream(bridge().send_to, where, message, moved)
        if moved is not None:
            moved.done()

    def _connected(self, port: MessagePort) -> None:
        self._line = line = _Line(port, self._terms, self.destroy)
        self._context.run(line.expose, self._reach)
        self._inbox.run = self._wake

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.wake_soon()

    # The end

    def _gone(self) -> None:
        """Be over: the frame was removed, or the window closed."""
        if self._line is not None:
            self._line.end(lost=True)
        self._finish(partial(HandshakeError, "the frame was removed, or the window closed", "gone"))

    def destroy(self, *, tell: bool = True) -> None:
        """Be over, and unless the other side said so first, say it."""
        line = self._line
        if line is not None and not line.port.closed:
            if tell:
                line.port.post_message(line.machine.destroy())
                line.port.close()
            else:
                line.end(lost=False)
        self._finish(PortClosedError if tell else PeerClosedError)

    def _finish(self, over: Callable[[], Exception]) -> None:
        if self._over is None:
            self._over = over
            self._inbox.stop()
            self._endpoint.release()
            self._wake()

    # For a Remote

    def request(
        self,
        kind: str,
        hold: Hold,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a call.

        Raises:
            TypeError: Penpal has no such thing.
            PeerLostError: the page there was replaced, and the new one is not connected yet.
        """
        if kind != "APPLY" or not path:
            raise TypeError("over Penpal there are only calls of methods: remote.name(…)")
        if keywords:
            raise TypeError(f"Penpal has no keyword arguments ({', '.join(keywords)})")
        assert self._line is not None  # noqa: S101 - there is no Remote before
        return self._line.request(kind, hold, path, arguments)

    def release(self, hold: Hold) -> Call:
        """End the connection."""
        self.destroy()
        call = Call(hold, lambda _: None)
        call.settle(None)
        return call

    def let_go_soon(self) -> None:
        """Never asked for: what serves calls lives on without a Remote."""


class _Line(Link):
    """The port to one page, and all calls on it."""

    machine: Calls

    def __init__(self, port: MessagePort, terms: _Terms, over: Callable[..., None]) -> None:
        super().__init__(port)
        self.machine = Calls(f"{fresh_id()}-", terms.channel)
        self.tracebacks = terms.tracebacks
        self.calls = None  # that short way is Comlink's
        self.python = False
        self._over = over

    def expose(self, reach: Reach) -> None:
        """Let these methods be called."""
        self.exposer = _Answers(self, reach, tracebacks=self.tracebacks)

    def _may_be_asked(self) -> bool:
        return self.exposer is not None and self.exposer.reach.root != {}

    def end(self, *, lost: bool) -> None:
        """Be over: the other side vanished, or ended it."""
        self.port._peer_ended(self.port._taken, lost=lost)

    def _act(self, action: Any) -> None:
        if isinstance(action, Destroyed):
            self._over(tell=False)
        else:
            super()._act(action)

    def _cancel(self, call: Call) -> None:
        self.machine.forget(call.id)  # the other side is not told: Penpal has no word for it
        call.settle(None)

    def _proxy(self, reach: Reach, _parcel: Parcel) -> Any:
        return {"value": reach.root}  # which can't be sent, as the error says

    def _stream(self, value: Any, _parcel: Parcel) -> Any:
        return {"value": value}


class _NotFoundError(AttributeError):
    """There is no such method, or it is not reachable."""


class _Methods(Reach):
    """What may be called."""

    __slots__ = ()

    def function(self, path: tuple[str, ...]) -> Callable[..., Any]:
        try:
            return super().function(path)
        except (AttributeError, TypeError) as error:
            raise _NotFoundError(error_text(error)) from None


class _Answers(Exposer):
    """Methods at work."""

    __slots__ = ()

    def refuse(self, run: Run, error: MessageError) -> None:
        self.fail(run, error)

    def fail(self, run: Run, error: BaseException) -> None:
        link: Any = self._link
        parts = wire_of_error(error, traceback=self.tracebacks)["value"]["value"]
        message = link.machine.fail(run.id, parts, found=not isinstance(error, _NotFoundError))
        if message is not None:
            with contextlib.suppress(PortStateError, DataCloneError):
                link.port.post_message(message)
