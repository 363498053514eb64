"""Rows: connections between windows: handing over, names, refusals, ends."""

import asyncio
from typing import Any

import js
import page

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    HandshakeError,
    HandshakeTimeoutError,
    MessageChannel,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    accept,
    connect,
)

from .compare import Raised, attempt, outcome
from .rows import group, scenario
from .scene import KINDS, Peer

row = group("connections", "Connections")

HANDSHAKE = "this package, wire of the handshake; HTML 9.3.3 below it"
ALL = ("same", "cross", "sandbox", "worker", "popup")

_kept: set[Any] = set()


def host_options() -> dict[str, Any]:
    """Give whom another page waits for; a worker has no origins."""
    return {"origin": page.host} if page.host else {}


@scenario
async def echo(name: str) -> None:
    """Take one caller of that name, and send everything back until it closes."""
    connection = await accept(name=name, **host_options())
    async for message in connection:
        connection.post_message(message)


@scenario
async def echo_soon(name: str) -> None:
    """Begin with `echo`, and return at once."""
    task = asyncio.ensure_future(echo(name))
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    await asyncio.sleep(0)


@scenario
async def give_and_close(name: str, count: int) -> None:
    """Take one caller, send it numbers and close at once."""
    connection = await accept(name=name, **host_options())
    for number in range(count):
        connection.post_message(number)
    connection.close()


def unfinished(coroutine: Any) -> asyncio.Task[Any]:
    """Run something beside the row."""
    return asyncio.ensure_future(coroutine)


