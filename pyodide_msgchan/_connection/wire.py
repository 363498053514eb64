"""The wire of a connection: every message that crosses it, and the actions of its state machines.

*Window messages* are plain flat objects, sent with ``window.postMessage`` (between a worker and its
owner with the worker's ``postMessage``). All have ``msgchan``: the version, an integer; ``type``;
``name``: at most 200 characters; ``id``: the sender's, 1 to 64 characters. Unknown fields are
ignored.

| type | sender, when | more fields | target |
|---|---|---|---|
| hello | responder, at its start; answering a probe | nonce, to?, loaded | (1); (2) |
| probe | initiator, at its start; answering a hello if reversed | nonce, to?, loaded | (1); (2) |
| offer | initiator, after a hello; responder, after a probe if reversed | to, loaded, ports | (2) |
| refusal | responder, answering a probe: "taken", "version" | to, reason | (2) |
| goodbye | responder, at its end; an initiator that waits for it starts again | | (1) |

(1) each allowed origin, or ``*`` if any or an opaque origin is allowed. (2) the exact origin of the
message that is answered; ``*`` if that is "null". ``nonce`` has the format of an id and is a secret
between the two sides; ``to`` is the id of the receiver; ``loaded`` is the number of milliseconds
since the load event of the sender's page, -1 before that and in workers. The two ports of an offer
are [data, control]. "Reversed" are the roles if only the responder's origin is opaque; it then
answers a probe with an offer instead of a hello.

*Control messages* are plain objects on the control port.

| type | sender, when | more fields |
|---|---|---|
| acceptance | receiver of the offer, first of all | its nonce; description (3) |
| confirm | sender of the offer, after the right nonce | description (3) |
| refusal | receiver of the offer: "taken"; its sender: "nonce"; both ports close | reason |
| goodbye | either, when it closes, drops an attempt or its page ends | sent, answers?, reason (4) |
| farewell | answer to a goodbye, once all messages sent before have arrived | |
| ping, pong | either, for a heartbeat or liveness check; a pong answers a ping | n: the same |
| mark | sender of data, to a peer with "credit": acknowledge n messages | n (5) |
| taken | answer to a mark and to those before, once the user has consumed n messages | n |
| unreadable | receiver of an unreadable data message; ends a request | n: its number; reason |
| introduction | page that introduces two peers, to each; two ports | the other's (3); message (6) |
| lane | peer introduced to Python, once it took the connection | lane: "packed", "clone" |

(3) ``version`` and ``runtime``: strings, of the package and of what runs it; ``capabilities``: an
array of strings; ``loaded``; ``lock``: the name of a Web Lock, or missing. (4) ``sent``: the number
of messages posted on the data port, null if it is not known; ``answers``: the number of requests
that were answered, null or missing if it is not known (open requests end once that many answers
have arrived); ``reason``: "close"; "pagehide"; or "lost" from a side that presumed the other lost,
which may only have been busy. (5) ``n``: the number of data messages posted so far; each mark is
above the one before, and at most 16 are unanswered. Capabilities: "clone"; "credit": marks are
answered; "packs": the sender is Python and could use the packed lane; "packed": it would use it
with the receiver, which has its own origin or whose lane the user asked for. Both use the packed
lane if both sent "packed". (6) ``origin``: a string, missing for a worker; ``lane``: "clone" if the
two may use no other lane; ``message``: any value, for the user. The ports are [data, control] of a
connection between the two peers, on which neither handshake nor check of origins takes place: only
the introducing page says who the peer is. A side that does not take an introduction sends a goodbye
on the control port and closes both ports.

The *data port* carries what users post, from the confirm on, and nothing else. On the packed lane
strings, true, false, None and numbers that keep their type are sent as they are, and all else as
``{msgchan: [ArrayBuffer], side: [], buffers: [ArrayBuffer]}``: a stream in segments, the JavaScript
objects and ports in it, and the memory of its arrays (`_codec.packed.codec`). ``side`` and
``buffers`` may be missing, a segment may be a Uint8Array, and a single segment may stand without
the array: a short stream is sent as ``{msgchan: Uint8Array}``, which is cloned. Any other value is
read as a structured clone, since JavaScript may post on the port by hand. One convention: a
*request* is a message whose transfer list ends with a reply port; one message on that port answers
it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pyodide_msgchan.errors import HandshakeError

__all__ = [
    "VERSION",
    "Action",
    "Adopt",
    "Close",
    "Connected",
    "Discard",
    "Envelope",
    "Fail",
    "Offer",
    "PeerInfo",
    "PeerReplaced",
    "Post",
    "Send",
    "SetTimer",
    "StopTimer",
    "is_introduction",
    "peer_info",
]


VERSION: Final = 1
"""The version of this wire, in the field ``msgchan`` of every window message."""


MAX_TEXT_LENGTH: Final = 200
"""The limit of characters of a string in a description; a longer one counts as missing."""


MAX_CAPABILITIES: Final = 64
"""The limit of capabilities that are read, which is more than any peer has."""


class Envelope(NamedTuple):
    """A window message whose fields have the right types; a missing string field is empty."""

    version: int
    type: str
    name: str
    id: str
    nonce: str = ""
    to: str = ""
    reason: str = ""
    loaded: float = -1
    ports: Any = None
    """The driver's representation of the ports of a received offer, else None."""


