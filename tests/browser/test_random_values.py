"""Random values through each lane, against the README's table and the browser's structuredClone.

`./build.sh test -k random_values --examples 100000` is a longer search, with other values each
time; without it they are the same, so that what is green for a commit stays so. A failure is made
small first. `--hypothesis-seed` repeats one.
"""

import json
import secrets

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from pages.recipes import build
from tools.pages import run_async
from tools.recipes import recipes, text_of

BATCH = 200  # values that are sent to the browser at once
LANES = ["clone", "packed"]


@pytest.fixture
def check(driver, open_page):
    """A function that sends recipes through a lane, and gives what is wrong with each, or ""."""
    assert open_page("pages/python.html", run="random_values.py", timeout=120) == "done"

    def check(lane, texts):
        body = "return await checkAll(...arguments)"
        return json.loads(run_async(driver, body, lane, json.dumps(texts), timeout=120))

    return check


@pytest.mark.slow("2,000 random values")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("lane", LANES)
def test_random_values_arrive_as_they_should(check, request, lane):
    examples = request.config.getoption("examples")
    number = request.config.getoption("hypothesis_seed")
    if number is None:
        number = secrets.randbelow(10**9) if examples else 0
    number, examples = int(number), examples or 2000
    common = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
    known = {}  # what is wrong with a value that was sent

    @seed(number)
    @settings(max_examples=examples, phases=[Phase.generate], **common)
    @given(recipes(in_browser=True))
    def collect(recipe):
        known[text_of(recipe)] = ""

    collect()
    texts = list(known)
    for i in range(0, len(texts), BATCH):
        batch = texts[i : i + BATCH]
        known |= zip(batch, check(lane, batch), strict=True)
    wrong = [f"{what}\n{text}" for text, what in known.items() if what]
    if not wrong:
        return

    # The same values again, none of which is sent twice; then ever smaller ones.
    @seed(number)
    @settings(max_examples=examples, phases=[Phase.generate, Phase.shrink], **common)
    @given(recipes(in_browser=True))
    def narrow(recipe):
        text = text_of(recipe)
        if text not in known:
            known.update(zip([text], check(lane, [text]), strict=True))
        assert not known[text], f"{known[text]}\nsent: {build(recipe, lane).sent!r:.500}"

    try:
        narrow()
    except AssertionError as error:
        error.add_note("\n".join([f"--hypothesis-seed={number}", *wrong[:3]]))
        raise
    pytest.fail("it arrived as it should the second time")
