"""Rows: what connections are used for: frames of one's own, introductions, slower readers."""

from typing import Any

import js
import page

from pyodide_msgchan import (
    ANY_ORIGIN,
    OPAQUE_ORIGIN,
    MessageChannel,
    MessagePort,
    PortStateError,
    accept,
    connect,
    introduce,
    introduced,
    open_frame,
)

from .compare import Raised, outcome
from .connections import HANDSHAKE, host_options, unfinished
from .rows import group, scenario

row = group("connections", "Connections")


@row(
    "connection-open-frame",
    "open_frame puts a frame up, connects, and takes it away",
    source=HANDSHAKE,
    expected=("javascript", 1, 0),
)
async def _(scene: Any) -> Any:
    def frames() -> int:
        return int(js.document.querySelectorAll("iframe[data-row=opened]").length)

    address = f"check/light.html?{page.query('same')}"
    options: dict[str, Any] = {"name": "light", "attributes": {"data-row": "opened", "hidden": ""}}
    async with open_frame(address, **options) as connection:
        got = connection.peer.runtime, frames()
    return (*got, frames())


@row(
    "connection-open-frame-sandboxed",
    "open_frame asks for OPAQUE_ORIGIN where the sandbox makes it so",
    source="HTML 7.1.5, sandboxing: the opaque origin",
    expected=(Raised(ValueError), "null"),
)
async def _(scene: Any) -> Any:
    address = f"check/light.html?{page.query('sandbox')}"
    options: dict[str, Any] = {"sandbox": "allow-scripts", "name": "light"}
    hidden = {"hidden": ""}

    async def opened(**more: Any) -> Any:
        async with open_frame(address, attributes=hidden, **options, **more) as connection:
            return connection.peer.origin

    return await outcome(opened()), await opened(origin=OPAQUE_ORIGIN)


@scenario
async def meet(port: MessagePort) -> Any:
    """Wait to be introduced on a connection of its own, and talk with whom it met."""
    async with port:
        name = await port.receive()
        connection = await accept(name=name, **host_options())
        async with await introduced(connection) as met:
            met.post_message(met.introduction)
            said = await met.receive()
            await port.receive()  # until the other one has heard it too
            plain = await connection.receive()
            return [said, met.peer.runtime.split()[0], met.origin_verified, met.lane, plain]


@row(
    "connection-introduce",
    "Two frames that were introduced talk directly, and a receive sees messages alone",
    source="HTML 9.4.1.2, ports as the basis of an object-capability model",
    expected=[["hello from here", "pyodide", False, "clone", "a message"]] * 2,
    needs="same cross",
)
async def _(scene: Any) -> Any:
    sides, talks, ports = [], [], []
    for peer in (scene.same, scene.cross):
        near, far = MessageChannel()
        ports.append(near)
        talks.append(unfinished(peer.run(meet, far, transfer=[far])))
        near.post_message(f"meeting {peer.kind}")
        options = {"timeout": 8, **peer.options}
        sides.append(await connect(peer.target, name=f"meeting {peer.kind}", **options))
    introduce(*sides, "hello from here")
    for side in sides:
        side.post_message("a message")
    for port in ports:
        port.post_message("heard")
    got = [await talk for talk in talks]
    for port in (*ports, *sides):
        port.close()
    return got


@row(
    "connection-drain",
    "drain waits for a reader that is behind, and goes on when it has taken",
    source="this package: credit between two Pythons",
    expected=(True, 0),
    needs="same",
)
async def _(scene: Any) -> Any:
    near, far = MessageChannel()
    reading = unfinished(scene.same.run(read_when_told, "slow reader", far, transfer=[far]))
    options = {"timeout": 8, **scene.same.options}
    async with near, connect(scene.same.target, name="slow reader", **options) as connection:
        connection.set_high_water(messages=10)
        for number in range(10):
            connection.post_message(number)
        drained = unfinished(connection.drain())
        near.post_message("ask")
        await near.receive()  # the reader has got everything, and taken nothing
        waited = not drained.done()
        near.post_message("read")
        await drained
        left = connection.outstanding.messages
        near.post_message("leave")
        await reading
        return waited, left


@scenario
async def read_when_told(name: str, port: MessagePort) -> None:
    """Take one caller, and read what it sent only when told to."""
    async with port, await accept(name=name, **host_options()) as connection:
        connection.start()
        await port.receive()
        port.post_message("here")
        await port.receive()
        for _ in range(10):
            await connection.receive()
        await port.receive()


@row(
    "connection-drain-javascript",
    "With JavaScript at the other end drain says that nobody can tell",
    source="this package",
    expected=Raised(PortStateError),
)
async def _(scene: Any) -> Any:
    async with scene.light("same") as peer:
        return await outcome(peer.connection.drain())


@row(
    "connection-any-origin",
    "ANY_ORIGIN connects to whoever answers",
    source=HANDSHAKE,
    expected="null",
)
async def _(scene: Any) -> Any:
    async with scene.light("sandbox") as peer:
        await peer.run("accept_more", "anybody")
        options = {"name": "anybody", "origin": ANY_ORIGIN, "timeout": 8}
        async with connect(peer.target, **options) as connection:
            return connection.peer.origin
