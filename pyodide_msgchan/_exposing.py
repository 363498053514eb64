"""An exposed object at work: requests run, what they give is answered, what is cancelled stops."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import Context, copy_context
from typing import Any, Protocol

from ._browser import enter, report
from ._comlink import Id, Machine, Run, Wire
from ._parcel import Parcel, Proxied, readable
from ._public import without_private_names
from ._reach import Reach
from ._remote import Remote
from ._remote_errors import post_thrown, unreadable_request, wire_of_error
from ._types import Calls
from ._values import EXACT, PLAIN, cross_plainly
from .errors import DataCloneError, MessageError, PortStateError
from .port import MessagePort

__all__ = ["Exposer"]


class Answering(Protocol):
    """What an exposed object needs of the port below it."""

    port: MessagePort
    calls: Calls | None

    @property
    def machine(self) -> Machine:
        """What the port says and hears."""

    def value(self, wire: Any) -> Any:
        """Give what a Wire stands for, or raise it."""

    def wire(self, value: Any, parcel: Parcel) -> Wire:
        """Give the Wire of a value."""

    def endpoint(self) -> MessagePort:
        """Expose the same object on one more port, and give its other end."""


class Exposer:
    """What a port offers; requests run in the context that it was made in.

    Args:
        link: of the port.
        reach: the object, and what of it is reachable.
        tracebacks: whether the other side may see where an error was raised.
    """

    __slots__ = ("_context", "_link", "_machine", "_port", "_tasks", "reach", "tracebacks")

    def __init__(self, link: Answering, reach: Reach, *, tracebacks: bool) -> None:
        self._link = link
        self._machine, self._port = link.machine, link.port
        self.reach = reach
        self.tracebacks = tracebacks
        self._context: Context = copy_context()
        self._tasks: dict[Id, asyncio.Task[None]] = {}

    def run(self, run: Run) -> None:
        """Do what a request asks, and answer it; in a later turn if it has to wait."""
        context = (
            self._context.copy()
        )  # a call that is still blocked in run_sync may have the other
        link = self._link
        try:
            arguments = [link.value(wire) for wire in run.arguments]
            keywords = {name: link.value(wire) for name, wire in run.keywords.items()}
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
        """Run a call of plain values; gives its result if that is to be sent as it is."""
        context = self._context.copy()
        try:
            result = context.run(self.reach.function(path), *values)
        except BaseException as error:  # noqa: BLE001 - it goes to the caller
            self._failed(Run(id_, "APPLY", path, [], {}), error)
            return None
        if result is not None and (
            type(result) in EXACT or cross_plainly(self._port, (result,))  # a call dearer
        ):
            answered = self._machine.finish(id_) and not self._port.closed
            return result if answered else None
        self._returned(Run(id_, "APPLY", path, [], {}), result, context)
        return None

    def _failed(self, run: Run, error: BaseException) -> None:
        self.fail(run, error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            report("a remote call asked for an exit", error)

    def _returned(self, run: Run, result: Any, context: Context) -> None:
        if type(result) in PLAIN or not hasattr(type(result), "__await__"):
            self.reply(run, result)
            return
        loop = asyncio.get_event_loop()
        enter(loop)
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

    def reply(self, run: Run, result: Any) -> None:
        """Answer a request with a value."""
        link, parcel, message = self._link, Parcel.NONE, None
        short = link.calls
        if short and type(run.id) is str and cross_plainly(link.port, (result,)):
            if link.machine.finish(run.id) and not link.port.closed:
                short.answer(run.id, result)
            return
        try:
            if type(result) in PLAIN:
                message = link.machine.reply(run.id, {"type": "RAW", "value": result})
            else:
                parcel = Parcel()
                message = link.machine.reply(run.id, link.wire(result, parcel))
            if message is None:  # it was cancelled
                parcel.undo()
                return
            link.port.post_message(message, transfer=parcel.transfer)
        except PortStateError:
            parcel.undo()
        except BaseException as error:  # noqa: BLE001 - it goes to the caller, and is told here
            parcel.undo()
            if isinstance(error, DataCloneError):
                error = readable(error, f"the result of {'.'.join(run.path) or 'the call'}")
            link.machine.running.add(run.id)
            self.fail(run, error)
            report("a result could not be sent to a remote caller", error)

    def refuse(self, run: Run, error: MessageError) -> None:
        """Answer a request that can't be read."""
        self._answer(run, unreadable_request(error))

    def fail(self, run: Run, error: BaseException) -> None:
        """Answer a request with an error."""
        self._answer(run, wire_of_error(error, traceback=self.tracebacks))

    def _answer(self, run: Run, wire: Wire) -> None:
        message = self._link.machine.reply(run.id, wire)
        if message is None:
            return
        with contextlib.suppress(PortStateError):
            post_thrown(message, self._link.port.post_message)

    def _perform(self, run: Run, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        reach = self.reach
        if run.type == "APPLY":
            return reach.function(run.path)(*arguments, **keywords)
        if run.type == "GET":
            value = reach.get(run.path)
            if isinstance(value, (MessagePort, Remote)):
                raise AttributeError(f"{'.'.join(run.path)!r} is not reachable: it is a port")
            return without_private_names(value, packed=self._link.port._endpoint.packed)
        if run.type == "SET":
            reach.set(run.path, *arguments)
            return True
        if run.type == "ENDPOINT":
            return self._link.endpoint()
        return Proxied(Reach(reach.constructor(run.path)(*arguments, **keywords)))

    async def _await(self, run: Run, awaitable: Any) -> None:
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