for kind in ALL:

    @row(
        f"connection-caller-first-{kind}",
        f"The caller may be first ({KINDS[kind].lower()})",
        source=HANDSHAKE,
        expected=["one", {"two": [2]}],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        name = f"caller first {kind}"
        calling = unfinished(_connected(peer, name))
        await asyncio.sleep(0)
        there = unfinished(peer.run(echo, name))
        async with await calling as connection:
            got = await _there_and_back(connection)
        await there
        return got

    @row(
        f"connection-listener-first-{kind}",
        f"The listener may be first ({KINDS[kind].lower()})",
        source=HANDSHAKE,
        expected=["one", {"two": [2]}],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        name = f"listener first {kind}"
        await peer.run(echo_soon, name)
        async with connect(peer.target, name=name, timeout=8, **peer.options) as connection:
            return await _there_and_back(connection)

    @row(
        f"connection-peer-{kind}",
        f"A connection knows who is there ({KINDS[kind].lower()})",
        source=HANDSHAKE,
        expected=(True, True, True),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        about = peer.connection.peer
        wanted = "null" if peer.origin == OPAQUE_ORIGIN else peer.origin
        runtime = about.runtime.startswith("pyodide ")
        return about.origin == wanted, runtime, "clone" in about.capabilities

    @row(
        f"connection-all-before-goodbye-{kind}",
        f"All that was sent before a close is delivered ({KINDS[kind].lower()})",
        source="HTML 9.4.4, close(); this package: the goodbye counts",
        expected=(list(range(300)), "ended"),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        name = f"goodbye {kind}"
        giving = unfinished(peer.run(give_and_close, name, 300))
        async with connect(peer.target, name=name, timeout=8, **peer.options) as connection:
            got = [message async for message in connection]
            await giving
            return got, "ended"

    @row(
        f"connection-peer-closed-{kind}",
        f"receive says that the other side closed ({KINDS[kind].lower()})",
        source=HANDSHAKE,
        expected=Raised(PeerClosedError),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        name = f"closing {kind}"
        giving = unfinished(peer.run(give_and_close, name, 0))
        async with connect(peer.target, name=name, timeout=8, **peer.options) as connection:
            got = await outcome(connection.receive())
            await giving
            return got


async def _connected(peer: Peer, name: str) -> Any:
    return await connect(peer.target, name=name, timeout=8, **peer.options)


async def _there_and_back(connection: Any) -> list[Any]:
    connection.post_message("one")
    connection.post_message({"two": [2]})
    return [await connection.receive(), await connection.receive()]


for kind in ("same", "cross", "sandbox", "worker", "popup"):

    @row(
        f"connection-javascript-{kind}",
        f"A page without Python takes part by msgchan.mjs ({KINDS[kind].lower()})",
        source=HANDSHAKE,
        expected=("javascript", "back"),
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            one, two = MessageChannel()
            async with one:
                await peer.run("echo", two, transfer=[two])
                one.post_message("back")
                return peer.connection.peer.runtime, await one.receive()


for kind in ("same", "cross", "sandbox", "worker", "popup"):

    @row(
        f"connection-lost-{kind}",
        f"A peer that is taken away is noticed ({KINDS[kind].lower()})",
        source="HTML 9.4.4 has no event for it; this package: goodbye, element, Web Lock",
        expected=Raised(PeerLostError),
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            waiting = unfinished(outcome(peer.connection.receive()))
            await asyncio.sleep(0)
            peer.remove()
            return await waiting


@row(
    "connection-names",
    "Two names on one window never mix",
    source=HANDSHAKE,
    expected=["first", "second"],
    needs="cross",
)
async def _(scene: Any) -> Any:
    peer = scene.cross
    await peer.run(echo_soon, "name one")
    await peer.run(echo_soon, "name two")
    options = {"timeout": 8, **peer.options}
    async with (
        connect(peer.target, name="name two", **options) as second,
        connect(peer.target, name="name one", **options) as first,
    ):
        first.post_message("first")
        second.post_message("second")
        return [await first.receive(), await second.receive()]


@row(
    "connection-taken",
    "While an accept is taken, another caller of the name fails at once",
    source=HANDSHAKE,
    expected=Raised(HandshakeError, code="taken"),
    needs="cross",
)
async def _(scene: Any) -> Any:
    return await outcome(
        _once(connect(scene.cross.target, name="check", timeout=8, **scene.cross.options))
    )


async def _once(connecting: Any) -> Any:
    async with connecting as connection:
        return connection.peer


@row(
    "connection-wrong-origin",
    "A page of another origin is not connected to, and the error names it",
    source="HTML 9.3.2, security: check the origin",
    expected=(HandshakeTimeoutError, True),
)
async def _(scene: Any) -> Any:
    async with scene.light("same") as peer:
        options: dict[str, Any] = {"origin": "https://elsewhere.example", "timeout": 1.5}
        connecting = _once(connect(peer.target, name="elsewhere", **options))
        waiting = unfinished(outcome(connecting))
        await asyncio.sleep(0)
        await peer.run("accept_more", "elsewhere")  # which says hello from its real origin
        got = await waiting
        return got.kind, page.host in got.fields["text"]


@row(
    "connection-nobody",
    "Where nobody answers, the error says so after its time",
    source=HANDSHAKE,
    expected=Raised(HandshakeTimeoutError),
)
async def _(scene: Any) -> Any:
    async with scene.light("same") as peer:
        connecting = connect(peer.target, name="nobody", timeout=0.3, **peer.options)
        return await outcome(_once(connecting))


@row(
    "connection-no-parent",
    "A page without parent and opener has nobody to wait for",
    source=HANDSHAKE,
    expected=True,
)
async def _(scene: Any) -> Any:
    if js.window.parent != js.window or js.window.opener:
        return True  # this page itself is in a frame, or was opened by another one
    got = await outcome(accept(name="nobody", timeout=0.3))
    return got.kind is HandshakeError


@row(
    "connection-removed-meanwhile",
    "Who waits for a frame that is removed learns it at once",
    source=HANDSHAKE,
    expected=Raised(HandshakeError),
)
async def _(scene: Any) -> Any:
    async with scene.light("same") as peer:
        waiting = unfinished(outcome(_once(connect(peer.target, name="never", **peer.options))))
        await asyncio.sleep(0)
        peer.remove()
        return await waiting


@row(
    "connection-detached",
    "A frame that is in no document fails at once",
    source=HANDSHAKE,
    expected=Raised(HandshakeError, code="detached"),
)
async def _(scene: Any) -> Any:
    del scene
    frame = js.document.createElement("iframe")
    return await outcome(_once(connect(frame, origin=page.host, timeout=8)))


@row(
    "connection-worker-missing",
    "A worker whose script is missing fails as soon as the browser says so",
    source=HANDSHAKE,
    expected=Raised(HandshakeError, code="worker-failed"),
)
async def _(scene: Any) -> Any:
    del scene
    worker = js.Worker.new("there-is-no-such-worker.mjs", type="module")
    return await outcome(_once(connect(worker, timeout=8)))


@row(
    "connection-not-a-target",
    "What is neither frame nor window nor worker is refused",
    source=HANDSHAKE,
    expected=Raised(TypeError),
)
async def _(scene: Any) -> Any:
    return attempt(connect, js.document)


@row(
    "connection-malformed-origin",
    "An origin with a path is refused at once",
    source=HANDSHAKE,
    expected=Raised(ValueError),
)
async def _(scene: Any) -> Any:
    return attempt(connect, js.window, origin="https://app.example/path")


@row(
    "connection-worker-origin",
    "A worker has no origin to check",
    source=HANDSHAKE,
    expected=Raised(TypeError),
    needs="worker",
)
async def _(scene: Any) -> Any:
    return attempt(connect, scene.worker.target, origin=page.host)


@row(
    "connection-not-transferred",
    "A connection itself can't be sent on",
    source=HANDSHAKE,
    expected=True,
    needs="same",
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        connection = scene.same.connection
        got = attempt(one.post_message, connection, transfer=[connection])
        return got.kind.__name__ == "DataCloneError" and not connection.closed


@row(
    "connection-closed-here",
    "After close this side says so",
    source=HANDSHAKE,
    expected=(Raised(PortClosedError), Raised(PortClosedError)),
    needs="same",
)
async def _(scene: Any) -> Any:
    await scene.same.run(echo_soon, "closed here")
    options = {"timeout": 8, **scene.same.options}
    async with connect(scene.same.target, name="closed here", **options) as connection:
        waiting = unfinished(outcome(connection.receive()))
        await asyncio.sleep(0)
        connection.close()
        return await waiting, attempt(connection.post_message, 1)
