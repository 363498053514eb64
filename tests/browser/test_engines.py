"""What browsers do by themselves, without this package, where a test or a page allows for it."""

import pytest
from tools.pages import run_async, wait_state


@pytest.mark.webkit
@pytest.mark.timeout(400)
def test_webkit_loses_a_message_to_a_port_that_was_used_and_moved(driver, browser, pages):
    driver.get(pages.url("pages/moved-port.html"))
    assert wait_state(driver, 30) == "done"
    most = 20_000 if browser == "webkit" else 500
    moves = run_async(driver, "return movesUntilLoss(arguments[0])", most, timeout=300)
    # If it loses none it is mended there, and test_check.py need not run rows again.
    assert (moves > 0) == (browser == "webkit")
