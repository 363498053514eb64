"""Rows: remote calls to and from the unmodified Comlink."""

import math
from collections.abc import Callable
from typing import Any

from pyodide.ffi import JsProxy

from pyodide_msgchan import (
    MessageChannel,
    RemoteError,
    expose,
    new,
    wrap,
)

from .calls import WIRE, Service
from .compare import Raised, outcome
from .rows import group
from .scene import KINDS

row = group("calls", "Remote calls")

COMLINK = ("same", "cross", "sandbox", "worker")


async def with_comlink(scene: Any, kind: str, work: Callable[[Any], Any]) -> Any:
    """Wrap what an unmodified Comlink exposes in a page without Python."""
    async with scene.light(kind) as peer:
        near, far = MessageChannel()
        async with near:
            await peer.run("comlink_expose", far, transfer=[far])
            return await work(wrap(near))


for kind in COMLINK:

    @row(
        f"comlink-exposes-{kind}",
        f"Python calls what Comlink exposes ({KINDS[kind].lower()})",
        source=WIRE,
        expected=[3, "deep", [2, 4], 6],
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async def work(remote: Any) -> Any:
            seen: list[Any] = []
            counter = await new(remote.Counter, 5)
            await remote.each([1, 2], lambda item: seen.append(2 * item))
            return [
                await remote.add(1, 2),
                await remote.nested.deep,
                seen,
                await counter.up(),
            ]

        return await with_comlink(scene, kind, work)

    @row(
        f"comlink-error-{kind}",
        f"An error of JavaScript arrives with its name ({KINDS[kind].lower()})",
        source=WIRE,
        expected=("RangeError", "too far", True),
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async def work(remote: Any) -> Any:
            try:
                await remote.fail()
            except RemoteError as error:
                return error.name, error.message, isinstance(error, ValueError)

        return await with_comlink(scene, kind, work)

    @row(
        f"comlink-wraps-{kind}",
        f"Comlink calls what Python exposes ({KINDS[kind].lower()})",
        source=WIRE,
        expected=[3, "light", "dark", 11, [10, 20], "ValueError caught"],
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            near, far = MessageChannel()
            async with near:
                expose(Service(), near, nested=["settings"], writable=["settings.theme"])
                return await peer.run("comlink_wrap", far, transfer=[far])


@row(
    "comlink-keywords",
    "Keyword arguments for JavaScript are refused, or become one last object",
    source="this package",
    expected=(Raised(TypeError), [1, {"a": 2}]),
)
async def _(scene: Any) -> Any:
    async with scene.light("same") as peer:
        near, far = MessageChannel()
        async with near:
            await peer.run("comlink_expose", far, transfer=[far])
            refused = await outcome(wrap(near).args(1, a=2))
            return refused, await wrap(near, kwargs="object").args(1, a=2)


@row(
    "comlink-values",
    "Values to Comlink and back",
    source=WIRE,
    expected=[None, True, 1.5, math.inf, "text", b"\1\2", [1, [2]], {"a": None}],
)
async def _(scene: Any) -> Any:
    async def work(remote: Any) -> Any:
        values = [None, True, 1.5, math.inf, "text", b"\1\2", [1, [2]], {"a": None}]
        got = [await remote.same(value) for value in values]
        return [item.to_py() if isinstance(item, JsProxy) else item for item in got]

    return await with_comlink(scene, "same", work)
