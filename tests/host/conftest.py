"""What the tests of the host share; and a profile for a long search.

`pytest tests/host -k machine --hypothesis-profile=thorough` runs it.
"""

import asyncio

import pytest
from hypothesis import HealthCheck, settings

from pyodide_msgchan.testing import MessageChannel
from pyodide_msgchan.testing.endpoint import MemoryEndpoint

# A machine that has other work to do is no failure.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "thorough", settings.get_profile("usual"), max_examples=3000, stateful_step_count=80
)
settings.load_profile("usual")


@pytest.fixture
async def ends():
    """Both ends of a channel; a module that tests several kinds has its own."""
    near, far = MessageChannel()
    async with near, far:
        yield near, far


@pytest.fixture
async def reports():
    """What reaches the loop's exception handler."""
    seen = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    yield seen
    loop.set_exception_handler(None)


@pytest.fixture(params=["at once", "later", "in batches"])
def delivery(request, monkeypatch):
    """How messages get from the endpoint to their task, their listener or the remote calls.

    - at once: by the fast paths of a browser whose private functions are the expected ones. A
      message steps its task, and a call of plain values runs, in the turn in which it arrives.
    - later: by the fallback for any other browser: what arrives is stored, and a later turn goes
      on with it. No call runs before it was stored.
    - in batches: as a browser collects messages while Python is busy, with their events.
    """
    hand_over = MemoryEndpoint._hand_over

    def later(self, mode, sink):
        run = hand_over(self, mode, sink)
        if run is not None:
            asyncio.get_running_loop().call_soon(run)

    def store_call(self, sink, call, path, values):
        return sink.store_call(call, path, values)

    def in_batches(self, mode, sink):
        messages, events = self._take_queued(mode)
        return sink.on_batch(messages, events or self._batch[-len(messages) :])

    if request.param == "later":
        monkeypatch.setattr(MemoryEndpoint, "_hand_over", later)
        monkeypatch.setattr(MemoryEndpoint, "_hand_over_call", store_call)
    elif request.param == "in batches":
        monkeypatch.setattr(MemoryEndpoint, "_hand_over", in_batches)
        monkeypatch.setattr(MemoryEndpoint, "calls", lambda _self, _prefix: None)
    return request.param
