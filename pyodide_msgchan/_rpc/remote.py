"""What stands in Python for an object on the other side of a port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from typing import Any, Final, NamedTuple, Protocol, Self, final

from pyodide_msgchan._port.waiter import is_being_cancelled
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan.errors import PortStateError, RemoteError

__all__ = ["DEFAULT_OPTIONS", "Options", "Remote", "RemoteHandle"]


class RemoteClient(Protocol):
    """What a Remote needs of the port below it."""

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a request."""

    def release(self, handle: RemoteHandle) -> Call:
        """Release the object."""

    def release_soon(self) -> None:
        """Release the object in a later turn: nobody refers to it any more."""


class Options(NamedTuple):
    """What `wrap` was asked for. What comes by a Remote has the options of that.

    Attributes:
        keywords_as_object: whether keyword arguments become one last object for a JavaScript end.
        prefetch: items that an iterator over there sends ahead.
    """

    keywords_as_object: bool = False
    prefetch: int = 16


DEFAULT_OPTIONS: Final = Options()


class RemoteHandle:
    """What every Remote and Call of one remote object refers to, so that its last end is seen.

    Args:
        session: of the port on which the object is reached.
        owned: whether that port was made for this object alone.
        options: of the `wrap` by which it came.
    """

    __slots__ = ("__weakref__", "options", "owned", "released", "session")

    def __init__(
        self, session: RemoteClient, *, owned: bool, options: Options = DEFAULT_OPTIONS
    ) -> None:
        self.session = session
        self.owned = owned
        self.options = options
        self.released = False

    def __del__(self) -> None:
        """Release a proxied object; never right now, since this may run in the midst of a post."""
        if self.owned and not self.released:
            self.session.release_soon()


@final
class Remote:
    """An object on the other side, or a name in one.

    Attributes are names over there, known or not: ``remote.settings.theme``, or
    ``remote["any name"]``. Calling sends a call, at once; awaiting reads the value (awaiting the
    object itself gives itself and sends nothing); ``async for`` iterates over a proxied iterator.
    Names with a leading underscore are never remote. `assign`, `new` and `release` do the rest.
    """

    __slots__ = ("__weakref__", "_handle", "_path")

    _handle: RemoteHandle
    _path: tuple[str, ...]

    def __init__(self, handle: RemoteHandle, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Remote:
        """Return what has that name over there; nothing is sent."""
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private, and no private name is remote")
        return Remote(self._handle, (*self._path, name))

    def __getitem__(self, name: str) -> Remote:
        """Return what has a name that Python can't write, or the item of a remote dict."""
        if not isinstance(name, str):
            raise TypeError(f"a remote name is a string, not {short_repr(name, 60)}")
        return Remote(self._handle, (*self._path, name))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: an assignment can't be awaited."""
        raise AttributeError(f"write: await assign(remote.{name}, value)")

    def __call__(self, *arguments: Any, **keywords: Any) -> Call:
        """Call it over there. The call is sent now; awaiting what this returns gives the result.

        Functions and async generators among the arguments travel as proxies; objects do where
        `proxy` marks them; ports are transferred; everything else is copied.

        Raises:
            DataCloneError: an argument can't be sent; the error says where.
            PortStateError: the port is closed, or this was released.
        """
        return self._handle.session.request("APPLY", self._handle, self._path, arguments, keywords)

    def __await__(self) -> Generator[Any, None, Any]:
        """Read the value."""
        if not self._path:
            return self
        return (
            yield from self._handle.session.request("GET", self._handle, self._path).__await__()
        )

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return the items of an iterator over there; JavaScript's is asked for one at a time.

        Leaving the loop early closes it and waits for nobody; `aclose()` of the iterator waits.
        """
        if self._path:
            return aiter(self._handle.session.request("GET", self._handle, self._path))
        return _Steps(self)

    def __repr__(self) -> str:
        """Show the path."""
        return f"<Remote {'.'.join(self._path) or 'object'}>"


@final
class _Steps:
    """Iterates over what has `next` and perhaps `return`, as iterators of JavaScript have."""

    __slots__ = ("_open", "_over", "_remote")

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._over = False
        self._open = False  # whether it has given something and may give more

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        self._open = False
        try:
            step = await self._remote.next()
        except BaseException as error:
            self._over = True  # an iterator that raised is at its end
            if isinstance(error, asyncio.CancelledError):
                _return_nowait(self._remote)
            raise
        if not isinstance(step, dict) or step.get("done"):
            self._over = True
            raise StopAsyncIteration
        self._open = True
        return step.get("value")

    async def aclose(self) -> None:
        call = self._return()
        if call is not None and not is_being_cancelled():
            with contextlib.suppress(RemoteError, PortStateError):  # it need not have that
                await call

    def close_nowait(self) -> None:
        self._return()

    def __del__(self) -> None:
        if self._open:
            with contextlib.suppress(RuntimeError):  # no loop is left
                # Never right now: this may run in the midst of a post.
                asyncio.get_event_loop().call_soon(_return_nowait, self._remote)

    def _return(self) -> Call | None:
        was_open, self._open, self._over = self._open, False, True
        return _return_nowait(self._remote) if was_open else None


def _return_nowait(remote: Remote) -> Call | None:
    """Tell an iterator over there to end."""
    try:
        call: Call = remote["return"]()
    except PortStateError:
        return None
    call._ignore()  # it need not have that
    return call
