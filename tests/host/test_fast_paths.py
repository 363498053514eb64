"""The short ways of single messages and of calls of plain values, and the fallback behind them."""

import asyncio
from collections import deque

import pytest
from tools.waiting import settle, until

from pyodide_msgchan import PortClosedError, expose, wrap
from pyodide_msgchan._bridge.callbacks import _on_results, _on_step, waiting_sinks
from pyodide_msgchan._port.endpoint import BrowserEndpoint
from pyodide_msgchan._port.queue import MessageQueue
from pyodide_msgchan._rpc.session import RpcSession
from pyodide_msgchan.testing import MessageChannel
from pyodide_msgchan.testing.endpoint import MemoryEndpoint
from pyodide_msgchan.testing.plain_calls import parse_call, result_number, take_results

NUMBER = -1
"""Of a port that only the functions for JavaScript know."""

NOW = False
"""Tasks can't be stepped in the call that hands over what arrived."""


@pytest.fixture
def taken(monkeypatch):
    """What was handed over, and by which way."""
    log = []

    def note(owner, name):
        real = getattr(owner, name)

        def noting(self, *args):
            log.append((name, *args))
            return real(self, *args)

        monkeypatch.setattr(owner, name, noting)

    note(MessageQueue, "on_message")
    for name in ("on_call", "on_results", "on_messages"):
        note(RpcSession, name)
    return log


@pytest.fixture
async def ends():
    near, far = MessageChannel()
    async with near, far:
        yield near, far


async def test_a_single_message_takes_the_short_way(ends, taken):
    near, far = ends
    for message in (1, {"a": [2]}):
        receiving = asyncio.ensure_future(far.receive())
        await settle()
        near.post_message(message)
        assert await receiving == message
    assert taken == [("on_message", 1), ("on_message", {"a": [2]})]


async def test_messages_that_come_together_or_with_events_do_not(ends, taken):
    near, far = ends
    for number in range(3):
        near.post_message(number)
    assert [await far.receive() for _ in range(3)] == [0, 1, 2]
    receiving = asyncio.ensure_future(far.receive_event())
    await settle()
    near.post_message(4)
    assert (await receiving).data == 4
    assert taken == []


async def test_a_call_of_plain_values_and_its_result_take_the_short_way(ends, taken):
    near, far = ends
    expose({"add": lambda *numbers: sum(numbers), "none": lambda: None}, far)
    remote = wrap(near)
    assert await remote.add(1, 2.5) == 3.5
    assert await remote.none() is None
    ways = [name for name, *_ in taken]
    assert ways == ["on_call", "on_results"] * 2
    assert taken[0][2:] == (("add",), (1, 2.5))
    assert taken[1][2:] == (3.5,)


async def test_the_object_itself_is_called_with_no_name(ends, taken):
    near, far = ends
    expose(lambda text: text.upper(), far)
    assert await wrap(near)("small") == "SMALL"
    assert taken[0][0] == "on_call"
    assert taken[0][2:] == ((), ("small",))


async def test_other_values_go_as_messages(ends, taken):
    near, far = ends
    expose({"same": lambda value: value}, far)
    assert await wrap(near).same([1]) == [1]
    assert [name for name, *_ in taken] == ["on_messages"] * 2


async def test_results_that_come_together_are_handed_over_at_once(ends, taken):
    near, far = ends
    expose({"double": lambda number: 2 * number}, far)
    remote = wrap(near)
    calls = [remote.double(number) for number in range(5)]
    assert [await call for call in calls] == [0, 2, 4, 6, 8]
    ways = [name for name, *_ in taken]
    assert ways == ["on_messages", "on_results"]
    assert taken[1][2::2] == (0, 2, 4, 6, 8)


async def test_what_follows_the_results_comes_too(ends, taken):
    near, far = ends
    expose({"same": lambda value: value}, far)
    remote = wrap(near)
    values = [1, 2, [3], 4, 5]
    calls = [remote.same(value) for value in values]
    assert [await call for call in calls] == values
    assert [name for name, *_ in taken] == ["on_messages", "on_results", "on_messages"]


async def test_an_answer_after_the_port_was_closed_is_none(ends, monkeypatch):
    near, far = ends
    posted = []
    remote = wrap(near)
    expose({"leave": lambda: far.close() or 1}, far)
    call = remote.leave()
    monkeypatch.setattr(MemoryEndpoint, "post_call", lambda _, message: posted.append(message))
    with pytest.raises(PortClosedError):
        await call
    assert posted == []


