"""The server side of remote calls: it runs requests on an exposed object and sends the answers."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import Context, copy_context
from typing import Any, Protocol

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry
from pyodide_msgchan._codec.exceptions import post_thrown, unreadable_request, wire_of_error
from pyodide_msgchan._codec.public import without_private_names
from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._interfaces import PlainCalls
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.marshalling import (
    CLONEABLE_TYPES,
    UNCHANGED_TYPES,
    Attachments,
    Proxied,
    cross_unchanged,
    with_caller_path,
)
from pyodide_msgchan._rpc.protocol import ComlinkProtocol, Execute, Id
from pyodide_msgchan._rpc.remote import Remote
from pyodide_msgchan.errors import DataCloneError, MessageError, PortStateError

__all__ = ["CallServer"]


class ServerSession(Protocol):
    """The part of a session that the server uses."""

    port: MessagePort
    calls: PlainCalls | None

    @property
    def protocol(self) -> ComlinkProtocol:
        """The state of the calls in both directions."""

    def from_wire(self, wire: Any) -> Any:
        """Return the value of a wire value; raise it if that is an error."""

    def to_wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the wire value of a value, and add the ports it needs to the attachments."""

    def expose_on_new_port(self) -> MessagePort:
        """Expose the same object on a new port, and return its other end."""


class CallServer:
    """Serves an exposed object on a port. Requests run in the context in which it was exposed.

    Args:
        session: of the port.
        policy: the object, and which of its names are reachable.
        tracebacks: whether the other side sees the tracebacks of errors.
    """

    __slots__ = ("_context", "_port", "_protocol", "_tasks", "policy", "session", "tracebacks")

    def __init__(self, session: ServerSession, policy: AccessPolicy, *, tracebacks: bool) -> None:
        self.session = session
        self._protocol, self._port = session.protocol, session.port
        self.policy = policy
        self.tracebacks = tracebacks
        self._context: Context = copy_context()
        self._tasks: dict[Id, asyncio.Task[None]] = {}

    def run(self, request: Execute) -> None:
        """Run a request and answer it; in a later turn if the result has to be awaited."""
        # A copy, because a call that is blocked in run_sync may have entered the context already.
        context = self._context.copy()
        session = self.session
        try:
            arguments = [session.from_wire(wire) for wire in request.arguments]
            keywords = {name: session.from_wire(wire) for name, wire in request.keywords.items()}
        except MessageError as error:
            self.refuse(request, error)
            return
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller
            self._on_error(request, error)
            return
        try:
            result = context.run(self._perform, request, arguments, keywords)
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller
            self._on_error(request, error)
        else:
            self._on_result(request, result, context)

    def call(self, id_: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a call of plain values. Return its result if the bridge can send it, else None."""
        context = self._context.copy()
        try:
            result = context.run(self.policy.function(path), *values)
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller
            self._on_error(Execute(id_, "APPLY", path, [], {}), error)
            return None
        if result is not None and (
            type(result) in UNCHANGED_TYPES
            or cross_unchanged(self._port, (result,))  # the first saves a function call
        ):
            answered = self._protocol.finish(id_) and not self._port.closed
            return result if answered else None
        self._on_result(Execute(id_, "APPLY", path, [], {}), result, context)
        return None

    def _on_error(self, request: Execute, error: BaseException) -> None:
        self.fail(request, error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            report("a remote call asked for an exit", error)

    def _on_result(self, request: Execute, result: Any, context: Context) -> None:
        if type(result) in CLONEABLE_TYPES or not hasattr(type(result), "__await__"):
            self.reply(request, result)
            return
        loop = asyncio.get_event_loop()
        prepare_task_entry(loop)
        task = asyncio.Task(
            self._await(request, result),
            loop=loop,
            context=context,
            eager_start=True,  # most end without waiting, and then need no turn of the loop
        )
        if not task.done():
            self._tasks[request.id] = task

    def cancel(self, id_: Id) -> None:
        """Cancel the task of a request."""
        task = self._tasks.pop(id_, None)
        if task is not None:
            task.cancel()

    def cancel_all(self) -> None:
        """Cancel the tasks of all requests, because nobody waits for them any more."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()

    def reply(self, request: Execute, result: Any) -> None:
        """Answer a request with a value."""
        session, attachments, message = self.session, Attachments.NONE, None
        fast_path = session.calls
        if fast_path and type(request.id) is str and cross_unchanged(session.port, (result,)):
            if session.protocol.finish(request.id) and not session.port.closed:
                fast_path.answer(request.id, result)
            return
        try:
            if type(result) in CLONEABLE_TYPES:
                message = session.protocol.reply(request.id, {"type": "RAW", "value": result})
            else:
                attachments = Attachments()
                message = session.protocol.reply(request.id, session.to_wire(result, attachments))
            if message is None:  # the caller cancelled it
                attachments.undo()
                return
            session.port.post_message(message, transfer=attachments.transfer)
        except PortStateError:
            attachments.undo()
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller, and reported
            attachments.undo()
            if isinstance(error, DataCloneError):
                error = with_caller_path(
                    error, f"the result of {'.'.join(request.path) or 'the call'}"
                )
            session.protocol.running.add(request.id)
            self.fail(request, error)
            report("a result could not be sent to a remote caller", error)

    def refuse(self, request: Execute, error: MessageError) -> None:
        """Answer a request that can't be decoded."""
        self._answer(request, unreadable_request(error))

    def fail(self, request: Execute, error: BaseException) -> None:
        """Answer a request with an error."""
        self._answer(request, wire_of_error(error, traceback=self.tracebacks))

    def _answer(self, request: Execute, wire: Wire) -> None:
        message = self.session.protocol.reply(request.id, wire)
        if message is None:
            return
        with contextlib.suppress(PortStateError):
            post_thrown(message, self.session.port.post_message)

    def _perform(self, request: Execute, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        policy = self.policy
        if request.type == "APPLY":
            return policy.function(request.path)(*arguments, **keywords)
        if request.type == "GET":
            value = policy.get(request.path)
            if isinstance(value, (MessagePort, Remote)):
                raise AttributeError(f"{'.'.join(request.path)!r} is not reachable: it is a port")
            return without_private_names(value, packed=core_of(self.session.port).endpoint.packed)
        if request.type == "SET":
            policy.set(request.path, *arguments)
            return True
        if request.type == "ENDPOINT":
            return self.session.expose_on_new_port()
        return Proxied(AccessPolicy(policy.constructor(request.path)(*arguments, **keywords)))

    async def _await(self, request: Execute, awaitable: Any) -> None:
        try:
            result = await awaitable
        except (asyncio.CancelledError, GeneratorExit) as error:
            self.fail(request, error)
            raise
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller
            self._on_error(request, error)
        else:
            self.reply(request, result)
        finally:
            self._tasks.pop(request.id, None)
