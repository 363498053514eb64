"""The page itself: runs the rows one after another and tells the table what came."""

import asyncio
import json
from contextlib import suppress
from importlib import import_module
from typing import Any

import page
import pyodide
from pyodide.ffi import create_proxy

import pyodide_msgchan

from .compare import Raised, show
from .rows import GROUPS, ROWS, NotRun, Result, Row, run
from .scene import Scene

_kept: set[Any] = set()


async def main() -> None:
    """Run what the address asks for: every row, or those of a group, or single ones."""
    for name in page.groups:
        import_module(f"check.{name}")
    chosen = [row for row in ROWS.values() if page.wanted(row.group, row.id)]
    page.begin(
        json.dumps(
            {
                "pyodide": pyodide.__version__,
                "package": pyodide_msgchan.__version__,
                "groups": GROUPS,
                "rows": [
                    {
                        "id": row.id,
                        "group": row.group,
                        "title": row.title,
                        "source": row.source,
                        "expected": show(row.expected),
                    }
                    for row in chosen
                ],
            }
        )
    )
    scene = Scene()
    await _run_all(chosen, scene)

    def run_blocked() -> None:
        task = asyncio.ensure_future(
            _run_all([row for row in chosen if page.blocked(row.id)], scene)
        )
        _kept.add(task)

    page.onblocked = create_proxy(run_blocked)


async def _run_all(rows: list[Row], scene: Scene) -> None:
    # They are there before the first row runs: a page stands still while its frames start Python.
    scene.retry()
    needs = dict.fromkeys(kind for row in rows for kind in row.needs)
    await asyncio.gather(*(_try(scene, kind) for kind in needs))
    for row in rows:
        page.started(row.id)
        scene.notes.clear()
        result = await _with_needs(row, scene)
        note = "; ".join(dict.fromkeys(scene.notes))
        page.finished(row.id, result.ok, result.got, result.ms, note)
    page.done()


async def _with_needs(row: Row, scene: Scene) -> Result:
    try:
        for kind in row.needs:
            await scene.need(kind)
    except NotRun as reason:
        return Result(ok=None, got=str(reason), ms=0)
    except Exception as error:
        return Result(ok=False, got=show(Raised.of(error)), ms=0)
    return await run(row, scene)


async def _try(scene: Scene, kind: str) -> None:
    with suppress(NotRun):  # each row that needs it says so
        await scene.need(kind)
