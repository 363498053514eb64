"""Remote calls over a port, as Comlink 4.4.2 speaks them: expose here, wrap there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pyodide_msgchan._bridge.ffi import is_js_proxy, own_origin
from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._port.endpoint import adopt_endpoint
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.marshalling import Proxied, Transferred
from pyodide_msgchan._rpc.remote import Options, Remote, RemoteHandle
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
    """Offer an object on a port, to Python's `wrap` and to Comlink's.

    Reachable are the object's own public methods and fields, or the items of a dict, or what a
    module defines (lists in ``__all__``); further names only through dicts, fields of dataclasses,
    and what `nested` declares. Never a name with a leading underscore, an attribute of a class or
    function, an imported module, or anything of JavaScript's. A caller learns of a refusal by an
    error that names the path.

    A value that is read leaves without its private names, at any depth of dicts, lists, tuples and
    dataclasses: without the keys of dicts that begin with an underscore, and with None in such
    fields of dataclasses. What a converter makes of an object is treated the same. What a method
    returns is its own choice and goes whole, as does what a registered `pack` gives.

    Coroutine functions run as tasks, which end when their caller cancels or goes away. Whatever
    ends a call or a generator ends its caller: CancelledError and exits are answered as errors too,
    and an exit then goes where the loop sends exits. From here on the port's messages belong to the
    calls; `wrap` may use the same port.

    Others may use a worker, ``js.self`` or a BroadcastChannel too, Comlink among them: answers to
    their requests are left alone. Requests are answered by all who expose something there, since
    Comlink's messages don't say for whom they are; so let one side expose one object.

    Args:
        obj: an object, a module, a dict of functions, a function, or a class to construct.
        port: an open port or a connection; or a JavaScript object that has messages: a port, a
            worker or, inside of one, ``js.self``. No window: those have `connect` and `accept`.
        nested: dotted paths (``"camera"``, ``"camera.lens"``) of objects whose own public methods
            and fields are reachable too.
        writable: dotted paths that may be assigned to.
        tracebacks: whether callers may see where an error was raised; None for those alone who
            come, on a connection, from this page's own origin: as the browser says, not as who
            introduced them does.

    Raises:
        TypeError: `obj` lives in JavaScript, or `port` has no messages.
        ValueError: something is exposed there already; or a private name is declared.
        PortStateError: the port ended, or somebody else reads it.
    """
    policy = AccessPolicy(obj, nested, writable)
    session = _link_of(port)
    if session.server is not None:
        raise ValueError("something is exposed on this port already")
    if tracebacks is None:
        known = isinstance(port, Connection) and port.origin_verified
        tracebacks = known and _is_ours(port.peer.origin)
    session.tracebacks = tracebacks
    session.expose(policy)


def wrap(
    port: Any, *, kwargs: Literal["python", "object"] = "python", prefetch: int = 16
) -> Remote:
    """Return what stands for the object that is exposed at a port's other end.

    Calls are sent when they are made. On a port they may be sent before the other side exposes
    anything: they wait there. What is sent to a worker before its script listens is lost, as it is
    with Comlink, and so is what is sent before something is exposed there: Python in a worker
    takes seconds to start, so use ``wrap(await connect(worker))``, which waits for it.

    Every call, iteration and proxy on the port ends with it, and raises its end. Where nobody can
    see that end (a bare port whose other end left this page, a worker) put `asyncio.timeout` around
    what you await. The options belong to what this call returns, and to all that comes by it:
    wrapping the port again changes none of them.

    What one end can't read is a `MessageError` at whoever waits for it: a type that is registered
    on the other side alone, an `unpack` that raises, a JavaScript object that another agent cluster
    refuses (a WebAssembly.Module). With JavaScript at the other end less is known. A call whose
    answer can't be read here ends once it is clear whose it was: when no other call waits, if
    nothing is exposed on this port. What can't be read over there is never answered.

    Args:
        port: as for `expose`, which may use the same one.
        kwargs: what becomes of keyword arguments where JavaScript is at the other end: "python"
            refuses them (TypeError), "object" sends them as one last object.
        prefetch: items that an asynchronous generator over there may send ahead, from 1 to 256.

    Raises:
        TypeError: `port` has no messages, or is a window.
        ValueError: `prefetch` is no whole number in that range.
        PortStateError: the port ended, or somebody else reads it.
    """
    if type(prefetch) is not int or not 1 <= prefetch <= MAX_CREDIT:
        shown = short_repr(prefetch, 60)
        raise ValueError(f"prefetch is at least one item and at most {MAX_CREDIT}, not {shown}")
    if kwargs not in ("python", "object"):
        raise ValueError(f'kwargs is "python" or "object", not {short_repr(kwargs)}')
    options = Options(kwargs == "object", prefetch)
    return Remote(RemoteHandle(_link_of(port), owned=False, options=options))


def proxy(obj: object, *, nested: Iterable[str] = (), writable: Iterable[str] = ()) -> Any:
    """Mark an object to travel by reference, as an argument or a result, not inside of either.

    Functions and asynchronous generators do so by themselves. The other side gets a `Remote` (or
    Comlink's proxy); the object is let go when nobody refers to that any more, or on `release`.

    Args:
        obj: what to travel.
        nested: as for `expose`.
        writable: as for `expose`.
    """
    return Proxied(AccessPolicy(obj, nested, writable))


def transfer(value: Any, items: Sequence[Any]) -> Any:
    """Mark an argument or a result, in which ports or JavaScript's objects are to be moved.

    A port that is itself the argument or result needs no mark, nor do Python's buffers.
    """
    return Transferred(value, tuple(items))


def assign(remote: Remote, value: Any) -> Call:
    """Write a value over there; sent at once, like a call.

    ``await assign(remote.settings.theme, "dark")``

    Raises:
        TypeError: it is the remote object itself.
        DataCloneError: the value can't be sent.
    """
    if not remote._path:
        raise TypeError("a remote object itself can't be assigned to, only a name in it")
    return remote._handle.session.request("SET", remote._handle, remote._path, (value,))


def new(remote: Remote, *arguments: Any, **keywords: Any) -> Call:
    """Construct a class over there; awaiting gives the `Remote` of the instance. Sent at once."""
    return remote._handle.session.request(
        "CONSTRUCT", remote._handle, remote._path, arguments, keywords
    )


def create_endpoint(remote: Remote) -> Call:
    """Ask for one more port to the same remote object; awaiting gives the port, to pass on."""
    return remote._handle.session.request("ENDPOINT", remote._handle, ())


def release(remote: Remote) -> Call:
    """Release a remote object: it can't be used any more, and the other side lets it go.

    A port that was made for it is closed once that is confirmed; the port given to `wrap` stays
    open (Comlink's `expose` closes its own end of it). Sent at once; awaiting waits for the answer.
    """
    return remote._handle.session.release(remote._handle)


def _link_of(port: Any) -> RpcSession:
    if is_js_proxy(port):
        port = MessagePort._from_endpoint(adopt_endpoint(port))
    if not isinstance(port, MessagePort):
        raise TypeError(f"not a port: {short_repr(port)}")
    if isinstance(port._reader, RpcSession):
        return port._reader
    session = RpcSession(port)
    if isinstance(port, Connection):
        session.python = "packs" in port.peer.capabilities
    return session


def _is_ours(origin: str | None) -> bool:
    """Return True if a page of that origin, or a worker, could read this page's memory anyway."""
    return origin is None or origin == own_origin() != "null"
