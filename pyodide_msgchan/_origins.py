"""Origins: parsed strictly, compared whole, never matched by a part."""

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
"""Of the schemes whose hosts a browser rewrites; a host of any other scheme stays as it is."""


_SHAPE: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://"
    r"(\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s\\\x00-\x20\x7f]*)(?::([0-9]{1,5}))?(/?)"
)


_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
"""A last label by which a browser takes the whole host for an IPv4 address."""


_HOST_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


_BROWSER_LABEL: Final = re.compile(r"[a-z0-9_-]*[a-z0-9_][a-z0-9_-]*")
"""Labels that browsers give out. They take stars and empty labels too, which no server has."""


def parse(origin: str) -> str:
    """Return an origin as browsers write it: lower case, no default port, no slash.

    In a browser an origin of http, https, ws, wss or ftp is what its `URL` makes of it; off the
    browser a host has to be ASCII. An origin of another scheme is taken as it is written.

    Raises:
        ValueError: it is no origin: without scheme or host, with a path, user, query or blanks,
            a host that no browser takes, a port beyond 65535.
        TypeError: it is no string.
    """
    if not isinstance(origin, str):
        raise TypeError(f"an origin is a string, not {type(origin).__name__}")
    match = _SHAPE.fullmatch(origin)
    if match is None:
        raise _malformed(origin, _complaint(origin))
    scheme, host = match[1].lower(), match[2]
    if scheme not in _DEFAULT_PORTS:
        if scheme == "file":
            raise _malformed(origin, "pass OPAQUE_ORIGIN for files")
        if not origin.isascii():
            raise _malformed(origin, "a browser writes it in ASCII")
        return scheme + origin[len(scheme) :].removesuffix("/" if match[4] else "")
    if not host:
        raise _malformed(origin, _complaint(origin))
    if in_browser():
        return _browser_form(origin)
    return _plain_form(origin, scheme, host.lower(), match[3])


def _malformed(origin: str, complaint: str) -> ValueError:
    return ValueError(f"{origin!r:.200} is not an origin: {complaint}")


def _complaint(origin: str) -> str:
    if origin in ("*", "null"):
        name = "ANY_ORIGIN" if origin == "*" else "OPAQUE_ORIGIN"
        return f"pass {name} if that is what you mean"
    if "://" not in origin:
        return "it needs a scheme and a host, like https://app.example"
    return (
        "it is a scheme, a host and perhaps a port, like https://app.example:8443, and nothing else"
    )


def _browser_form(origin: str) -> str:
    """Return what the browser's own `URL` makes of an origin, Unicode in the host included."""
    found = url_origin(origin)
    if found is None:
        raise _malformed(origin, "this browser refuses its host or its port")
    host = found.partition("://")[2]
    labels = host.partition(":")[0].removesuffix(".").split(".")
    if not host.startswith("[") and not all(map(_BROWSER_LABEL.fullmatch, labels)):
        raise _malformed(origin, f"{host!r} is not a host name")
    return found


def _plain_form(origin: str, scheme: str, host: str, port: str | None) -> str:
    """Return the same off the browser, where the host has to be in its final form already."""
    host = _plain_host(host, origin)
    if port is None or (number := int(port)) == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    if number > _LAST_PORT:
        raise _malformed(origin, "a port is at most 65535")
    return f"{scheme}://{host}:{number}"


def _plain_host(host: str, origin: str) -> str:
    if host.startswith("["):
        return f"[{_ipv6(host[1:-1], origin)}]"
    if not host.isascii():
        # Python's own codec is IDNA 2003, which makes another host of some names than browsers do.
        raise _malformed(
            origin,
            "off the browser write the host in its ASCII form (xn--...), as location.origin has it",
        )
    labels = host.removesuffix(".").split(".")
    if not all(map(_HOST_LABEL.fullmatch, labels)):
        raise _malformed(origin, f"{host!r} is not a host name")
    if _NUMBER.fullmatch(labels[-1]) and not _IPV4.fullmatch(host):
        raise _malformed(origin, f"{host!r} is not an address")
    return host


def _ipv6(text: str, origin: str) -> str:
    """Return an IPv6 address as the URL standard writes it, never with an IPv4 address in it."""
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
    """Return the word to post to: an exact origin, or ``*`` for the two that were named.

    Raises:
        ValueError: a string that is no origin, or one of a scheme that this browser can't post to.
        TypeError: neither a string nor one of the two names.
    """
    if isinstance(origin, SpecialOrigin):
        return "*"
    text = parse(origin)
    check_targets((text,))
    return text


def check_targets(origins: Iterable[str]) -> None:
    """Check that this browser can post to each of these origins; off the browser all pass.

    Raises:
        ValueError: the browser knows no such origin for the scheme, and would drop the message.
    """
    if not in_browser():
        return
    for text in origins:
        if text not in ("*", "null") and url_origin(text) != text:
            raise ValueError(
                f"{text!r:.200} can't be posted to: this browser gives addresses of that scheme "
                "no origin of their own; pass ANY_ORIGIN, and check what you hear"
            )


def allowed_origins(origin: Origin | Iterable[Origin]) -> frozenset[str]:
    """Return the set of origins as they stand in ``event.origin``; ``*`` in it allows every one.

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
