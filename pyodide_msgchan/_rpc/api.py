"""Expose objects on a port and call remote ones, on the wire as Comlink 4.4.2 does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pyodide_msgchan._bridge.ffi import is_js_proxy, own_origin
from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.endpoint import adopt_endpoint
from pyodide_msgchan._port.port import MessagePort, wrap_endpoint
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.marshalling import Proxied, Transferred
from pyodide_msgchan._rpc.remote import Options, Remote, RemoteHandle, target_of
from pyodide_msgchan._rpc.session import RpcSession
from pyodide_msgchan._rpc.streams import MAX_CREDIT

__all__ = ["assign", "create_endpoint", "expose", "new", "proxy", "release", "transfer", "wrap"]


def expose(
    obj: object,
    port: Any,
    *,
    nested: Iterable[str] = (),
    writable: Iterable[str] = (),
    tracebacks: bool | None = None,
) -> None:
    """Expose an object on a port, for `wrap` or Comlink's `wrap` at the other end.

    A caller reaches the object's own public methods and fields, the items of a dict, or what a
    module defines (its ``__all__`` if it has one). Longer paths lead only through dicts, fields of
    dataclasses, and the objects named in `nested`. Names with a leading underscore, attributes of
    classes and functions, imported modules and JavaScript objects are never reachable. A refused
    request raises an error at the caller that names the path.

    Values that a caller reads lose their private names, at any depth of dicts, lists, tuples and
    dataclasses: dict keys with a leading underscore are left out, and such fields of dataclasses
    are None. The same holds for what a converter makes of an object. The result of a method is
    sent as it is, and so is what a registered `pack` returns.

    A coroutine function runs as a task, which is cancelled when its caller cancels the call or
    goes away. Every exception ends the call at the caller too, CancelledError, SystemExit and
    KeyboardInterrupt included; an exit is then also reported to the event loop.

    Remote calls read all messages of the port from now on. `wrap` can use the same port.

    A worker, ``js.self`` and a BroadcastChannel can have other readers, for example Comlink:
    replies to their requests are ignored. Every object that is exposed there answers every request,
    because Comlink's messages don't name a receiver, so expose one object on one side only.

    Args:
        obj: an object, a module, a dict of functions, a function, or a class to construct.
        port: an open port, a connection, or a JavaScript object that sends and receives messages:
            a MessagePort, a Worker or, inside a worker, ``js.self``. For a window, use `connect`
            and `accept`.
        nested: dotted paths (``"camera"``, ``"camera.lens"``) of objects whose own public methods
            and fields are reachable too.
        writable: dotted paths that callers may assign to.
        tracebacks: whether callers see the traceback of an error. None allows it on a connection
            whose peer is a worker or, as confirmed by the browser, has this page's own origin.

    Raises:
        TypeError: `obj` is a JavaScript object, or `port` can't send messages.
        ValueError: an object is exposed there already, or a declared path has a private name.
        PortStateError: the port is closed or detached, or it is read by a task or a listener.
    """
    policy = AccessPolicy(obj, nested, writable)
    session = _session_of(port)
    if session.server is not None:
        raise ValueError("something is exposed on this port already")
    if tracebacks is None:
        verified = isinstance(port, Connection) and port.origin_verified
        tracebacks = verified and _is_trusted_origin(port.peer.origin)
    session.marshaller.tracebacks = tracebacks
    session.expose(policy)


def wrap(
    port: Any, *, kwargs: Literal["python", "object"] = "python", prefetch: int = 16
) -> Remote:
    """Return a `Remote` for the object that is exposed at the other end of a port.

    A call is sent when it is made. On a port, calls may be sent before the other side exposes an
    object: they are kept until it does. On a worker, messages are lost until its script listens and
    exposes an object, as with Comlink. Python in a worker takes seconds to start, so use
    ``wrap(await connect(worker))``, which waits until it is ready.

    When the port ends, every pending call, iteration and proxy on it raises the error of that end.
    Where this side can't detect the end (a bare port whose other end left this page, a worker),
    use `asyncio.timeout` around what you await.

    A message that one end can't decode raises `MessageError` at its caller: a type that only the
    other side registered, an `unpack` that raises, or a JavaScript object that another agent
    cluster refuses (a WebAssembly.Module). With JavaScript at the other end, a reply that can't be
    decoded here ends its call once no other call is pending, if nothing is exposed on this port;
    a request that JavaScript can't decode is never answered.

    `kwargs` and `prefetch` apply to the returned `Remote` and to everything that is received
    through it, not to the port.

    Args:
        port: as for `expose`, which can use the same port.
        kwargs: how keyword arguments are sent to a JavaScript end: "python" raises TypeError,
            "object" sends them as one last object.
        prefetch: items, from 1 to 256, that a remote asynchronous generator may send before they
            are consumed here.

    Raises:
        TypeError: `port` can't send messages, or is a window.
        ValueError: `prefetch` is not an int from 1 to 256, or `kwargs` is not one of the two.
        PortStateError: the port is closed or detached, or it is read by a task or a listener.
    """
    if type(prefetch) is not int or not 1 <= prefetch <= MAX_CREDIT:
        shown = short_repr(prefetch, 60)
        raise ValueError(f"prefetch is at least one item and at most {MAX_CREDIT}, not {shown}")
    if kwargs not in ("python", "object"):
        raise ValueError(f'kwargs is "python" or "object", not {short_repr(kwargs)}')
    options = Options(kwargs == "object", prefetch)
    return Remote(RemoteHandle(_session_of(port).client, owned=False, options=options))


def proxy(obj: object, *, nested: Iterable[str] = (), writable: Iterable[str] = ()) -> Any:
    """Mark an object to be sent by reference, as an argument or as a result of a remote call.

    The mark counts only for the argument or result itself, not for values inside of it. Functions
    and asynchronous generators are sent by reference without it. The other side gets a `Remote`
    (or Comlink's proxy). The object is released when no reference to that is left, or by `release`.

    Args:
        obj: the object to send.
        nested: as for `expose`.
        writable: as for `expose`.

    Raises:
        TypeError: `obj` is a JavaScript object.
        ValueError: a declared path has a private or an empty name.
    """
    return Proxied(AccessPolicy(obj, nested, writable))


def transfer(value: Any, items: Sequence[Any]) -> Any:
    """Mark an argument or a result of a remote call, of which items are transferred, not copied.

    A port that is itself the argument or the result needs no mark, and neither do Python buffers.

    Args:
        value: the argument or the result.
        items: ports and transferable JavaScript objects in `value`. They can't be used here
            afterwards (HTML standard, 2.7.2 Transferable objects).
    """
    return Transferred(value, tuple(items))


def assign(remote: Remote, value: Any) -> Call:
    """Assign a value to a remote name.

        await assign(remote.settings.theme, "dark")

    The request is sent at once, like a call. The other side must have declared the name as
    `writable`.

    Args:
        remote: the name to assign to.
        value: the new value.

    Returns:
        A call; awaiting it waits until the value is assigned, and raises if that failed.

    Raises:
        TypeError: `remote` is the remote object itself, not a name in it.
        DataCloneError: the value can't be sent.
        PortStateError: the port ended, or the remote object was released.
    """
    handle, path = target_of(remote)
    if not path:
        raise TypeError("a remote object itself can't be assigned to, only a name in it")
    return handle.client.request("SET", handle, path, (value,))


def new(remote: Remote, *arguments: Any, **keywords: Any) -> Call:
    """Construct a remote class, and return a call whose result is a `Remote` of the instance.

    The request is sent at once. Arguments are sent as in a call of a `Remote`. Cancelling the wait
    cancels the request on a Python end.

    Args:
        remote: the class.
        arguments: the positional arguments of its constructor.
        keywords: the keyword arguments of its constructor.

    Raises:
        DataCloneError: an argument can't be sent.
        TypeError: there are keyword arguments, and the other end is JavaScript.
        PortStateError: the port ended, or the remote object was released.
    """
    handle, path = target_of(remote)
    return handle.client.request("CONSTRUCT", handle, path, arguments, keywords)


def create_endpoint(remote: Remote) -> Call:
    """Ask for another port to the same remote object, to pass it on, for example to a worker.

    The request is sent at once, as by Comlink's `createEndpoint`.

    Args:
        remote: the remote object.

    Returns:
        A call whose result is the port.

    Raises:
        PortStateError: the port ended, or the remote object was released.
    """
    handle, _ = target_of(remote)
    return handle.client.request("ENDPOINT", handle, ())


def release(remote: Remote) -> Call:
    """Release a remote object: it can't be used any more, and the other side drops its reference.

    The request is sent at once; awaiting the returned call waits for the confirmation. A port that
    was made for the object is then closed. The port that was given to `wrap` stays open at this end
    (Comlink's `expose` closes its own end). Cancelling the wait does not undo the release.

    Args:
        remote: the remote object, or any name in it.

    Raises:
        PortStateError: the port ended, or the remote object was released already.
    """
    handle, _ = target_of(remote)
    return handle.client.release(handle)


def _session_of(port: Any) -> RpcSession:
    if is_js_proxy(port):
        port = wrap_endpoint(adopt_endpoint(port))
    if not isinstance(port, MessagePort):
        raise TypeError(f"not a port: {short_repr(port)}")
    reader = core_of(port).queue.reader
    if isinstance(reader, RpcSession):
        return reader
    session = RpcSession(port)
    if isinstance(port, Connection):
        session.marshaller.python = "packs" in port.peer.capabilities
    return session


def _is_trusted_origin(origin: str | None) -> bool:
    """Return True for this page's own origin, and for None, which stands for a worker."""
    return origin is None or origin == own_origin() != "null"
