"""The rows: what a group's module declares, and how one of them is run.

A module of a group stands in this folder, is named in modules.mjs, and looks like this:

    row = group("order", "Order")

    @row(
        "order-two-posts",
        "messages arrive in the order of their posting",
        source="HTML 9.4.4; wpt webmessaging/message-channels/basics",
        expected=[1, 2],
    )
    async def _(scene):
        one, two = MessageChannel()
        async with one, two:
            one.post_message(1)
            one.post_message(2)
            return [await two.receive(), await two.receive()]

What the function returns is compared with `expected` (see `same` in compare.py); so is what it
raises, with ``expected=Raised(…)``. `needs` names what has to be there before the clock starts:
"same", "cross", "sandbox", "worker", "popup", each a Python of its own, found as `scene.same` and
so on. What shall run there is a function of the same module under `@scenario`, or a JavaScript
one of light.mjs, and a row calls it by ``await scene.same.run(function, *args)``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .compare import Raised, difference, same, show

LIMIT = 10.0
"""Seconds that a row may take."""

type Check = Callable[[Any], Awaitable[Any]]


class NotRun(Exception):  # noqa: N818 - it is no error
    """A row can't be run in this browser as it stands; the text says why."""


@dataclass
class Row:
    """One behaviour."""

    id: str
    group: str
    title: str
    source: str
    expected: Any
    needs: tuple[str, ...]
    limit: float
    check: Check


@dataclass
class Result:
    """What came of a row; `ok` is None if it was not run."""

    ok: bool | None
    got: str
    ms: float


GROUPS: dict[str, str] = {}
"""Titles by the groups' names."""

ROWS: dict[str, Row] = {}
"""Rows by their names, in the order of the page."""

SCENARIOS: dict[str, Callable[..., Awaitable[Any]]] = {}
"""What runs in other pages on a row's behalf, by name."""


def group(name: str, title: str) -> Callable[..., Callable[[Check], Check]]:
    """Open a group of rows, and give the decorator of its rows."""
    GROUPS[name] = title

    def row(
        id: str,  # noqa: A002 - that is what it is
        title: str,
        *,
        source: str,
        expected: Any,
        needs: str = "",
        limit: float = LIMIT,
    ) -> Callable[[Check], Check]:
        """Declare a row of this group.

        Args:
            id: of the row, unique on the page.
            title: what holds, in words.
            source: section of the HTML standard or file of web-platform-tests that says so.
            expected: what the function returns, or Raised(…).
            needs: kinds of other pages, separated by spaces.
            limit: seconds it may take.
        """

        def declare(check: Check) -> Check:
            if id in ROWS:
                raise ValueError(f"there are two rows {id}")
            ROWS[id] = Row(id, name, title, source, expected, tuple(needs.split()), limit, check)
            return check

        return declare

    return row


def scenario[F: Callable[..., Awaitable[Any]]](function: F) -> F:
    """Declare what a row may run in another page: an async function of what it is given there."""
    SCENARIOS[scenario_name(function)] = function
    return function


def scenario_name(function: Callable[..., Any]) -> str:
    """Give the name by which a scenario is called from afar."""
    return f"{function.__module__}.{function.__name__}"


async def run(row: Row, scene: Any) -> Result:
    """Run a row; whatever it does, this returns soon after its time is over."""
    start = time.perf_counter()
    task = asyncio.ensure_future(row.check(scene))
    await asyncio.wait([task], timeout=row.limit)
    late = not task.done()
    if late:
        task.cancel()
        await asyncio.wait([task], timeout=1)
    ms = 1000 * (time.perf_counter() - start)
    if late:
        return Result(ok=False, got=f"nothing within {row.limit:g} s", ms=ms)
    try:
        got = task.result()
    except NotRun as reason:
        return Result(ok=None, got=str(reason), ms=ms)
    except (Exception, asyncio.CancelledError) as error:
        got = Raised.of(error)
    if same(got, row.expected):
        return Result(ok=True, got=show(got), ms=ms)
    return Result(ok=False, got=show(got) + difference(got, row.expected), ms=ms)
