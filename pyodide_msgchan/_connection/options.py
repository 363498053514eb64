"""`ConnectOptions`: the options of a connection, their checks, and this side's description."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from pyodide_msgchan._connection.environment import Environment
from pyodide_msgchan._origins import Origin, allowed_origins, check_targets
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._version import __version__
from pyodide_msgchan.errors import HandshakeError

__all__ = [
    "ConnectOptions",
    "Lane",
    "Origins",
    "checked_seconds",
    "connect_options",
    "describe",
    "handshake_args",
    "hold_lock",
    "kind_of",
    "may_share_origin",
    "origins_of",
    "owner_of",
    "would_pack",
]


CAPABILITIES: Final = ("clone", "credit", "packs")
"""What this side can do, as its description tells the peer."""


def describe(environment: Environment, lane: str | None, origin: str | None) -> dict[str, Any]:
    """Return the description of this side for a peer of the given origin."""
    return {
        "version": __version__,
        "runtime": environment.runtime,
        "capabilities": [
            *CAPABILITIES,
            *(["packed"] if would_pack(environment, lane, origin) else []),
        ],
        "loaded": environment.loaded(),
        "lock": environment.lock(),
    }


def would_pack(environment: Environment, lane: str | None, origin: str | None) -> bool:
    """Return True if this side would use the packed lane with a peer of the given origin.

    Each side tells the other; they use the packed lane if both would.
    """
    if lane is not None:
        return lane == "packed"
    return origin is None or (origin == environment.origin and origin != "null")


class ConnectOptions(NamedTuple):
    """The options of `connect`, `accept` or `listen`, after their checks."""

    origins: frozenset[str] | None
    """The allowed origins, as in ``event.origin``; None for a worker, which has no origin."""
    name: str
    heartbeat: float | None
    stack_switching: bool
    lane: str | None
    """The `lane` argument as the user gave it."""


def may_share_origin(environment: Environment, options: ConnectOptions) -> bool:
    """Return True if a peer may have this page's origin, and so can wait for its Web Lock."""
    return options.origins is None or not options.origins.isdisjoint({environment.origin, "*"})


def hold_lock(environment: Environment, options: ConnectOptions) -> Awaitable[Any] | None:
    """Hold this page's Web Lock if a peer may see its release, which shows the page's end.

    Return an awaitable until the lock is held; None if there is nothing to wait for.
    """
    return environment.hold_lock() if may_share_origin(environment, options) else None


MAX_NAME_LENGTH = 200
"""The limit of characters of a connection's name."""


type Origins = Origin | Iterable[Origin]
"""The `origin` argument: one origin or several."""


type Lane = Literal["packed", "clone"]
"""The `lane` argument: how values travel."""


def handshake_args(environment: Environment, options: ConnectOptions) -> dict[str, Any]:
    """Return the keyword arguments of the handshake's state machine."""
    return {
        "name": options.name,
        "opaque": environment.origin == "null",
        "allowed": options.origins or (),
        "worker": options.origins is None,
        "describe": partial(describe, environment, options.lane),
    }


def owner_of(environment: Environment) -> Any:
    """Return the window or worker that `accept` waits for if no `source` is given.

    Raises:
        HandshakeError: this page has neither a parent nor an opener.
    """
    owners = environment.owners(include_all=False)
    if not owners:
        raise HandshakeError(
            "nobody can connect to this page: it has neither a parent nor an opener; "
            "pass source= to name the window to wait for",
            "no-owner",
        )
    return owners[0]


def kind_of(environment: Environment, target: Any) -> str:
    """Return "frame", "window" or "worker".

    Raises:
        TypeError: it is none of these.
    """
    kind = environment.kind(target)
    if not kind:
        raise TypeError(f"not an iframe element, window or worker: {short_repr(target)}")
    return kind


def connect_options(
    environment: Environment,
    kind: str,
    origin: Origins | None,
    name: str,
    heartbeat: float | None,
    lane: Lane | None,
    *,
    stack_switching: bool,
) -> ConnectOptions:
    """Return the options of a connection.

    Raises:
        TypeError: the name is not a string of at most 200 characters, or see `origins_of`.
        ValueError: the lane or the heartbeat is not valid, or see `origins_of`.
    """
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
        raise TypeError(
            f"a name is a string of at most {MAX_NAME_LENGTH} characters: {short_repr(name)}"
        )
    if lane not in (None, "packed", "clone"):
        raise ValueError(f'lane is "packed", "clone" or None, not {short_repr(lane)}')
    origins = origins_of(environment, kind, origin)
    return ConnectOptions(
        origins, name, checked_seconds("heartbeat", heartbeat), stack_switching, lane
    )


def origins_of(
    environment: Environment, kind: str, origin: Origins | None
) -> frozenset[str] | None:
    """Return the allowed origins, as in ``event.origin``; None for a worker, which has no origin.

    Raises:
        TypeError: an origin was given for a worker.
        ValueError: an origin is malformed, this browser can't post to it, or no origin was given
            although this page's own origin is opaque.
    """
    if kind == "worker":
        if origin is not None:
            raise TypeError("a worker has no origin to check: leave origin= out")
        return None
    if origin is not None:
        found = allowed_origins(origin)
        check_targets(found)
        return found
    if environment.origin in {"", "null"}:
        raise ValueError(
            "this page's own origin is opaque, so there is no default: pass origin= to name the "
            "origin that you expect"
        )
    return frozenset({environment.origin})


def checked_seconds(argument: str, seconds: float | None) -> float | None:
    """Return a number of seconds as a float, or None if none was given.

    Raises:
        ValueError: it is not a number above 0.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(
            f"{argument} is a number of seconds above 0, or None: {short_repr(seconds)}"
        )
    return float(seconds)
