"""The parts of a session, each alone: client, server, marshallers, a stream's reader, Penpal's."""

import asyncio

import pytest

from pyodide_msgchan import (
    DataCloneError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    RemoteError,
)
from pyodide_msgchan._codec.wire import raw
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.client import CallClient
from pyodide_msgchan._rpc.marshalling import (
    Attachments,
    Marshaller,
    Proxied,
    ProxyMarshaller,
    SameObject,
)
from pyodide_msgchan._rpc.protocol import ComlinkProtocol, Execute, SettleCall
from pyodide_msgchan._rpc.remote import DEFAULT_OPTIONS, Remote, RemoteHandle
from pyodide_msgchan._rpc.server import CallServer
from pyodide_msgchan._rpc.streams import RemoteIterator, StreamPort, StreamReader
from pyodide_msgchan.penpal.session import PageSession, PenpalAccess, PenpalOptions


async def test_a_client_posts_requests_and_settles_their_calls(ends):
    near, far = ends
    protocol = ComlinkProtocol("me-")
    client = CallClient(near, protocol, Marshaller())
    remote = Remote(RemoteHandle(client, owned=False))
    good, bad = remote.add(1, 2), remote.fail()
    request = await far.receive()
    assert request["argumentList"] == [raw(1), raw(2)]
    action = protocol.received({**raw(3), "id": request["id"]})
    assert isinstance(action, SettleCall)
    client.settle(action.token, action.wire)
    assert await good == 3
    client.fail_all(protocol.end(), PeerLostError)
    with pytest.raises(PeerLostError):
        await bad
    core_of(near).end(PeerLostError, drop=True)
    with pytest.raises(PeerLostError):
        remote.add(1, 2)


async def test_a_server_answers_each_request_once(ends):
    near, far = ends
    protocol = ComlinkProtocol("me-")
    server = CallServer(near, protocol, Marshaller(), AccessPolicy({"add": int.__add__}))
    protocol.expose()
    for message in (
        {"id": 1, "type": "APPLY", "path": ["add"], "argumentList": [raw(1), raw(2)]},
        {"id": 2, "type": "APPLY", "path": ["none"], "argumentList": []},
    ):
        action = protocol.received(message)
        assert isinstance(action, Execute)
        server.run(action)
        server.run(action)
    assert await far.receive() == {**raw(3), "id": 1}
    answer = await far.receive()
    assert (answer["id"], answer["name"]) == (2, "throw")
    await asyncio.sleep(0)
    assert far.buffered == 0


class Root:
    """Takes the place of the session that opens others."""

    def __init__(self):
        self.opened = []

    def open_child(self, port, parent):
        self.opened.append((port, parent))
        return self

    def expose(self, policy):
        self.exposed = policy.root

    def expose_stream(self, items):
        self.exposed = items

    def remote(self, options):
        return "remote", options

    def remote_iterator(self, options):
        return "iterator", options


async def test_a_marshaller_opens_a_port_for_each_reference(ends):
    root = Root()
    marshaller = ProxyMarshaller(ends[0], root.open_child, Marshaller(tracebacks=True))
    assert marshaller.tracebacks
    attachments = Attachments()
    made = {}
    items = (number for number in range(2))
    for value, exposed in ((print, print), (Proxied(AccessPolicy(made)), made), (items, items)):
        wire = marshaller.to_wire(value, attachments)
        assert (wire["name"], wire.get("iterator", False)) == ("proxy", value is items)
        assert attachments.transfer[-1] is wire["value"]
        assert root.exposed is exposed
    same = marshaller.to_wire(SameObject(AccessPolicy(made)), attachments)
    assert same == raw(attachments.transfer[-1])
    assert [parent for _, parent in root.opened] == [marshaller] * 4
    attachments.undo()
    assert all(port.closed for port, _ in root.opened)
    assert all(port.closed for port in attachments.transfer)


