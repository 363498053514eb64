"""Messages that can't be read: their error, and the object that takes their place in a buffer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, final

from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._printing import error_text
from pyodide_msgchan.errors import MessageError

__all__ = ["MAX_REASON_LENGTH", "UNREADABLE", "UnreadableMessage", "close_ports", "message_error"]


UNREADABLE: Final = object()
"""Name of the handler in a Wire for a value that can't be read; its value is the error to raise."""


MAX_REASON_LENGTH: Final = 500
"""Characters of a reason in an error text, at most."""


def message_error(notice: Notice) -> MessageError:
    """Return the error that reports a message that can't be read."""
    if notice.error is None:
        return MessageError("the browser could not read a message (messageerror)")
    error = MessageError(f"a message could not be read: {_reason_of(notice.error)}")
    error.__cause__ = notice.error
    return error


def _reason_of(error: BaseException) -> str:
    text = error_text(error)
    return text[:MAX_REASON_LENGTH] or type(error).__name__


def close_ports(attachments: Iterable[Any]) -> None:
    """Close the ports that came with a message that nobody gets, and so nobody else can close."""
    for item in attachments:
        if hasattr(item, "post_message") and not item.closed:
            item.close()


@final
class UnreadableMessage:
    """A message that can't be read, in its place among the messages of a port.

    Attributes:
        error: the error that tells why.
        partial: the part of the message that could be read, or None.
        attachments: the ports and JavaScript objects that came with it.
    """

    __slots__ = ("attachments", "error", "partial")

    def __init__(self, notice: Notice) -> None:
        self.error = message_error(notice)
        self.partial = notice.partial if type(notice.partial) is dict else None
        self.attachments = notice.attachments

    @property
    def wire(self) -> Wire:
        """The Wire that raises the error where it is decoded."""
        return {"type": "HANDLER", "name": UNREADABLE, "value": self.error}
