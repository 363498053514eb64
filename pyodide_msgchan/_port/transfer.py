"""Transfer lists, which are checked completely before anything is transferred."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import is_js_proxy
from pyodide_msgchan._port.core import PortCore, core_of
from pyodide_msgchan.errors import DataCloneError, PortStateError

__all__ = ["Transfer", "check_transfer"]


class Transfer:
    """A checked transfer list.

    Attributes:
        items: everything in it, in order: wrappers of ports, and JavaScript objects.
        endpoints: the endpoints of its ports by the `id` of the wrapper, in order.
    """

    def __init__(self, items: list[Any], cores: dict[int, PortCore]) -> None:
        self.items = items
        self.endpoints = {key: core.endpoint for key, core in cores.items()}
        self._cores = cores

    def natives(self) -> dict[int, Any]:
        """Return the native ports in the list, by the `id` of the wrapper, in order."""
        return {key: endpoint.native for key, endpoint in self.endpoints.items()}

    @property
    def ends_with_port(self) -> bool:
        """True if the last item is a port, on which the other side may answer."""
        return id(self.items[-1]) in self._cores

    def detach_ports(self) -> None:
        """Mark the ports as transferred, after the message was posted."""
        for core in self._cores.values():
            core.detach()


def check_transfer(transfer: Iterable[Any], sender: PortCore | None = None) -> Transfer:
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
    cores: dict[int, PortCore] = {}
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
        core = core_of(port)
        if not core.transferable:
            raise DataCloneError(_immovable(port), path)
        if id(port) in cores:
            raise DataCloneError("the port is in the list twice", path)
        if core is sender:
            raise DataCloneError("a port can't be sent through itself", path)
        if sender is not None and core is sender.partner():
            raise DataCloneError("a port can't be sent through its own partner", path)
        _check_unused(core, path)
        cores[id(port)] = core
        items.append(port)
    return Transfer(items, cores)


def _check_unused(core: PortCore, path: str) -> None:
    """Check that a port has not ended, and that nobody would miss a message."""
    if core.ended:
        raise core.closed_error()
    buffered = core.queue.size()
    if buffered:
        raise PortStateError(
            f"{path} holds {buffered} received messages that were not consumed; "
            "call take_buffered() first"
        )
    if core.queue.dispatching:
        raise PortStateError(
            f"{path} can't be transferred by its own listener; do it in a later turn"
        )


def _immovable(item: object) -> str:
    from pyodide_msgchan._port.port import MessagePort  # noqa: PLC0415 - each needs the other

    name = type(item).__name__
    if isinstance(item, MessagePort):
        return "a Connection can't be transferred; send a port through it"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return f"{name} needs no transfer: buffers are copied once, and the copy is moved"
    return f"a {name} can't be transferred, only ports and JavaScript's transferable objects can"