async def test_a_marshaller_takes_the_ports_of_references(ends):
    root = Root()
    marshaller = ProxyMarshaller(ends[0], root.open_child, None)
    wire = {"type": "HANDLER", "name": "proxy", "value": ends[1]}
    assert marshaller.from_wire(wire) == ("remote", DEFAULT_OPTIONS)
    assert marshaller.python is None
    assert marshaller.from_wire({**wire, "iterator": True}) == ("iterator", DEFAULT_OPTIONS)
    assert marshaller.python is True  # only this package sends iterators
    assert root.opened == [(ends[1], marshaller)] * 2


def test_without_references_a_function_is_left_to_the_copying():
    attachments = Attachments()
    for value in (print, Proxied(AccessPolicy(print))):
        assert Marshaller().to_wire(value, attachments) == raw(print)
    assert attachments.ports == attachments.transfer == []


async def test_a_reader_grants_credit_for_what_was_consumed(ends):
    near, far = ends
    reader = StreamReader(StreamPort(near, Marshaller()), 4)
    iterator = RemoteIterator(reader, RemoteHandle(None, owned=False))
    first = asyncio.ensure_future(anext(iterator))
    assert await far.receive() == {"type": "PULL", "credit": 4}
    for number in range(3):
        for waiter in reader.on_message({"type": "ITEM", "item": raw(number)}):
            waiter.wake_soon()
    assert [await first, await anext(iterator)] == [0, 1]
    assert await far.receive() == {"type": "PULL", "credit": 2}
    reader.on_message({"type": "END"})
    assert [item async for item in iterator] == [2]
    assert near.closed


# Penpal's session with one page


async def fail():
    raise ValueError("no")


@pytest.fixture
async def pages(ends):
    destroyed = []

    def make(port, methods):
        options = PenpalOptions(None, "frame", None, None, tracebacks=False)
        return PageSession(port, PenpalAccess(methods), options, lambda: destroyed.append(port))

    near, far = make(ends[0], {}), make(ends[1], {"add": int.__add__, "fail": fail})
    return near, far, destroyed


async def test_calls_between_two_pages(pages):
    near, _, _ = pages
    handle = RemoteHandle(near.client, owned=False)

    def call(name, *arguments):
        return near.client.request("APPLY", handle, (name,), arguments)

    assert await call("add", 1, 2) == 3
    with pytest.raises(RemoteError, match="no") as caught:
        await call("fail")
    assert caught.value.name == "ValueError"
    with pytest.raises(RemoteError, match="not reachable") as caught:
        await call("none")
    assert caught.value.name == "PenpalError"
    with pytest.raises(DataCloneError, match="argument 2"):
        call("add", 1, print)


async def test_a_page_that_ends_the_connection_is_told_apart(pages):
    near, far, destroyed = pages
    call = near.client.request("APPLY", RemoteHandle(near.client, owned=False), ("add",), (1, 2))
    far.destroy()
    with pytest.raises(PeerClosedError):
        await call
    assert far.port.closed
    assert near.port.closed
    assert destroyed == [near.port]


async def test_a_cancelled_call_is_forgotten_without_a_message(pages):
    near, far, _ = pages
    seen = []
    far.on_messages = seen.extend
    handle = RemoteHandle(near.client, owned=False)
    task = asyncio.ensure_future(_awaited(near.client.request("APPLY", handle, ("add",), (1, 2))))
    while not seen:  # noqa: ASYNC110 - turns of the loop, no time
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert near.client.protocol.pending_count == 0
    near.port.post_message("last")
    while seen[-1] != "last":  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    assert [message["type"] for message in seen[:-1]] == ["CALL"]


async def _awaited(call):
    return await call


async def test_an_unreadable_message_to_a_page_is_the_answer_that_waits(pages):
    near, _, _ = pages
    call = near.client.request("APPLY", RemoteHandle(near.client, owned=False), ("add",), (1, 2))
    near.on_messages([UnreadableMessage(Notice("messageerror"))])
    with pytest.raises(Exception, match="could not read a message"):
        await call


async def test_calls_fail_with_the_session(pages):
    near, _, _ = pages
    calls = [
        near.client.request("APPLY", RemoteHandle(near.client, owned=False), ("add",), (1, 2))
        for _ in range(2)
    ]
    near.port.close()
    for call in calls:
        with pytest.raises(PortClosedError):
            await call
