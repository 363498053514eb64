"""A sink that hands everything that comes to an endpoint to a function, at once and in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._interfaces import Endpoint

__all__ = ["CallbackSink"]


@final
class CallbackSink:
    """Takes everything that comes, with the events and its place among them, until it is stopped.

    Attributes:
        run: what is to run as the last act of the arrival that is being handed over.
    """

    def __init__(self, endpoint: Endpoint, handle: Callable[[Any, Any, int], None]) -> None:
        self._handle: Callable[[Any, Any, int], None] | None = handle
        self.run: Callable[[], None] | None = None
        endpoint.listen(self)

    def _store_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Hand over what arrived."""
        for i, message in enumerate(messages):
            if self._handle is None:
                break  # what came before has ended it
            try:
                self._handle(message, events, i)
            except BaseException as error:  # noqa: BLE001 - no message stops the next one
                report("a message of the handshake failed", error)
        run, self.run = self.run, None
        return run

    def _store_message(self, message: Any) -> Callable[[], None] | None:
        """Hand over a single message."""
        return self._store_batch([message], None)

    def _has_buffered(self) -> bool:
        """Say that nothing is kept here."""
        return False

    def stop(self) -> None:
        """Hand over nothing more."""
        self._handle = None
