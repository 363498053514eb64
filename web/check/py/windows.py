"""Rows: messages between windows, and the origins that they are checked by."""

import asyncio
from typing import Any

import js
import page
from pyodide.code import run_js

from pyodide_msgchan import (
    ANY_ORIGIN,
    OPAQUE_ORIGIN,
    DataCloneError,
    MessageChannel,
    MessagePort,
    post_to_window,
    window_messages,
)

from .compare import Raised, attempt
from .rows import group, scenario
from .scene import KINDS

row = group("windows", "Windows and origins")

POSTING = "HTML 9.3.3, window post message steps"
WINDOWED = ("same", "cross", "sandbox", "popup")
FRAMED = ("same", "cross", "sandbox")


def owner() -> Any:
    """Give the window of the page with the rows, as seen from another page."""
    return js.opener or js.parent


@scenario
async def post_to_owner(message: Any, *ports: MessagePort) -> None:
    """Post a message from here to the page with the rows, ports along with it."""
    post_to_window(owner(), message, origin=page.host, transfer=ports)


@scenario
async def post_elsewhere(origin: str, message: Any) -> None:
    """Post a message to the owner's window, for a page of that origin alone."""
    post_to_window(owner(), message, origin=origin)


for kind in WINDOWED:

    @row(
        f"window-origin-{kind}",
        f"A message from a window names its origin and its source ({KINDS[kind].lower()})",
        source=f"{POSTING}, steps 8.2 and 8.3; wpt webmessaging/postMessage_MessagePorts_xorigin",
        expected=({"a": [1]}, True, True),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        async with window_messages(origin=peer.origin, source=peer.target) as messages:
            await peer.run(post_to_owner, {"a": [1]})
            event = await anext(messages)
            wanted = "null" if peer.origin == OPAQUE_ORIGIN else peer.origin
            return event.data, event.origin == wanted, event.source == peer.window

    @row(
        f"window-ports-{kind}",
        f"A port comes along with a message ({KINDS[kind].lower()}), and works",
        source=f"{POSTING}, step 8.7; wpt webmessaging/with-ports/…",
        expected=(1, True, "through the port"),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        near, far = MessageChannel()
        async with near, window_messages(origin=peer.origin, source=peer.target) as messages:
            await peer.run(send_ports_on, far, transfer=[far])
            event = await anext(messages)
            (port,) = event.ports
            async with port:
                near.post_message("through the port")
                return len(event.ports), event.data["port"] is port, await port.receive()

    @row(
        f"window-exact-{kind}",
        f"A message for one exact origin reaches it ({KINDS[kind].lower()})",
        source=f"{POSTING}, steps 5 and 8.1; wpt webmessaging/postMessage_origin_mismatch",
        expected=["right"],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        peer = getattr(scene, kind)
        async with window_messages(origin=peer.origin, source=peer.target) as messages:
            await peer.run(post_elsewhere, "https://elsewhere.example", "wrong")
            await peer.run(post_elsewhere, page.host, "right")
            return [(await anext(messages)).data, *messages.take_buffered()]


@scenario
async def send_ports_on(port: MessagePort) -> None:
    """Post a port to the page with the rows, in the message and in the list."""
    post_to_window(owner(), {"port": port}, origin=page.host, transfer=[port])


for kind in FRAMED:

    @row(
        f"window-to-frame-{kind}",
        f"A message to a frame arrives with this page's origin ({KINDS[kind].lower()})",
        source=f"{POSTING}; wpt webmessaging/postMessage_asterisk_xorigin",
        expected=([1, {"b": 2}], True, True, 0),
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            await peer.run("hear_window")
            post_to_window(peer.target, [1, {"b": 2}], origin=peer.origin)
            heard = await peer.run("heard_window")
            origin = heard["origin"] == page.host
            return heard["data"], origin, heard["parent"], heard["ports"]

    @row(
        f"window-mismatch-{kind}",
        f"A message for another origin is dropped without a word ({KINDS[kind].lower()})",
        source=f"{POSTING}, step 8.1; wpt webmessaging/postMessage_origin_mismatch_xorigin",
        expected="second",
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            await peer.run("hear_window")
            post_to_window(peer.target, "first", origin="https://elsewhere.example")
            post_to_window(peer.target, "second", origin=peer.origin)
            return (await peer.run("heard_window"))["data"]

    @row(
        f"window-any-{kind}",
        f"ANY_ORIGIN posts to whoever is there ({KINDS[kind].lower()})",
        source=f"{POSTING}, step 4; wpt webmessaging/postMessage_asterisk_xorigin",
        expected="whoever",
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async with scene.light(kind) as peer:
            await peer.run("hear_window")
            post_to_window(peer.target, "whoever", origin=ANY_ORIGIN)
            return (await peer.run("heard_window"))["data"]


async def hear_from_two(scene: Any, **options: Any) -> list[Any]:
    """Let the same-origin frame and the sandbox post here, and give what passes the filter."""
    async with window_messages(**options) as messages:
        everything = window_messages(origin=ANY_ORIGIN)
        async with everything:
            await scene.same.run(post_to_owner, "same")
            await scene.sandbox.run(post_to_owner, "sandbox")
            arrived: list[str] = []
            while len(arrived) < 2:
                arrived += texts([(await anext(everything)).data])
        got = [(await anext(messages)).data] if messages.buffered else []
        return [sorted(arrived), texts(got + messages.take_buffered())]


def texts(received: list[Any]) -> list[str]:
    """Return the messages of this row; a connection of an earlier row may say goodbye meanwhile."""
    return [data for data in received if isinstance(data, str)]


@row(
    "window-filter-origin",
    "Other origins are not heard, though their messages arrived",
    source="HTML 9.3.2, security: check the origin",
    expected=[["same", "sandbox"], ["same"]],
    needs="same sandbox",
)
async def _(scene: Any) -> Any:
    return await hear_from_two(scene, origin=scene.same.origin)


@row(
    "window-filter-opaque",
    "OPAQUE_ORIGIN hears the sandbox alone",
    source="HTML 9.3.2, security: check the origin; HTML 7.1.1, opaque origins are “null”",
    expected=[["same", "sandbox"], ["sandbox"]],
    needs="same sandbox",
)
async def _(scene: Any) -> Any:
    return await hear_from_two(scene, origin=OPAQUE_ORIGIN)


@row(
    "window-filter-source",
    "A message from another window is not heard, whatever its origin",
    source="HTML 9.3.2, security",
    expected=[["same", "sandbox"], ["sandbox"]],
    needs="same sandbox",
)
async def _(scene: Any) -> Any:
    return await hear_from_two(scene, origin=ANY_ORIGIN, source=scene.sandbox.target)


@row(
    "window-filter-any",
    "ANY_ORIGIN hears all of them",
    source="HTML 9.3.2, security",
    expected=[["same", "sandbox"], ["same", "sandbox"]],
    needs="same sandbox",
)
async def _(scene: Any) -> Any:
    return await hear_from_two(scene, origin=ANY_ORIGIN)


@row(
    "window-order",
    "Messages between two windows keep their order",
    source=f"{POSTING}: tasks of one source; wpt webmessaging/message-channels/…",
    expected=list(range(200)),
    needs="cross",
)
async def _(scene: Any) -> Any:
    peer = scene.cross
    async with window_messages(origin=peer.origin, source=peer.target) as messages:
        posting = asyncio.ensure_future(peer.run(post_many, 200))
        got = [(await anext(messages)).data for _ in range(200)]
        await posting
        return got


@scenario
async def post_many(count: int) -> None:
    """Post numbers to the page with the rows."""
    for number in range(count):
        post_to_window(owner(), number, origin=page.host)


@row(
    "window-self",
    "A window may post to itself",
    source=f"{POSTING}; wpt webmessaging/postMessage_… to self",
    expected=("to myself", True),
)
async def _(scene: Any) -> Any:
    async with window_messages(origin=page.host, source=js.window) as messages:
        post_to_window(js.window, "to myself", origin=page.host)
        event = await anext(messages)
        return event.data, event.origin == page.host


MALFORMED = {
    "path": "https://app.example/page",
    "no-scheme": "app.example",
    "user": "https://user@app.example",
    "space": "https://app example",
    "empty": "",
    "port": "https://app.example:99999",
    "null": "null",
    "data": "data:text/plain,x",
    "wildcard": "https://*.example",
}

for key, origin in MALFORMED.items():

    @row(
        f"window-malformed-{key}",
        f"{origin!r} is no origin, and nothing is posted",
        source=f"{POSTING}, step 5: SyntaxError; wpt webmessaging/postMessage_invalid_targetOrigin",
        expected=Raised(ValueError),
    )
    async def _(scene: Any, origin: str = origin) -> Any:
        return attempt(post_to_window, js.window, 1, origin=origin)


@row(
    "window-idna",
    "A host is what this browser's URL makes of it: faß.de is not fass.de",
    source="URL standard 3.3 IDNA (UTS 46), HTML 7.5 Origin",
    expected=["ss", "ß"],
)
async def _(scene: Any) -> Any:
    post = run_js("""(host, data) => dispatchEvent(new MessageEvent(
        "message", { origin: `https://${host}`, data, source: globalThis }))""")
    async with (
        window_messages(origin="https://fass.de") as older,
        window_messages(origin="https://faß.de") as right,
    ):
        post("xn--fa-hia.de", "ß")
        post("fass.de", "ss")
        return [(await anext(messages)).data for messages in (older, right)]


@row(
    "window-not-a-window",
    "What is no window is refused",
    source="this package",
    expected=Raised(TypeError),
)
async def _(scene: Any) -> Any:
    return attempt(post_to_window, js.document, 1, origin=page.host)


@row(
    "window-uncloned",
    "What can't be cloned is refused with its place, as on a port",
    source=f"{POSTING}, step 7; wpt webmessaging/postMessage_Function",
    expected=Raised(DataCloneError, path="message['f']"),
)
async def _(scene: Any) -> Any:
    return attempt(post_to_window, js.window, {"f": print}, origin=page.host)


@row(
    "window-port-not-listed",
    "A port in the message that is not in the list is refused, and stays usable",
    source="HTML 2.7.7 StructuredSerializeWithTransfer; wpt webmessaging/with-ports/…",
    expected=(Raised(DataCloneError, path="message['port']"), "works"),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        refused = attempt(post_to_window, js.window, {"port": two}, origin=page.host)
        one.post_message("works")
        return refused, await two.receive()


@row(
    "window-closed-filter",
    "After close nothing more is heard, and iteration ends",
    source="this package",
    expected=[],
)
async def _(scene: Any) -> Any:
    messages = window_messages(origin=page.host)
    messages.close()
    post_to_window(js.window, "late", origin=page.host)
    return [event.data async for event in messages]
