"""The inbox of the handshake: hands over what comes to an endpoint, at once and in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from ._browser import report
from ._types import Endpoint

__all__ = ["Inbox"]


@final
class Inbox:
    """Takes everything that comes, with the events and its place among them, until it is stopped.

    Attributes:
        run: what is to run as the last act of the arrival that is being handed over.
    """

    def __init__(self, endpoint: Endpoint, handle: Callable[[Any, Any, int], None]) -> None:
        self._handle: Callable[[Any, Any, int], None] | None = handle
        self.run: Callable[[], None] | None = None
        endpoint.listen(self)

    def _take(self, messages: list[Any], events: Sequence[Any] | None) -> Callable[[], None] | None:
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

    def _take_one(self, message: Any) -> Callable[[], None] | None:
        """Hand over a single message."""
        return self._take([message], None)

    def _left(self) -> bool:
        """Say that nothing is kept here."""
        return False

    def stop(self) -> None:
        """Hand over nothing more."""
        self._handle = None
