"""A frame of the demo, or a popup: accepts the host's connection, and those that it arranges."""

from js import document
from mesh import CHANNEL, Link, Mesh
from page import host_origin, name, panel

from pyodide_msgchan import MessageEvent, accept, introduced

HEARTBEAT = 8
"""Seconds: a frame that is removed can't always say goodbye, and only the host sees its element."""


async def main() -> None:
    """Talk to the host and to everybody whom it introduces, until the host goes away."""
    host = await accept(origin=host_origin, name=CHANNEL, heartbeat=HEARTBEAT)
    document.body.dataset.state = "ready"

    def report(what: str, link: Link) -> None:
        """Let the host draw what passes between this frame and another, which it does not see."""
        if link.connection is not host and not host.closed:
            host.post_message(
                {"type": what, "number": link.number, "count": link.count, "ms": link.ms}
            )

    def other(event: MessageEvent) -> None:
        """Take the connection to another frame out of the host's hands."""
        match event.data:
            case {"message": {"number": int(number), "names": [str(first), str(second)]}} if (
                connection := introduced(event, host)
            ):
                link = Link(second if name == first else first, connection, number)
                mesh.start(mesh.talk(link, measure=name == first))

    mesh = Mesh(name, panel, report)
    await mesh.talk(Link("host", host, 0), other=other)
