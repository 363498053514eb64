"""Messages that the browser handles while a call from Python is under way.

Firefox does so in ``window.open``, dialogs and synchronous requests, other browsers in none of
them. A call into Python that may suspend would overwrite the stack of the Python that waits.
"""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows


@pytest.mark.parametrize("call", ["window", "request"])
@pytest.mark.parametrize(
    "reading", ["receive", "receive without stack switching", "listener", "calls"]
)
def test_messages_wait_while_python_is_on_the_stack(selenium, flooded, reading, call):
    handled = _block_while_messages_arrive(selenium, reading, call)
    # In Firefox the browser must have handled messages in the calls: else nothing was tested.
    assert (handled > 0) == (selenium.browser == "firefox")


@run_in_pyodide
async def _block_while_messages_arrive(selenium, reading, call):
    from flooded import Flooded

    flooded = Flooded(reading)
    handled = await flooded.block_often(call)
    await flooded.finish()
    *numbers, last = flooded.got
    assert numbers == list(range(len(numbers)))
    assert last == f"last of {len(numbers)}"
    assert not any(flooded.during)
    return handled
