"""Rows: what can't be reached by remote calls, and how they end."""

import asyncio
from typing import Any

from pyodide_msgchan import (
    MessageChannel,
    PeerClosedError,
    expose,
    wrap,
)

from .calls import Service
from .compare import Raised, attempt, outcome
from .rows import group

row = group("calls", "Remote calls")

UNREACHABLE = (
    "_private",
    "settings._secret",
    "__class__",
    "__init__",
    "add.__globals__",
    "add.__call__",
    "constructor",
    "__proto__",
    "items.keys",
    "version.upper",
    "nothing",
    "settings.theme.upper",
    "later.__code__",
)

for path in UNREACHABLE:

    @row(
        f"call-refused-{path}",
        f"{path} is not reachable, whoever asks on the wire, and the error names it",
        source="this package: only what is declared",
        expected=("throw", True, True),
    )
    async def _(scene: Any, path: str = path) -> Any:
        one, two = MessageChannel()
        async with one, two:
            expose(Service(), two, nested=["settings"])
            names = path.split(".")
            for kind in ("GET", "APPLY"):
                one.post_message({"id": kind, "type": kind, "path": names, "argumentList": []})
            read, called = [await one.receive() for _ in range(2)]
            told = [path in reply["value"]["value"]["message"] for reply in (read, called)]
            return read["name"], all(told), called["value"]["isError"]


@row(
    "call-ended",
    "When the port is closed over there every call ends",
    source="this package",
    expected=(Raised(PeerClosedError), Raised(PeerClosedError)),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    expose(Service(), two)
    remote = wrap(one)
    pending = asyncio.ensure_future(outcome(remote.forever()))
    await remote.add(1, 1)
    two.close()
    return await pending, attempt(remote.add, 1, 1)
