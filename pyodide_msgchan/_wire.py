"""The wire of a connection: every message that crosses it, and the words of its state machines.

*Window messages* are plain flat objects, sent with ``window.postMessage`` (in a worker, to and
from its owner). All carry ``msgchan``: the version, an integer; ``type``; ``name``: at most 200
characters; ``id``: the sender's, 1 to 64 characters. Unknown fields are ignored.

| type | who, when | more fields | posted to |
|---|---|---|---|
| hello | listener, at its start; answering a probe, unless turned | nonce, to?, loaded | (1); (2) |
| probe | caller, at its start; answering a hello if turned | nonce, to?, loaded | (1); (2) |
| offer | caller, after a hello; listener, after a probe if turned | to, loaded, two ports | (2) |
| refusal | listener, to a probe: "taken", "version" | to, reason | (2) |
| goodbye | listener, at its end; who waits for it starts again | | (1) |

(1) each allowed origin, or ``*`` if any or an opaque one is allowed. (2) the very origin that was
heard; ``*`` if that is "null". ``nonce`` has the shape of an id and is secret between the two;
``to`` is the id of the one spoken to; ``loaded`` is the number of milliseconds at which the
sender's page had loaded, -1 before that and in workers. The ports of an offer are [data, control].

*Control messages* are plain objects on the control port.

| type | who, when | more fields |
|---|---|---|
| acceptance | who took the offer, first of all | nonce: its own; and the description (3) |
| confirm | who offered, to the right nonce | the description (3) |
| refusal | who was offered: "taken"; who offered: "nonce"; then both ports close | reason |
| goodbye | either, when it closes, gives up, or its page goes | sent, answers?, reason (4) |
| farewell | answer to a goodbye, once all that was sent has arrived | |
| ping, pong | either, with a heartbeat; who gets a ping answers it | n: the same number |
| mark | who sends data, to a peer with "credit": which wants to hear of n taken messages | n (5) |
| taken | answer to a mark, once the user took so many; the last one answers those before | n |
| unreadable | who could not read a data message: a request ends so | n: its number; reason |
| introduction | who introduces two peers, to each; with two ports | of the other (3); message (6) |
| lane | who was introduced to a Python, once it took that connection | lane: "packed", "clone" |

(3) ``version`` and ``runtime``: strings, of the package and of what runs it; ``capabilities``: an
array of strings; ``loaded``; ``lock``: the name of a Web Lock, or missing. (4) ``sent`` counts the
messages posted on the data port, null if nobody counted; ``answers`` counts the requests that were
answered, null or missing where that is not known: the open ones end once so many answers came;
``reason`` is "close", "pagehide", or "lost" from who took the other side for gone, which may have
been busy only.
(5) counts the data messages posted so far; each mark is above the one before, and 16 at most are
unanswered. Capabilities: "clone"; "credit": marks are answered; "packs": this is Python, and could
speak the packed lane; "packed": it would, with the one that is told so, since that is of its own
origin or its user asked for it. They do if both say "packed".
(6) ``origin``: a string; missing for a worker; ``lane``: "clone" if the two are to speak nothing
else; ``message``: any value, for the user. The ports are [data, control] of a connection between
the two, on which neither handshake nor check of origins takes place: what an introduction says of
a peer is hearsay. Whoever does not take it says goodbye on the control port, and closes both.

The *data port* carries what users post, from the confirm on, and nothing else. On the packed lane
all but text, numbers that stay what they are, true, false and None go as ``{msgchan: [ArrayBuffer],
side: [], buffers: [ArrayBuffer]}``: a stream in segments, the JavaScript objects and ports in it,
and the memory of its arrays (`_packed`). ``side`` and ``buffers`` may be missing, a segment may be
a Uint8Array, and one alone may stand without the array: a short stream goes as ``{msgchan:
Uint8Array}``, and is cloned. Anything else there is read as structured clone gives it, for
JavaScript may post by hand. One convention: a
*request* is a message whose transfer list ends with a reply port; one message on that answers it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from .errors import HandshakeError

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
"""Of this wire: the field ``msgchan`` of every window message."""

LONGEST_TEXT: Final = 200
"""Characters of a string in a description; a longer one counts as missing."""

MOST_CAPABILITIES: Final = 64
"""More than any peer has; further ones are not read."""


class Envelope(NamedTuple):
    """A window message whose fields have the right types; what is missing is empty."""

    version: int
    type: str
    name: str
    id: str
    nonce: str = ""
    to: str = ""
    reason: str = ""
    loaded: float = -1
    ports: Any = None
    """Of an offer: whatever the shell knows its two ports by. Never set on the way out."""


class PeerInfo(NamedTuple):
    """What is known of the other side; all but the origin is what it says of itself."""

    origin: str | None
    """As in ``event.origin``; None for workers."""
    runtime: str = ""
    version: str = ""
    capabilities: frozenset[str] = frozenset()
    loaded: float = -1
    lock: str | None = None


class Post(NamedTuple):
    """Post a window message to `sender`; None: to all who are announced to."""

    envelope: Envelope
    origin: str
    sender: Any


class Offer(NamedTuple):
    """Make two channels, post the far ends [data, control] along, keep the near ones."""

    attempt: int
    envelope: Envelope
    origin: str
    sender: Any


class Adopt(NamedTuple):
    """Keep the two ports of an offer as those of `attempt`, and read the control port."""

    attempt: int
    ports: Any


class Send(NamedTuple):
    """Post on the control port of `attempt`."""

    attempt: int
    message: dict[str, Any]


class Close(NamedTuple):
    """Close both ports of `attempt`, after what was sent on them."""

    attempt: int


class Discard(NamedTuple):
    """Close both ports of an offer that is not taken, after sending `message` on the second."""

    ports: Any
    message: dict[str, Any] | None = None


class Connected(NamedTuple):
    """The ports of `attempt` are a connection now, and the shell's from here on."""

    attempt: int
    peer: PeerInfo


class Fail(NamedTuple):
    """It can't succeed any more; everything is closed."""

    error: HandshakeError


class SetTimer(NamedTuple):
    """Call `expired` in so many seconds; replaces an earlier timer."""

    seconds: float


class StopTimer(NamedTuple):
    """The timer is not needed any more."""


class PeerReplaced(NamedTuple):
    """Another listener speaks from the connected window: its page may have been replaced."""

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
    """Return True if a control message brings the ports of an introduction."""
    return isinstance(message, dict) and message.get("type") == "introduction"


def peer_info(origin: str | None, message: dict[str, Any]) -> PeerInfo:
    """Read the description in an acceptance or confirm; what has a wrong type counts as missing."""
    capabilities = message.get("capabilities")
    loaded = message.get("loaded")
    if not isinstance(loaded, (int, float)) or not 0 <= loaded <= 2**53:
        loaded = -1
    return PeerInfo(
        origin,
        _text(message.get("runtime")),
        _text(message.get("version")),
        frozenset(filter(None, map(_text, capabilities[:MOST_CAPABILITIES])))
        if isinstance(capabilities, list)
        else frozenset(),
        float(loaded),
        _text(message.get("lock")) or None,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
