"""Origins: parsed strictly, compared whole, never matched by a part."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, final

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
    "Origin",
    "SpecialOrigin",
    "allowed_origins",
    "target_origin",
]


@final
class SpecialOrigin:
    """A named exception to the rule that an origin is an exact string."""

    __slots__ = ("_name", "text")

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self.text = text

    def __repr__(self) -> str:
        """Show the public name."""
        return self._name


ANY_ORIGIN: Final = SpecialOrigin("ANY_ORIGIN", "*")
"""Every origin. As a target: whoever stands in that window reads the message and gets its ports."""

OPAQUE_ORIGIN: Final = SpecialOrigin("OPAQUE_ORIGIN", "null")
"""Pages without an origin that can be named: sandboxed frames, ``data:`` and ``file:``.

All of them say "null", so this names a kind of page and not one page. As a target it has to be
posted to ``*``, since a browser takes no other word for such a page.
"""

type Origin = str | SpecialOrigin

_LAST_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_SHAPE: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s\\]+)(?::(\d{1,5}))?(/?)"
)
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}")
_HOST_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


def parse(origin: str) -> str:
    """Give an origin as browsers write it: lower case, no default port, no slash.

    Raises:
        ValueError: it is no origin: without scheme or host, with a path, user, query or blanks,
            a host that no browser takes, a port beyond 65535.
        TypeError: it is no string.
    """
    if not isinstance(origin, str):
        raise TypeError(f"an origin is a string, not {type(origin).__name__}")
    match = _SHAPE.fullmatch(origin)
    if match is None:
        raise ValueError(f"{origin!r} is not an origin: {_complaint(origin)}")
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    host = _host(host, origin)
    if port is None or (number := int(port)) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    if number > _LAST_PORT:
        raise ValueError(f"{origin!r} is not an origin: a port is at most 65535")
    return f"{scheme}://{host}:{number}"


def _complaint(origin: str) -> str:
    if origin in ("*", "null"):
        name = "ANY_ORIGIN" if origin == "*" else "OPAQUE_ORIGIN"
        return f"pass {name} if that is what you mean"
    if "://" not in origin:
        return "it needs a scheme and a host, like https://app.example"
    return (
        "it is a scheme, a host and perhaps a port, like https://app.example:8443, and nothing else"
    )


def _host(host: str, origin: str) -> str:
    if host.startswith("["):
        import ipaddress  # noqa: PLC0415 - it takes as long to load as all of this package

        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError as error:
            raise ValueError(f"{origin!r} is not an origin: {error}") from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(
                f"{origin!r} is not an origin: no such host name can be written"
            ) from None
    labels = host.removesuffix(".").split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{origin!r} is not an origin: {host!r} is not a host name")
    if labels[-1].isdigit() and not _IPV4.fullmatch(host):
        raise ValueError(f"{origin!r} is not an origin: {host!r} is not an address")
    return host


def target_origin(origin: Origin) -> str:
    """Give the word to post to: an exact origin, or ``*`` for the two that were named.

    Raises:
        ValueError: a string that is no origin.
        TypeError: neither a string nor one of the two names.
    """
    if isinstance(origin, SpecialOrigin):
        return "*"
    return parse(origin)


def allowed_origins(origin: Origin | Iterable[Origin]) -> frozenset[str]:
    """Give the set of origins as they stand in ``event.origin``; ``*`` in it allows every one.

    Raises:
        ValueError: a string that is no origin, or no origin at all.
        TypeError: something that is neither.
    """
    if isinstance(origin, (str, SpecialOrigin)):
        origin = (origin,)
    found = frozenset(one.text if isinstance(one, SpecialOrigin) else parse(one) for one in origin)
    if not found:
        raise ValueError("no origin is allowed: name at least one")
    return found
