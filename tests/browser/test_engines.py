"""What browsers do by themselves, without this package, where a test or a page allows for it."""

import pytest
from tools.browsers import start
from tools.pages import run_async, wait_state
from tools.pool import end


@pytest.mark.slow("a fresh browser moves up to 10,000 ports")
@pytest.mark.webkit
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("driver")  # it gives WebKit a display
def test_webkit_loses_a_message_to_a_port_that_was_used_and_moved(browser, pages):
    address = pages.url("pages/moved-port.html")
    most, browsers = (2000, 5) if browser == "webkit" else (500, 1)
    # If it loses none it is mended there, and test_check.py need not run rows again.
    moves = (moves_until_loss(browser, address, most) for _ in range(browsers))
    assert any(moves) == (browser == "webkit")


def moves_until_loss(browser, address, most):
    """Count in a fresh browser: WebKit loses none any more once it has run the check page."""
    fresh = start(browser)
    try:
        fresh.get(address)
        assert wait_state(fresh, 30) == "done"
        return run_async(fresh, "return movesUntilLoss(arguments[0])", most, timeout=200)
    finally:
        end(fresh)
