"""Frames that come and go at random while messages, requests, calls and streams run.

`./build.sh test -k chaos --chaos-seconds 3600 --chaos-seed 7` is an hour of it, or a certain
course again. Without any option it takes the same course each time, so that what is green for a
commit stays so; a longer search takes another each time, and a failure says which it was.
"""

import json
import secrets

import pytest
from tools.pages import wait_state


@pytest.mark.slow("chaos reigns for 20 seconds")
@pytest.mark.timeout(0)
def test_chaos_leaves_nothing(driver, pages, request):
    seconds = request.config.getoption("chaos_seconds")
    seed = request.config.getoption("chaos_seed")
    if seed is None:
        seed = secrets.randbelow(10**9) if seconds else 0
    seconds = seconds or 20
    driver.get(
        pages.url(
            "pages/python.html",
            first="./count.mjs",
            run="chaos.py",
            far=pages.other_origin,
            seed=seed,
            seconds=seconds,
        )
    )
    state = wait_state(driver, timeout=seconds + 240)
    assert state == "done", (
        f"seed {seed}: {driver.execute_script('return document.body.innerText')}"
    )
    told = json.loads(driver.execute_script("return window.results"))
    tail = "\n".join(told["tail"])
    complaints = "\n\n".join(told["complaints"][:10])
    assert not told["complaints"], f"--chaos-seed {seed}, {seconds} s:\n{complaints}\nplan:\n{tail}"
    assert told["results"]["connections compared"] > 0
