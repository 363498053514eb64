"""A sink that calls a function with everything that arrives at an endpoint, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._interfaces import Endpoint

__all__ = ["CallbackSink"]


@final
class CallbackSink:
    """Calls a function with each message or notice that arrives, until it is stopped.

    The function is called with the message, the events of its batch, and its index among them.

    Attributes:
        run: a step that the function may set, to be called after the whole batch.
    """

    def __init__(self, endpoint: Endpoint, handle: Callable[[Any, Any, int], None]) -> None:
        self._handle: Callable[[Any, Any, int], None] | None = handle
        self.run: Callable[[], None] | None = None
        endpoint.listen(self)

    def on_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Call the function with each message; return the step to call last."""
        for i, message in enumerate(messages):
            if self._handle is None:
                break  # an earlier message stopped it
            try:
                self._handle(message, events, i)
            except BaseException as error:  # noqa: BLE001 - a failure does not stop the next message
                report("a message of the handshake failed", error)
        run, self.run = self.run, None
        return run

    def on_message(self, message: Any) -> Callable[[], None] | None:
        """Call the function with one message; return the step to call last."""
        return self.on_batch([message], None)

    def has_buffered(self) -> bool:
        """Return False: this sink stores nothing."""
        return False

    def stop(self) -> None:
        """Ignore everything that arrives from now on."""
        self._handle = None
