"""What was asked for when a connection is opened: checked, and as the peer is told of it."""

from __future__ import annotations

from collections.abc import Iterable
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
"""What this side can do, as the other is told."""


def describe(environment: Environment, lane: str | None, origin: str | None) -> dict[str, Any]:
    """Return what a peer of that origin is told of this side."""
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
    """Return True if this side would speak the packed lane with a peer of that origin.

    Both sides ask this, and tell each other; they do if both would.
    """
    if lane is not None:
        return lane == "packed"
    return origin is None or (origin == environment.origin and origin != "null")


class ConnectOptions(NamedTuple):
    """What was asked for, checked."""

    origins: frozenset[str] | None
    """Whom to hear, as in ``event.origin``; None for a worker, which has none."""
    name: str
    heartbeat: float | None
    stack_switching: bool
    lane: str | None
    """What the caller said, if anything."""


def may_share_origin(environment: Environment, options: ConnectOptions) -> bool:
    """Return True if peers may be of this page's origin, and so see its lock come free."""
    return options.origins is None or not options.origins.isdisjoint({environment.origin, "*"})


async def hold_lock(environment: Environment, options: ConnectOptions) -> None:
    """Let peers that may be near see this page's end by its lock."""
    if may_share_origin(environment, options) and (held := environment.hold_lock()) is not None:
        await held


MAX_NAME_LENGTH = 200


type Origins = Origin | Iterable[Origin]


type Lane = Literal["packed", "clone"]


def handshake_args(environment: Environment, options: ConnectOptions) -> dict[str, Any]:
    """Return what the handshake has to know of this page and of what was asked for."""
    return {
        "name": options.name,
        "opaque": environment.origin == "null",
        "allowed": options.origins or (),
        "worker": options.origins is None,
        "about": partial(describe, environment, options.lane),
    }


def owner_of(environment: Environment) -> Any:
    """Return who is waited for in a page or worker that names nobody.

    Raises:
        HandshakeError: there is nobody.
    """
    owners = environment.owners(everybody=False)
    if not owners:
        raise HandshakeError(
            "nobody can connect to this page: it has neither a parent nor an opener; "
            "source= names the window to wait for",
            "no-owner",
        )
    return owners[0]


def kind_of(environment: Environment, target: Any) -> str:
    """Return "frame", "window" or "worker".

    Raises:
        TypeError: it is none of them.
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
    """Check what was asked for."""
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
    """Return the origins to hear, as in ``event.origin``; None for a worker, which has none.

    Raises:
        TypeError: one was given for a worker.
        ValueError: one is malformed, or this browser can't post to it, or one is needed since this
            page's own is opaque.
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
            "this page's own origin is opaque, so there is no default: origin= says whom to expect"
        )
    return frozenset({environment.origin})


def checked_seconds(what: str, seconds: float | None) -> float | None:
    """Return a time as it was asked for.

    Raises:
        ValueError: it is no number above 0.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(f"{what} is a number of seconds above 0, or None: {short_repr(seconds)}")
    return float(seconds)
