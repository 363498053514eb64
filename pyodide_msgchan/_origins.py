"""Origins: strict parsing, and comparison of whole origins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, final

from pyodide_msgchan._bridge.bridge import in_browser
from pyodide_msgchan._bridge.ffi import url_origin

__all__ = [
    "ANY_ORIGIN",
    "OPAQUE_ORIGIN",
    "Origin",
    "SpecialOrigin",
    "allowed_origins",
    "check_targets",
    "parse",
    "target_origin",
]


@final
class SpecialOrigin:
    """The type of ANY_ORIGIN and OPAQUE_ORIGIN, which are not exact origins."""

    __slots__ = ("_name", "text")

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self.text: str = text

    def __repr__(self) -> str:
        """Return the public name."""
        return self._name


ANY_ORIGIN: Final = SpecialOrigin("ANY_ORIGIN", "*")
"""Allows every origin. As a target, any page in the window receives the message and its ports."""


OPAQUE_ORIGIN: Final = SpecialOrigin("OPAQUE_ORIGIN", "null")
"""Allows pages with an opaque origin: sandboxed frames, ``data:`` and ``file:`` pages.

The origin of each of them reads "null", so this stands for all such pages and not for one. As a
target it is posted to ``*``, since browsers accept no other target origin for such a page. See the
HTML standard, 7.1.1 Origins.
"""


type Origin = str | SpecialOrigin


_MAX_PORT: Final = 65535


_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
"""The default port of each scheme whose hosts browsers normalize."""


_ORIGIN_PATTERN: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://"
    r"(\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s\\\x00-\x20\x7f]*)(?::([0-9]{1,5}))?(/?)"
)


_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
"""A last label that makes a browser parse the whole host as an IPv4 address."""


_HOST_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


_BROWSER_LABEL: Final = re.compile(r"[a-z0-9_-]*[a-z0-9_][a-z0-9_-]*")
"""Labels in hosts that browsers return. Stars and empty labels, which they allow, are refused."""


def parse(origin: str) -> str:
    """Return an origin as browsers write it: in lower case, without default port and slash.

    In a browser, `URL` normalizes origins of http, https, ws, wss and ftp; outside of a browser
    their host must be ASCII. Origins of other schemes are returned as they are written.

    Raises:
        ValueError: the string is not an origin: it has no scheme or host; it has a path, user,
            query or blanks; no browser accepts the host; or the port is above 65535.
        TypeError: it is not a string.
    """
    if not isinstance(origin, str):
        raise TypeError(f"an origin is a string, not {type(origin).__name__}")
    match = _ORIGIN_PATTERN.fullmatch(origin)
    if match is None:
        raise _malformed(origin, _reason(origin))
    scheme, host = match[1].lower(), match[2]
    if scheme not in _DEFAULT_PORTS:
        if scheme == "file":
            raise _malformed(origin, "pass OPAQUE_ORIGIN for files")
        if not origin.isascii():
            raise _malformed(origin, "a browser writes it in ASCII")
        return scheme + origin[len(scheme) :].removesuffix("/" if match[4] else "")
    if not host:
        raise _malformed(origin, _reason(origin))
    if in_browser():
        return _normalize_in_browser(origin)
    return _normalize(origin, scheme, host.lower(), match[3])


def _malformed(origin: str, reason: str) -> ValueError:
    return ValueError(f"{origin!r:.200} is not an origin: {reason}")


def _reason(origin: str) -> str:
    if origin in ("*", "null"):
        name = "ANY_ORIGIN" if origin == "*" else "OPAQUE_ORIGIN"
        return f"pass {name} if that is what you mean"
    if "://" not in origin:
        return "it needs a scheme and a host, like https://app.example"
    return (
        "it is a scheme, a host and perhaps a port, like https://app.example:8443, and nothing else"
    )


def _normalize_in_browser(origin: str) -> str:
    """Return the origin as the browser's `URL` normalizes it, also for a Unicode host."""
    normalized = url_origin(origin)
    if normalized is None:
        raise _malformed(origin, "this browser refuses its host or its port")
    host = normalized.partition("://")[2]
    labels = host.partition(":")[0].removesuffix(".").split(".")
    if not host.startswith("[") and not all(map(_BROWSER_LABEL.fullmatch, labels)):
        raise _malformed(origin, f"{host!r} is not a host name")
    return normalized


def _normalize(origin: str, scheme: str, host: str, port: str | None) -> str:
    """Return the normalized origin without the help of a browser: the host must be ASCII."""
    host = _normalize_host(host, origin)
    if port is None or (number := int(port)) == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    if number > _MAX_PORT:
        raise _malformed(origin, "a port is at most 65535")
    return f"{scheme}://{host}:{number}"


def _normalize_host(host: str, origin: str) -> str:
    if host.startswith("["):
        return f"[{_ipv6(host[1:-1], origin)}]"
    if not host.isascii():
        # Python's codec implements IDNA 2003, which maps some names to other hosts than URL does.
        raise _malformed(
            origin,
            "outside of a browser, write the host in its ASCII form (xn--...), as location.origin "
            "shows it",
        )
    labels = host.removesuffix(".").split(".")
    if not all(map(_HOST_LABEL.fullmatch, labels)):
        raise _malformed(origin, f"{host!r} is not a host name")
    if _NUMBER.fullmatch(labels[-1]) and not _IPV4.fullmatch(host):
        raise _malformed(origin, f"{host!r} is not an address")
    return host


def _ipv6(text: str, origin: str) -> str:
    """Return an IPv6 address as the URL standard writes it, without a dotted IPv4 part."""
    import ipaddress  # noqa: PLC0415 - it takes as long to load as all of this package

    try:
        number = int(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise _malformed(origin, str(error)) from None
    groups = ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
    zeros = max(re.findall(r"\b0(?::0)+\b", groups), key=len, default="")
    if not zeros:
        return groups
    before, _, after = f":{groups}:".partition(f":{zeros}:")
    return f"{before.removeprefix(':')}::{after.removesuffix(':')}"


def target_origin(origin: Origin) -> str:
    """Return the target origin for posting: an exact origin, or ``*`` for a special origin.

    Raises:
        ValueError: the string is not an origin, or this browser can't post to its scheme.
        TypeError: it is neither a string nor ANY_ORIGIN or OPAQUE_ORIGIN.
    """
    if isinstance(origin, SpecialOrigin):
        return "*"
    text = parse(origin)
    check_targets((text,))
    return text


def check_targets(origins: Iterable[str]) -> None:
    """Check that this browser can post to each of these origins; outside of one all pass.

    Raises:
        ValueError: the browser gives the scheme no origins, so it would drop the message.
    """
    if not in_browser():
        return
    for text in origins:
        if text not in ("*", "null") and url_origin(text) != text:
            raise ValueError(
                f"{text!r:.200} can't be posted to: this browser gives addresses of that scheme "
                "no origin of their own; pass ANY_ORIGIN, and check the origin of what you receive"
            )


def allowed_origins(origin: Origin | Iterable[Origin]) -> frozenset[str]:
    """Return the allowed origins as ``event.origin`` writes them; ``*`` allows every origin.

    Raises:
        ValueError: a string is not an origin, or no origin was given.
        TypeError: an item is neither a string nor ANY_ORIGIN or OPAQUE_ORIGIN.
    """
    if isinstance(origin, (str, SpecialOrigin)):
        origin = (origin,)
    found = frozenset(one.text if isinstance(one, SpecialOrigin) else parse(one) for one in origin)
    if not found:
        raise ValueError("no origin is allowed: name at least one")
    return found
