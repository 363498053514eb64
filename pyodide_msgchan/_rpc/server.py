"""An exposed object at work: requests run, what they give is answered, what is cancelled stops."""

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
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.marshalling import (
    EXACT,
    PLAIN,
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
    """What an exposed object needs of the port below it."""

    port: MessagePort
    calls: PlainCalls | None

    @property
    def protocol(self) -> ComlinkProtocol:
        """What the port says and hears."""

    def value(self, wire: Any) -> Any:
        """Return what a Wire stands for, or raise it."""

    def wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the Wire of a value."""

    def endpoint(self) -> MessagePort:
        """Expose the same object on one more port, and give its other end."""


class CallServer:
    """What a port offers; requests run in the context that it was made in.

    Args:
        session: of the port.
        policy: the object, and what of it is reachable.
        tracebacks: whether the other side may see where an error was raised.
    """

    __slots__ = ("_context", "_port", "_protocol", "_tasks", "policy", "session", "tracebacks")

    def __init__(self, session: ServerSession, policy: AccessPolicy, *, tracebacks: bool) -> None:
        self.session = session
        self._protocol, self._port = session.protocol, session.port
        self.policy = policy
        self.tracebacks = tracebacks
        self._context: Context = copy_context()
        self._tasks: dict[Id, asyncio.Task[None]] = {}

    def run(self, run: Execute) -> None:
        """Do what a request asks, and answer it; in a later turn if it has to wait."""
        context = (
            self._context.copy()
        )  # a call that is still blocked in run_sync may have the other
        session = self.session
        try:
            arguments = [session.value(wire) for wire in run.arguments]
            keywords = {name: session.value(wire) for name, wire in run.keywords.items()}
        except MessageError as error:
            self.refuse(run, error)
            return
        except BaseException as error:  # noqa: BLE001 - it goes to the caller
            self._failed(run, error)
            return
        try:
            result = context.run(self._perform, run, arguments, keywords)
        except BaseException as error:  # noqa: BLE001 - it goes to the caller
            self._failed(run, error)
        else:
            self._returned(run, result, context)

    def call(self, id_: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a call of plain values; return its result if that is to be sent as it is."""
        context = self._context.copy()
        try:
            result = context.run(self.policy.function(path), *values)
        except BaseException as error:  # noqa: BLE001 - it goes to the caller
            self._failed(Execute(id_, "APPLY", path, [], {}), error)
            return None
        if result is not None and (
            type(result) in EXACT or cross_unchanged(self._port, (result,))  # a call dearer
        ):
            answered = self._protocol.finish(id_) and not self._port.closed
            return result if answered else None
        self._returned(Execute(id_, "APPLY", path, [], {}), result, context)
        return None

    def _failed(self, run: Execute, error: BaseException) -> None:
        self.fail(run, error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            report("a remote call asked for an exit", error)

    def _returned(self, run: Execute, result: Any, context: Context) -> None:
        if type(result) in PLAIN or not hasattr(type(result), "__await__"):
            self.reply(run, result)
            return
        loop = asyncio.get_event_loop()
        prepare_task_entry(loop)
        task = asyncio.Task(
            self._await(run, result),
            loop=loop,
            context=context,
            eager_start=True,  # most need no turn of the loop at all
        )
        if not task.done():
            self._tasks[run.id] = task

    def stop(self, id_: Id) -> None:
        """Cancel what runs for a request."""
        task = self._tasks.pop(id_, None)
        if task is not None:
            task.cancel()

    def stop_all(self) -> None:
        """Cancel everything that runs: nobody waits for it any more."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()

    def reply(self, run: Execute, result: Any) -> None:
        """Answer a request with a value."""
        session, attachments, message = self.session, Attachments.NONE, None
        short = session.calls
        if short and type(run.id) is str and cross_unchanged(session.port, (result,)):
            if session.protocol.finish(run.id) and not session.port.closed:
                short.answer(run.id, result)
            return
        try:
            if type(result) in PLAIN:
                message = session.protocol.reply(run.id, {"type": "RAW", "value": result})
            else:
                attachments = Attachments()
                message = session.protocol.reply(run.id, session.wire(result, attachments))
            if message is None:  # it was cancelled
                attachments.undo()
                return
            session.port.post_message(message, transfer=attachments.transfer)
        except PortStateError:
            attachments.undo()
        except BaseException as error:  # noqa: BLE001 - it goes to the caller, and is told here
            attachments.undo()
            if isinstance(error, DataCloneError):
                error = with_caller_path(error, f"the result of {'.'.join(run.path) or 'the call'}")
            session.protocol.running.add(run.id)
            self.fail(run, error)
            report("a result could not be sent to a remote caller", error)

    def refuse(self, run: Execute, error: MessageError) -> None:
        """Answer a request that can't be read."""
        self._answer(run, unreadable_request(error))

    def fail(self, run: Execute, error: BaseException) -> None:
        """Answer a request with an error."""
        self._answer(run, wire_of_error(error, traceback=self.tracebacks))

    def _answer(self, run: Execute, wire: Wire) -> None:
        message = self.session.protocol.reply(run.id, wire)
        if message is None:
            return
        with contextlib.suppress(PortStateError):
            post_thrown(message, self.session.port.post_message)

    def _perform(self, run: Execute, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        policy = self.policy
        if run.type == "APPLY":
            return policy.function(run.path)(*arguments, **keywords)
        if run.type == "GET":
            value = policy.get(run.path)
            if isinstance(value, (MessagePort, Remote)):
                raise AttributeError(f"{'.'.join(run.path)!r} is not reachable: it is a port")
            return without_private_names(value, packed=self.session.port._endpoint.packed)
        if run.type == "SET":
            policy.set(run.path, *arguments)
            return True
        if run.type == "ENDPOINT":
            return self.session.endpoint()
        return Proxied(AccessPolicy(policy.constructor(run.path)(*arguments, **keywords)))

    async def _await(self, run: Execute, awaitable: Any) -> None:
        try:
            result = await awaitable
        except (asyncio.CancelledError, GeneratorExit) as error:
            self.fail(run, error)
            raise
        except BaseException as error:  # noqa: BLE001 - it goes to the caller
            self._failed(run, error)
        else:
            self.reply(run, result)
        finally:
            self._tasks.pop(run.id, None)
