"""Remote objects: attributes, calls, iteration, and the handle that releases them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from typing import Any, Final, NamedTuple, Protocol, Self, final

from pyodide_msgchan._port.waiter import is_being_cancelled
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.call import Call, ClientCall
from pyodide_msgchan.errors import PortStateError, RemoteError

__all__ = ["DEFAULT_OPTIONS", "Options", "Remote", "RemoteHandle", "target_of"]


class RemoteClient(Protocol):
    """The part of a client that remote objects use."""

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> ClientCall:
        """Send a request."""

    def release(self, handle: RemoteHandle) -> Call:
        """Release the remote object."""

    def release_soon(self) -> None:
        """Release the remote object in a later turn, since no reference to it is left."""


class Options(NamedTuple):
    """The options of `wrap`. What is received through a `Remote` inherits its options.

    Attributes:
        keywords_as_object: whether keyword arguments become one last object for a JavaScript end.
        prefetch: items that a remote iterator may send in advance.
    """

    keywords_as_object: bool = False
    prefetch: int = 16


DEFAULT_OPTIONS: Final = Options()


class RemoteHandle:
    """A reference to a remote object, shared by its Remotes and Calls; the last one releases it.

    Args:
        client: makes the calls on the port on which the object is reached.
        owned: whether that port was made for this object alone.
        options: of the `wrap` call through which it was received.
    """

    __slots__ = ("__weakref__", "client", "options", "owned", "released")

    def __init__(
        self, client: RemoteClient, *, owned: bool, options: Options = DEFAULT_OPTIONS
    ) -> None:
        self.client: RemoteClient = client
        self.owned: bool = owned
        self.options: Options = options
        self.released: bool = False

    def __del__(self) -> None:
        """Release a proxied object in a later turn.

        Not at once, because the garbage collector may run this while a message is being posted.
        """
        if self.owned and not self.released:
            self.client.release_soon()


@final
class Remote:
    """An object on the other side of a port, or a name in one.

    ``remote.settings.theme`` and ``remote["any name"]`` are names on the other side; nothing is
    sent, and nothing checks that they exist. ``await remote.name`` reads the value,
    ``remote.name(...)`` sends a call at once and returns a `Call`, and ``async for`` iterates over
    a remote iterator. Awaiting the remote object itself returns it and sends nothing. Names with a
    leading underscore are never remote. To assign, construct or release, use the functions
    `assign`, `new` and `release`.
    """

    __slots__ = ("__weakref__", "_handle", "_path")

    _handle: RemoteHandle
    _path: tuple[str, ...]

    def __init__(self, handle: RemoteHandle, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Remote:
        """Return a `Remote` for a name in this object; nothing is sent."""
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private, and no private name is remote")
        return Remote(self._handle, (*self._path, name))

    def __getitem__(self, name: str) -> Remote:
        """Return a `Remote` for any name, such as a dict key that is no identifier."""
        if not isinstance(name, str):
            raise TypeError(f"a remote name is a string, not {short_repr(name, 60)}")
        return Remote(self._handle, (*self._path, name))

    def __setattr__(self, name: str, value: object) -> None:
        """Raise AttributeError: an assignment can't be awaited, so use `assign`."""
        raise AttributeError(f"a remote name can't be set: use await assign(remote.{name}, value)")

    def __call__(self, *arguments: Any, **keywords: Any) -> Call:
        """Send a call; awaiting the returned `Call` returns its result.

        Among the arguments, functions and asynchronous generators are sent by reference, and so is
        an object that `proxy` marks. Ports are transferred. Everything else is copied.

        Raises:
            DataCloneError: an argument can't be sent; the error names its place.
            TypeError: there are keyword arguments, and the other end is JavaScript. The call
                raises it if that is not known yet.
            PortStateError: the port ended, or this remote object was released.
        """
        return self._handle.client.request("APPLY", self._handle, self._path, arguments, keywords)

    def __await__(self) -> Generator[Any, None, Any]:
        """Read the value of this name from the other side.

        Raises:
            RemoteError: the name is not reachable, or reading it raised.
            PortStateError: the port ended, or this remote object was released.
        """
        if not self._path:
            return self
        return (yield from self._handle.client.request("GET", self._handle, self._path).__await__())

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over a remote iterator. A JavaScript iterator is asked for one item at a time.

        Leaving the loop early closes the remote iterator without waiting for the other side; the
        iterator's `aclose()` waits for it.
        """
        if self._path:
            return aiter(self._handle.client.request("GET", self._handle, self._path))
        return _JsIterator(self._handle)

    def __repr__(self) -> str:
        """Return the dotted path."""
        return f"<Remote {'.'.join(self._path) or 'object'}>"


def target_of(remote: Remote) -> tuple[RemoteHandle, tuple[str, ...]]:
    """Return the handle and the path of a `Remote`."""
    return remote._handle, remote._path  # noqa: SLF001 - all its other names are remote


@final
class _JsIterator:
    """Iterates over a remote object that has `next` and perhaps `return`, as in JavaScript."""

    __slots__ = ("_finished", "_handle", "_unfinished")

    def __init__(self, handle: RemoteHandle) -> None:
        self._handle = handle
        self._finished = False
        self._unfinished = False  # True if it has yielded an item and has not ended

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._finished:
            raise StopAsyncIteration
        self._unfinished = False
        try:
            result = await self._handle.client.request("APPLY", self._handle, ("next",))
        except BaseException as error:
            self._finished = True  # an iterator that raised has ended
            if isinstance(error, asyncio.CancelledError):
                _return_nowait(self._handle)
            raise
        if not isinstance(result, dict) or result.get("done"):
            self._finished = True
            raise StopAsyncIteration
        self._unfinished = True
        return result.get("value")

    async def aclose(self) -> None:
        call = self._return()
        if call is not None and not is_being_cancelled():
            with contextlib.suppress(RemoteError, PortStateError):  # `return` is optional
                await call

    def close_nowait(self) -> None:
        self._return()

    def __del__(self) -> None:
        if self._unfinished:
            with contextlib.suppress(RuntimeError):  # there is no event loop left
                # Not at once: the garbage collector may run this while a message is being posted.
                asyncio.get_event_loop().call_soon(_return_nowait, self._handle)

    def _return(self) -> Call | None:
        was_unfinished, self._unfinished, self._finished = self._unfinished, False, True
        return _return_nowait(self._handle) if was_unfinished else None


def _return_nowait(handle: RemoteHandle) -> Call | None:
    """Ask a remote iterator to end, without waiting for it."""
    try:
        call = handle.client.request("APPLY", handle, ("return",))
    except PortStateError:
        return None
    call.ignore()  # `return` is optional
    return call