@pytest.mark.parametrize(
    "data, number",
    [
        ({"id": "p-7", "type": "RAW", "value": 1}, 7),
        ({"id": "p-7", "type": "RAW"}, 7),
        ({"id": "p-9007199254740991", "type": "RAW", "value": "text"}, 2**53 - 1),
        ({"id": "p-0", "type": "RAW", "value": 1}, 0),
        ({"id": "p-07", "type": "RAW", "value": 1}, 0),
        ({"id": "p-\u0667", "type": "RAW", "value": 1}, 0),
        ({"id": "p-9007199254740992", "type": "RAW", "value": 1}, 0),
        ({"id": "p-" + 5000 * "9", "type": "RAW", "value": 1}, 0),
        ({"id": "q-7", "type": "RAW", "value": 1}, 0),
        ({"id": 7, "type": "RAW", "value": 1}, 0),
        ({"id": "p-7", "type": "HANDLER", "value": 1}, 0),
        ({"id": "p-7", "type": "RAW", "value": [1]}, 0),
        ({"id": "p-7", "type": "RAW", "value": 2**53}, 0),
        ("p-7", 0),
    ],
)
def test_plain_results(data, number):
    assert result_number(data, "p-") == number


WIRES = [{"type": "RAW", "value": 1}, {"type": "RAW"}]


@pytest.mark.parametrize(
    "changed, call",
    [
        ({}, ("an id", ("add",), (1, None))),
        ({"path": []}, ("an id", (), (1, None))),
        ({"argumentList": [], "keywords": {}}, ("an id", ("add",), ())),
        ({"id": 1}, None),
        ({"id": 1001 * "x"}, None),
        ({"type": "GET"}, None),
        ({"path": ["a", "b"]}, None),
        ({"path": [1]}, None),
        ({"path": [101 * "x"]}, None),
        ({"path": "a"}, None),
        ({"argumentList": 101 * WIRES}, None),
        ({"argumentList": None}, None),
        ({"argumentList": [1]}, None),
        ({"argumentList": [{"type": "HANDLER", "name": "proxy", "value": 1}]}, None),
        ({"argumentList": [{"type": "RAW", "value": {}}]}, None),
        ({"keywords": {"a": WIRES[0]}}, None),
    ],
)
def test_plain_calls(changed, call):
    message = {"id": "an id", "type": "APPLY", "path": ["add"], "argumentList": WIRES}
    assert parse_call({**message, **changed}) == call


def test_results_are_taken_from_the_head_of_the_queue_up_to_a_limit():
    results = [({"id": f"p{n}", "type": "RAW", "value": -n}, None) for n in range(1, 400)]
    other = ({"id": "p1", "type": "HANDLER"}, None)
    queue = deque([*results[:3], other, *results[3:]])
    assert take_results(queue, "p") == [1, -1, 2, -2, 3, -3]
    assert take_results(queue, "p") == []
    assert queue.popleft() is other
    assert len(take_results(queue, "p")) == 2 * 256
    assert queue[0] is results[3 + 256]
    assert take_results(deque(results[:1]), "p") == []


# The fallback: what arrived is stored, and JavaScript calls again to step a task.


@pytest.fixture
async def unanswered(ends):
    """Two calls that nobody answers, and the session that has made them."""
    remote = wrap(ends[0])
    calls = [remote.first(), remote.second()]
    tasks = [asyncio.ensure_future(asyncio.wait_for(call, None)) for call in calls]
    session = ends[0]._core.queue.reader
    await until(lambda: all(call._waiters for call in calls))
    waiting_sinks[NUMBER] = ends[0]._core.endpoint._sink
    yield session, [call.number for call in calls], tasks
    waiting_sinks.pop(NUMBER, None)


async def test_what_arrives_before_the_step_takes_no_step_away(unanswered):
    _, numbers, tasks = unanswered
    assert [_on_results(NUMBER, NOW, number, "result") for number in numbers] == [1, 1]
    await settle()
    assert not any(task.done() for task in tasks)
    for _ in numbers:
        asyncio.get_running_loop().call_soon(_on_step, NUMBER)
    await until(lambda: all(task.done() for task in tasks))
    assert [task.result() for task in tasks] == ["result"] * 2


async def test_a_port_that_is_closed_before_the_step_keeps_its_result(unanswered, ends):
    _, numbers, tasks = unanswered
    endpoint = BrowserEndpoint(NUMBER, stack_switching=True)
    assert _on_results(NUMBER, NOW, numbers[0], "result") == 1
    ends[0].close()
    endpoint.unregister()
    asyncio.get_running_loop().call_soon(_on_step, NUMBER)
    await until(lambda: all(task.done() for task in tasks))
    assert tasks[0].result() == "result"
    assert isinstance(tasks[1].exception(), PortClosedError)
