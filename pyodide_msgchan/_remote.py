"""What stands in Python for an object on the other side of a port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Generator
from typing import Any, Protocol, final

from ._call import Call
from .errors import PortStateError, RemoteError

__all__ = ["Hold", "Remote"]


class Caller(Protocol):
    """What a Remote needs of the port below it."""

    def request(
        self,
        kind: str,
        hold: Hold,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a request."""

    def release(self, hold: Hold) -> Call:
        """Be done with the object."""

    def let_go_soon(self) -> None:
        """Release the object in a later turn: nobody refers to it any more."""


class Hold:
    """What every Remote and Call of one remote object refers to, so that its last end is seen.

    Args:
        link: of the port on which the object is reached.
        owned: whether that port was made for this object alone.
    """

    __slots__ = ("__weakref__", "link", "owned", "released")

    def __init__(self, link: Caller, *, owned: bool) -> None:
        self.link = link
        self.owned = owned
        self.released = False

    def __del__(self) -> None:
        """Release a proxied object; never right now, since this may run in the midst of a post."""
        if self.owned and not self.released:
            self.link.let_go_soon()


@final
class Remote:
    """An object on the other side, or a name in one.

    Attributes are names over there, known or not: ``remote.settings.theme``, or
    ``remote["any name"]``. Calling sends a call, at once; awaiting reads the value (awaiting the
    object itself gives itself and sends nothing); ``async for`` iterates over a proxied iterator.
    Names with a leading underscore are never remote. `assign`, `new` and `release` do the rest.
    """

    __slots__ = ("__weakref__", "_hold", "_path")

    _hold: Hold
    _path: tuple[str, ...]

    def __init__(self, hold: Hold, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_hold", hold)
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Remote:
        """Give what has that name over there; nothing is sent."""
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private, and no private name is remote")
        return Remote(self._hold, (*self._path, name))

    def __getitem__(self, name: str) -> Remote:
        """Give what has a name that Python can't write, or the item of a remote dict."""
        if not isinstance(name, str):
            raise TypeError(f"a remote name is a string, not {name!r:.60}")
        return Remote(self._hold, (*self._path, name))

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
        return self._hold.link.request("APPLY", self._hold, self._path, arguments, keywords)

    def __await__(self) -> Generator[Any, None, Any]:
        """Read the value."""
        if not self._path:
            return self
        return (yield from self._hold.link.request("GET", self._hold, self._path).__await__())

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Give the items of an iterator over there; JavaScript's is asked for one at a time."""
        if self._path:
            source = aiter(self._hold.link.request("GET", self._hold, self._path))
            async for item in source:
                yield item
            return
        going = True
        try:
            while going:
                going = False  # also if this raises: such an iterator is at its end
                step = await self.next()
                going = isinstance(step, dict) and not step.get("done")
                if going:
                    yield step.get("value")
        finally:
            if going:
                with contextlib.suppress(RemoteError, PortStateError):  # it need not have that
                    await self["return"]()

    def __repr__(self) -> str:
        """Show the path."""
        return f"<Remote {'.'.join(self._path) or 'object'}>"
