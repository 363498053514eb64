"""The memory channel passes the contract that the browser's channels pass."""

import pytest

from pyodide_msgchan.testing import CONTRACT, LINKED, MessageChannel


async def make_pair():
    return tuple(MessageChannel())


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
async def test_contract(name):
    await (CONTRACT | LINKED)[name](make_pair)
