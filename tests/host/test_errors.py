"""The tree of errors: who is whose base, which fields they keep, what they say."""

import copy
import pickle

import pytest

import pyodide_msgchan
from pyodide_msgchan import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageChannel,
    MessageError,
    MsgChanError,
    NotInBrowserError,
    OriginRejectedError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
    RemoteError,
    VersionMismatchError,
)
from pyodide_msgchan._codec.exceptions import error_of


@pytest.mark.parametrize(
    "error,bases",
    [
        (DataCloneError("why"), (MsgChanError, TypeError)),
        (PeerClosedError(), (PortClosedError, PortStateError, MsgChanError)),
        (PortDetachedError(), (PortStateError,)),
        (PeerLostError(), (PortStateError,)),
        (HandshakeTimeoutError("accept", 1), (HandshakeError, TimeoutError)),
        (OriginRejectedError("a", ["b"]), (HandshakeError,)),
        (VersionMismatchError(1, 2), (HandshakeError,)),
        (NotInBrowserError(), (MsgChanError, RuntimeError)),
        (RemoteError("Error"), (MsgChanError,)),
    ],
)
def test_the_tree(error, bases):
    assert all(isinstance(error, base) for base in bases)
    assert str(error)


def test_messages_are_composed_from_fields():
    error = HandshakeTimeoutError("accept from https://app.example", 10, ["https://evil.example"])
    assert str(error) == (
        "no accept from https://app.example within 10 s; "
        "heard from https://evil.example, which is not allowed"
    )
    assert error.heard == ("https://evil.example",)
    hinted = HandshakeTimeoutError("accept", 1.5, hint="both sides called connect")
    assert (str(hinted), hinted.hint) == (
        "no accept within 1.5 s; both sides called connect",
        "both sides called connect",
    )
    assert "3 of its messages are lost" in str(PeerLostError(missing=3))
    assert str(DataCloneError("a function can't be cloned", "message['f']")) == (
        "message['f']: a function can't be cloned"
    )


def test_a_long_path_is_kept_whole_and_shown_short():
    error = DataCloneError("why", "message" + "[0]" * 1000)
    assert len(error.path) > 3000
    assert len(str(error)) < 250


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - our own
def test_fields_survive_copying(again):
    error = again(DataCloneError("why", "message[1]"))
    assert (error.reason, error.path) == ("why", "message[1]")
    error = again(MessageError("why", data={"number": 1}, ports=["a port"]))
    assert (str(error), error.data, error.ports) == ("why", {"number": 1}, ("a port",))


HANDSHAKE_ERRORS = [
    (HandshakeError("why", "taken"), "taken"),
    (HandshakeError("why"), "refused"),
    (HandshakeTimeoutError("accept", 1, ["https://evil.example"], hint="why"), "timeout"),
    (OriginRejectedError("a", ["b"]), "refused"),
    (VersionMismatchError(1, 2), "version"),
]


@pytest.mark.parametrize("error,code", HANDSHAKE_ERRORS)
def test_an_error_of_the_handshake_has_its_code(error, code):
    assert error.code == code


def test_a_code_survives_copying():
    copied = copy.copy(HandshakeError("why", "taken"))
    assert (copied.code, str(copied)) == ("taken", "why")


@pytest.mark.parametrize(
    "name,builtin",
    [
        ("TypeError", TypeError),
        ("RangeError", ValueError),
        ("SyntaxError", SyntaxError),
        ("ReferenceError", NameError),
    ],
)
def test_a_remote_error_is_the_matching_built_in_too(name, builtin):
    error = error_of(name, "text", "stack")
    assert isinstance(error, builtin)
    assert isinstance(error, RemoteError)
    assert (error.name, error.message, error.stack, str(error)) == (name, "text", "stack", "text")


def test_any_other_remote_error_says_its_name():
    error = error_of("AbortError", "gone", "")
    assert type(error) is RemoteError
    assert str(error) == "AbortError: gone"


def test_off_the_browser_the_way_out_is_named():
    with pytest.raises(NotInBrowserError, match=r"pyodide_msgchan\.testing"):
        MessageChannel()
    with pytest.raises(NotInBrowserError):
        pyodide_msgchan.MessagePort(object())
    with pytest.raises(NotInBrowserError):
        pyodide_msgchan.post_to_window(object(), 1, origin="https://app.example")
    with pytest.raises(NotInBrowserError):
        pyodide_msgchan.window_messages(origin="https://app.example")


def test_every_public_name_exists_and_is_documented():
    for name in pyodide_msgchan.__all__:
        thing = getattr(pyodide_msgchan, name)
        assert thing.__doc__ or not callable(thing), name
