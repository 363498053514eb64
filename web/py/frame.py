"""A frame of the demo: announces itself to the page that holds it, and takes the ports it gives."""

from secrets import token_hex

from js import document, parent
from mesh import Mesh
from page import host_origin, name, panel

from pyodide_msgchan import MessageEvent, MessagePort, post_to_window, window_messages


async def main() -> None:
    """Talk to the host until the page goes away."""
    mesh = Mesh(panel, other=introduced, report=report)
    # The token tells a page that came back from one that only speaks twice.
    hello = {"type": "hello", "name": name, "page": token_hex(8)}
    async with window_messages(origin=host_origin, source=parent) as messages:
        # Listening comes before speaking, so the answer can't be missed. If the host does not
        # listen yet this hello is lost; it calls once it does, and gets another.
        post_to_window(parent, hello, origin=host_origin)
        async for event in messages:
            match event.data:
                case {"type": "call"}:
                    post_to_window(parent, hello, origin=host_origin)
                case {"type": "welcome", "port": MessagePort() as port}:
                    mesh.join("host", port)
                    document.body.dataset.state = "ready"


def introduced(mesh: Mesh, sender: str, event: MessageEvent) -> None:
    """Take a port to another frame out of the host's hands."""
    match event.data:
        case {"type": "introduce", "peer": str(peer), "port": MessagePort() as port} if (
            sender == "host"
        ):
            mesh.join(peer, port, measure=event.data.get("measure") is True)


def report(mesh: Mesh, peer: str, ms: float | None) -> None:
    """Let the host draw what passes between this frame and another, which it does not see."""
    if ms is None:
        if peer != "host":
            mesh.ports["host"].post_message({"type": "sent", "peer": peer})
    else:
        mesh.ports["host"].post_message({"type": "measured", "peer": peer, "ms": ms})
