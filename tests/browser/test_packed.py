"""The packed lane in browsers: values, ports and errors between two Pythons of one origin."""

import pytest
from pytest_pyodide import run_in_pyodide

from pyodide_msgchan.testing import CONTRACT, LINKED

pytestmark = pytest.mark.needs_windows


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
@run_in_pyodide
async def test_contract(selenium, name):
    import asyncio
    import itertools

    import js

    from pyodide_msgchan import accept, connect
    from pyodide_msgchan.testing import CONTRACT, LINKED

    numbers = itertools.count()

    async def make_pair():
        pair = f"pair {next(numbers)}"
        accepting = asyncio.ensure_future(accept(source=js.window, name=pair, timeout=10))
        near = await connect(js.window, name=pair, timeout=10)
        far = await accepting
        assert near.lane == far.lane == "packed"
        return near, far

    await (CONTRACT | LINKED)[name](make_pair)
