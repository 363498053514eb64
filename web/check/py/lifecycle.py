"""Rows: frames, windows and workers that go, and what those who talked to them see."""

import asyncio
from typing import Any

from pyodide_msgchan import MessageChannel, PeerClosedError, PeerLostError, connect

from .compare import Raised, outcome
from .rows import group, scenario
from .scene import KINDS

row = group("lifecycle", "Lifecycle")

GONE = "HTML 7.3.1, destroying documents; README, Ports: the peer vanished"
LIMIT = 20


@scenario
async def work_on() -> None:
    """Never come to an end."""
    await asyncio.get_running_loop().create_future()


@scenario
async def nothing() -> None:
    """Show that what was asked before has begun."""


async def read_all(connection: Any) -> list[Any]:
    """Give what comes until the connection ends, and how it ends."""
    got: list[Any] = []
    while True:
        message = await outcome(connection.receive())
        got.append(message)
        if isinstance(message, Raised):
            return got


for kind in KINDS:
    how = {"worker": "terminated", "popup": "closed"}.get(kind, "removed")

    @row(
        f"life-remove-{kind}",
        f"Who waits for a page that is {how} is told ({KINDS[kind].lower()})",
        source=GONE,
        expected=Raised(PeerLostError),
        limit=LIMIT,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            waiting = asyncio.ensure_future(outcome(peer.connection.receive()))
            await peer.run("burst", 0)  # it is there, and idle again
            peer.remove()
            return await waiting


for kind in ("same", "cross", "sandbox"):

    @row(
        f"life-navigate-{kind}",
        f"What a page sends before it goes to another address arrives ({KINDS[kind].lower()})",
        source=f"{GONE}; HTML 7.4.2.2, unloading documents, pagehide",
        expected=[0, 1, 2, Raised(PeerLostError)],
        limit=LIMIT,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            going = asyncio.ensure_future(outcome(peer.run("navigate", 3)))
            got = await read_all(peer.connection)
            await going
            return got

    @row(
        f"life-reload-{kind}",
        f"A page that reloads is a new peer, which `async for` gives ({KINDS[kind].lower()})",
        source=f"{GONE}; HTML 7.4.4, reload",
        expected=[[0, 1, Raised(PeerLostError)], 0],
        limit=LIMIT,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind, connected=False) as peer:
            got: list[Any] = []
            async for connection in connect(peer.target, name="light", **peer.options):
                peer.connection = connection
                if got:  # the page that came after it
                    await peer.run("burst", 1)
                    return [got, await connection.receive()]
                going = asyncio.ensure_future(outcome(peer.run("reload", 2)))
                got = await read_all(connection)
                await going


for kind in KINDS:

    @row(
        f"life-goodbye-{kind}",
        f"All that was sent before a goodbye arrives, then the peer has closed "
        f"({KINDS[kind].lower()})",
        source="HTML 9.4.4, close(); README, Ports: the peer closed",
        expected=[500, Raised(PeerClosedError)],
        limit=LIMIT,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            going = asyncio.ensure_future(outcome(peer.run("leave", 500)))
            got = await read_all(peer.connection)
            await going
            return [len(got) - 1, got[-1]]


@row(
    "life-request",
    "A request to a page that goes away ends with that",
    source=GONE,
    expected=Raised(PeerLostError),
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        asked = asyncio.ensure_future(outcome(peer.run("hang")))
        await peer.run("burst", 0)
        peer.remove()
        return await asked


@row(
    "life-iteration",
    "Iteration over a connection says that the peer vanished",
    source=GONE,
    expected=[[0, 1, 2], Raised(PeerLostError)],
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    got = []

    async def read(connection: Any) -> None:
        async for message in connection:
            got.append(message)
            if len(got) == 3:
                peer.remove()

    async with scene.light() as peer:
        reading = asyncio.ensure_future(outcome(read(peer.connection)))
        await peer.run("burst", 3)
        return [got, await reading]


@row(
    "life-post-lost",
    "Posting to a page that is gone says so",
    source=GONE,
    expected=[True, Raised(PeerLostError)],
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        connection = peer.connection
        peer.remove()
        await connection.wait_closed()

        async def post() -> None:
            connection.post_message(1)

        return [connection.closed, await outcome(post())]


@row(
    "life-bare-port",
    "Posting on a bare port whose page is gone is no error, as in every browser",
    source="HTML 9.4.5, ports and garbage collection; wpt webmessaging/message-channels",
    expected=[None, False],
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        one, two = MessageChannel()
        async with one:
            await peer.run("echo", two, transfer=[two])
            peer.remove()
            await peer.connection.wait_closed()
            return [one.post_message("to nobody"), one.closed]


@row(
    "life-outlives",
    "A channel outlives the frame through which one of its ports has passed",
    source="HTML 9.4.4, transfer steps",
    expected="through",
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    async with scene.light("cross") as peer:
        carrier, far = MessageChannel()
        one, two = MessageChannel()
        async with carrier, one:
            await peer.run("echo", far, transfer=[far])
            carrier.post_message(None, transfer=[two])
            [moved] = (await carrier.receive_event()).ports
            peer.remove()
            await peer.connection.wait_closed()
            async with moved:
                one.post_message("through")
                return await moved.receive()


@row(
    "life-hidden",
    "A frame that is not displayed takes part like any other",
    source="HTML 4.8.5, the iframe element: being rendered is no condition",
    expected=["a", "b"],
    limit=LIMIT,
)
async def _(scene: Any) -> Any:
    async with scene.light() as peer:
        peer.target.style.display = "none"
        one, two = MessageChannel()
        async with one:
            await peer.run("echo", two, transfer=[two])
            one.post_message("a")
            one.post_message("b")
            return [await one.receive(), await one.receive()]


@row(
    "life-python-removed",
    "A Python frame that is removed in the midst of its work is lost like any other",
    source=GONE,
    expected=Raised(PeerLostError),
    limit=120,
)
async def _(scene: Any) -> Any:
    async with scene.python() as peer:
        asked = asyncio.ensure_future(outcome(peer.run(work_on)))
        await peer.run(nothing)
        peer.remove()
        return await asked
