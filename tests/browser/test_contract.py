"""The contract holds over every kind of channel that a browser has."""

import pytest
from pytest_pyodide import run_in_pyodide
from tools.pages import run_async, wait_state

from pyodide_msgchan.testing import CONTRACT, LINKED


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
@run_in_pyodide
async def test_in_one_page(selenium, name):
    from pyodide_msgchan import MessageChannel
    from pyodide_msgchan.testing import CONTRACT, LINKED

    async def make_pair():
        return tuple(MessageChannel())

    await (CONTRACT | LINKED)[name](make_pair)


@pytest.mark.parametrize("name", [*CONTRACT, *LINKED])
@run_in_pyodide
async def test_without_stack_switching(selenium, name):
    from pyodide_msgchan import MessageChannel
    from pyodide_msgchan.testing import CONTRACT, LINKED

    async def make_pair():
        return tuple(MessageChannel(stack_switching=False))

    await (CONTRACT | LINKED)[name](make_pair)


@pytest.mark.parametrize("kind", ["same-origin", "cross-site", "sandbox", "worker"])
def test_through_another_interpreter(driver, pages, kind):
    base = pages.other_origin if kind == "cross-site" else pages.origin
    _check(driver, pages.url("pages/contract.html", kind=kind, base=base))


@pytest.mark.parametrize("kind", ["same-origin", "worker"])
def test_through_another_interpreter_packed(driver, pages, kind):
    _check(driver, pages.url("pages/contract.html", kind=kind, base=pages.origin, packed=True))


def _check(driver, address):
    driver.get(address)
    assert wait_state(driver, timeout=90) == "done", run_async(driver, "return window.results")
    results = run_async(driver, "return window.results")
    assert set(results) == set(CONTRACT)
    assert {name: text for name, text in results.items() if text} == {}
