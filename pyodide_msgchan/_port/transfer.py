"""Transfer lists, which are checked completely before anything is transferred."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import is_js_proxy
from pyodide_msgchan.errors import DataCloneError, PortStateError

if TYPE_CHECKING:
    from pyodide_msgchan._port.port import MessagePort

__all__ = ["Transfer", "check_transfer"]


class Transfer:
    """A checked transfer list.

    Attributes:
        items: everything in it, in order: wrappers of ports, and JavaScript objects.
        wrappers: its ports by the `id` of their wrapper, in order.
    """

    def __init__(self, items: list[Any], wrappers: dict[int, MessagePort]) -> None:
        self.items = items
        self.wrappers = wrappers

    def detach_ports(self) -> None:
        """Mark the ports as transferred, after the message was posted."""
        for port in self.wrappers.values():
            port._detach()


def check_transfer(transfer: Iterable[Any], sender: MessagePort | None = None) -> Transfer:
    """Check everything in a transfer list before anything is transferred.

    Args:
        transfer: the list that the user passed.
        sender: the port that the message is sent through, if it is a port.

    Raises:
        DataCloneError: an item can't be transferred, is in the list twice, is the sending port
            itself, or is that port's partner.
        PortStateError: a port is closed, was transferred, holds messages that were not consumed,
            or is calling one of its listeners now.
    """
    from pyodide_msgchan._port.port import MessagePort  # noqa: PLC0415 - each needs the other

    items: list[Any] = []
    wrappers: dict[int, MessagePort] = {}
    partner = None if sender is None else sender._local_partner()
    for i, item in enumerate(transfer):
        path = f"transfer[{i}]"
        if is_js_proxy(item):
            tag = bridge().tag(item)
            port = MessagePort(item) if tag == "MessagePort" else None
        else:
            port = item
            if not isinstance(port, MessagePort):
                raise DataCloneError(_immovable(item), path)
        if port is None:
            items.append(item)
            continue
        if hasattr(port, "peer"):
            raise DataCloneError(_immovable(port), path)
        if id(port) in wrappers:
            raise DataCloneError("the port is in the list twice", path)
        if port is sender:
            raise DataCloneError("a port can't be sent through itself", path)
        if partner is not None and port is partner:
            raise DataCloneError("a port can't be sent through its own partner", path)
        if port._end_error is not None:
            raise port._end_error()
        if port.buffered:
            raise PortStateError(
                f"{path} holds {port.buffered} received messages that were not consumed; "
                "call take_buffered() first"
            )
        if port._dispatching:
            raise PortStateError(
                f"{path} can't be transferred by its own listener; do it in a later turn"
            )
        wrappers[id(port)] = port
        items.append(port)
    return Transfer(items, wrappers)


def _immovable(item: object) -> str:
    from pyodide_msgchan._port.port import MessagePort  # noqa: PLC0415 - each needs the other

    name = type(item).__name__
    if isinstance(item, MessagePort):
        return "a Connection can't be transferred; send a port through it"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return f"{name} needs no transfer: buffers are copied once, and the copy is moved"
    return f"a {name} can't be transferred, only ports and JavaScript's transferable objects can"
