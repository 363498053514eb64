"""The server side of remote calls: it runs requests on an exposed object and sends the answers."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import Context, copy_context
from typing import Any

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry
from pyodide_msgchan._codec.exceptions import post_thrown, unreadable_request
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
    Marshaller,
    Proxied,
    SameObject,
    cross_unchanged,
    with_caller_path,
)
from pyodide_msgchan._rpc.protocol import CallProtocol, Execute, Id
from pyodide_msgchan._rpc.remote import Remote
from pyodide_msgchan.errors import DataCloneError, MessageError, PortStateError

__all__ = ["CallServer"]


class CallServer:
    """Serves an exposed object on a port. Requests run in the context in which it was exposed.

    Args:
        port: on which the answers are posted.
        protocol: the state of the calls on the port.
        marshaller: converts arguments and results.
        policy: the object, and which of its names are reachable.
        calls: the fast path for calls of plain values, None if there is none.
    """

    def __init__(
        self,
        port: MessagePort,
        protocol: CallProtocol,
        marshaller: Marshaller,
        policy: AccessPolicy,
        calls: PlainCalls | None = None,
    ) -> None:
        self.policy = policy
        self._port, self._endpoint = port, core_of(port).endpoint
        self._protocol, self._marshaller, self._calls = protocol, marshaller, calls
        self._context: Context = copy_context()
        self._tasks: dict[Id, asyncio.Task[None]] = {}

    def run(self, request: Execute) -> None:
        """Run a request and answer it; in a later turn if the result has to be awaited."""
        # A copy, because a call that is blocked in run_sync may have entered the context already.
        context = self._context.copy()
        from_wire = self._marshaller.from_wire
        try:
            arguments = [from_wire(wire) for wire in request.arguments]
            keywords = {name: from_wire(wire) for name, wire in request.keywords.items()}
        except MessageError as error:
            self._answer(request, unreadable_request(error))
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
            or cross_unchanged(self._endpoint, (result,))  # the first saves a function call
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
        protocol, attachments, calls = self._protocol, Attachments.NONE, self._calls
        if calls and type(request.id) is str and cross_unchanged(self._endpoint, (result,)):
            if protocol.finish(request.id) and not self._port.closed:
                calls.answer(request.id, result)
            return
        try:
            if type(result) in CLONEABLE_TYPES:
                wire: Wire = {"type": "RAW", "value": result}
            else:
                attachments = Attachments()
                wire = self._marshaller.to_wire(result, attachments)
            message = protocol.reply(request.id, wire)
            if message is None:  # the caller cancelled it
                attachments.undo()
                return
            self._port.post_message(message, transfer=attachments.transfer)
        except PortStateError:
            attachments.undo()
        except BaseException as error:  # noqa: BLE001 - it is sent to the caller, and reported
            attachments.undo()
            if isinstance(error, DataCloneError):
                error = with_caller_path(
                    error, f"the result of {'.'.join(request.path) or 'the call'}"
                )
            protocol.running.add(request.id)
            self.fail(request, error)
            report("a result could not be sent to a remote caller", error)

    def fail(self, request: Execute, error: BaseException) -> None:
        """Answer a request with an error."""
        self._answer(request, self._marshaller.error_to_wire(error))

    def _answer(self, request: Execute, wire: Wire) -> None:
        message = self._protocol.reply(request.id, wire)
        if message is None:
            return
        with contextlib.suppress(PortStateError):
            post_thrown(message, self._port.post_message)

    def _perform(self, request: Execute, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        policy = self.policy
        if request.type == "APPLY":
            return policy.function(request.path)(*arguments, **keywords)
        if request.type == "GET":
            value = policy.get(request.path)
            if isinstance(value, (MessagePort, Remote)):
                raise AttributeError(f"{'.'.join(request.path)!r} is not reachable: it is a port")
            return without_private_names(value, packed=self._endpoint.packed)
        if request.type == "SET":
            policy.set(request.path, *arguments)
            return True
        if request.type == "ENDPOINT":
            return SameObject(policy)
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
