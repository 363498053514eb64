"""What a message costs is bounded by its size: counted in visits and bytes, not in seconds."""

import asyncio

from pyodide_msgchan._waiter import Waiter
from pyodide_msgchan.testing import MessageChannel

MANY = 2000


async def test_cancelled_receives_cost_the_same_however_many_they_are(monkeypatch):
    looks = 0
    done = Waiter.done

    def counting(waiter):
        nonlocal looks
        looks += 1
        return done(waiter)

    monkeypatch.setattr(Waiter, "done", counting)
    near, far = MessageChannel()
    async with near, far:
        for order in (1, -1):
            tasks = [asyncio.ensure_future(far.receive()) for _ in range(MANY)]
            await asyncio.sleep(0)
            for task in tasks[::order]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
        assert not far._waiters
        assert not far._served
    assert looks < 10 * 2 * MANY


async def test_messages_for_many_who_wait_cost_the_same_each(monkeypatch):
    looks = 0
    done = Waiter.done

    def counting(waiter):
        nonlocal looks
        looks += 1
        return done(waiter)

    near, far = MessageChannel()
    async with near, far:
        tasks = [asyncio.ensure_future(far.receive()) for _ in range(MANY)]
        await asyncio.sleep(0)
        monkeypatch.setattr(Waiter, "done", counting)
        for number in range(MANY):
            wake = far._take([number], None)  # each by itself, as a browser brings them
            if wake is not None:
                asyncio.get_running_loop().call_soon(wake)
        assert await asyncio.gather(*tasks) == list(range(MANY))
    assert looks < 10 * MANY
