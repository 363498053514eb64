"""Waiting in host tests, turn by turn of the event loop, for something that the test names."""

import asyncio
from collections.abc import Callable

_MOST_TURNS = 100_000
#: More than what any message, answer or goodbye in memory takes.
_TURNS_TO_SETTLE = 20


async def until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds that needs no timer.

    Raises:
        TimeoutError: it does not hold after more turns of the loop than anything here takes.
    """
    for _ in range(_MOST_TURNS):
        if holds():
            return
        await asyncio.sleep(0)
    raise TimeoutError("what the test waits for did not come")


async def settle(turns: int = _TURNS_TO_SETTLE) -> None:
    """Run everything that is on its way, before a test shows what has not happened.

    A test that waits for something to happen calls `until`.
    """
    for _ in range(turns):
        await asyncio.sleep(0)