class PeerInfo(NamedTuple):
    """A description of the peer; all but the origin is what the peer says about itself."""

    origin: str | None
    """The origin as in ``event.origin``; None for workers."""
    runtime: str = ""
    version: str = ""
    capabilities: frozenset[str] = frozenset()
    loaded: float = -1
    lock: str | None = None


class Post(NamedTuple):
    """Post a window message to `sender`, or to every target of announcements if that is None."""

    envelope: Envelope
    origin: str
    sender: Any


class Offer(NamedTuple):
    """Make two channels, post their far ends [data, control] in `envelope`, and keep the others."""

    attempt: int
    envelope: Envelope
    origin: str
    sender: Any


class Adopt(NamedTuple):
    """Keep the two ports of an offer as the ports of `attempt`, and read the control port."""

    attempt: int
    ports: Any


class Send(NamedTuple):
    """Post `message` on the control port of `attempt`."""

    attempt: int
    message: dict[str, Any]


class Close(NamedTuple):
    """Close both ports of `attempt`; messages sent on them before still arrive."""

    attempt: int


class Discard(NamedTuple):
    """Close both ports of an offer that is not adopted, after sending `message` on the second."""

    ports: Any
    message: dict[str, Any] | None = None


class Connected(NamedTuple):
    """Make a connection of the ports of `attempt`; it owns them from here on."""

    attempt: int
    peer: PeerInfo


class Fail(NamedTuple):
    """Report `error`: the handshake has failed, and its ports are closed."""

    error: HandshakeError


class SetTimer(NamedTuple):
    """Call `expired` after `seconds`; this replaces an earlier timer."""

    seconds: float


class StopTimer(NamedTuple):
    """Cancel the timer."""


class PeerReplaced(NamedTuple):
    """Start a liveness check: another responder posted from the window of the connection."""

    attempt: int


type Action = (
    Post
    | Offer
    | Adopt
    | Send
    | Close
    | Discard
    | Connected
    | Fail
    | SetTimer
    | StopTimer
    | PeerReplaced
)


def is_introduction(message: Any) -> bool:
    """Return True if a control message is an introduction, which has ports."""
    return isinstance(message, dict) and message.get("type") == "introduction"


def peer_info(origin: str | None, message: dict[str, Any]) -> PeerInfo:
    """Return the description in a control message; a value of a wrong type counts as missing."""
    capabilities = message.get("capabilities")
    loaded = message.get("loaded")
    if not isinstance(loaded, (int, float)) or not 0 <= loaded <= 2**53:
        loaded = -1
    return PeerInfo(
        origin,
        _text(message.get("runtime")),
        _text(message.get("version")),
        frozenset(filter(None, map(_text, capabilities[:MAX_CAPABILITIES])))
        if isinstance(capabilities, list)
        else frozenset(),
        float(loaded),
        _text(message.get("lock")) or None,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT_LENGTH else ""
