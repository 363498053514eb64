"""The demo's picture: frames compute its tiles, also when some go, or nobody wants it any more."""

import math

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tools.common import SITE
from tools.demo import BOOT, enter, press, visit, wait_for
from tools.pages import run_async
from tools.server import serving

WIDTH, HEIGHT = 720, 480
WHOLE = (-0.7, 0, 3.6)
TILES = 150
DONE = "#mandelbrot[data-state=done]"

_PIXELS = """
const canvas = document.querySelector("#mandelbrot canvas");
const { width, height } = canvas;
const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
const pixel = ([x, y]) => [...data.subarray(4 * (x + y * width), 4 * (x + y * width) + 4)];
return [width, height, arguments[0].map(pixel)];
"""
_SHARES = """
return Object.fromEntries([...document.querySelectorAll("#mandelbrot .shares li")].map(
    (row) => [row.dataset.name, [row.dataset.state, Number(row.querySelector("b").textContent)]]));
"""
# Presses buttons at once when each of the named frames has tiles in hand.
_PRESS_WHEN_BUSY = """
const [names, buttons] = arguments;
const tiles = document.querySelector("#mandelbrot .tiles");
const busy = (name) => tiles.querySelector(`[data-state=claimed][data-name=${name}]`);
while (!names.every(busy)) {
    await new Promise((resolve) => {
        new MutationObserver((_, observer) => {
            observer.disconnect();
            resolve();
        }).observe(tiles, { attributes: true, subtree: true });
    });
}
for (const button of buttons) document.querySelector(button).click();
return document.querySelector("#mandelbrot progress").value;
"""
_NOTE_CLICK = """
const canvas = document.querySelector("#mandelbrot canvas");
canvas.addEventListener("click", ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    window.clicked = [(clientX - left) / width - 0.5, (clientY - top) / height - 0.5];
}, { once: true });
"""
_OVERFLOWING = """
const all = [...document.querySelectorAll("#mandelbrot, #mandelbrot *")];
const page = document.documentElement;
const wide = all.filter((element) => element.getBoundingClientRect().right > page.clientWidth);
return [innerWidth, page.scrollWidth <= page.clientWidth, wide.map(({ outerHTML }) => outerHTML)];
"""


def colour(view, x, y):
    """What a pixel should be, computed anew, step by step and without a table."""
    real, imaginary, width = view
    step = width / WIDTH
    c = z = complex(real + (x - WIDTH / 2) * step, imaginary - (y - HEIGHT / 2) * step)
    for steps in range(round(200 + 40 * math.log2(WHOLE[2] / width))):
        if abs(z) > 256:
            escape = max(steps - math.log2(math.log2(abs(z))), 0)
            stops = [(22, 26, 74), (79, 91, 213), (184, 56, 143), (240, 130, 50), (255, 236, 170)]
            part, place = math.modf(0.8 * math.sqrt(escape))
            here, there = stops[int(place) % 5], stops[int(place + 1) % 5]
            return [a + (b - a) * part for a, b in zip(here, there, strict=True)] + [255]
        z = z * z + c
    return [12, 14, 30, 255]


def check_picture(driver, view):
    """Compare a pixel in each corner of each tile, and those around the middle of it."""
    places = [
        (x + dx, y + dy)
        for x in range(0, WIDTH, 48)
        for y in range(0, HEIGHT, 48)
        for dx, dy in ((0, 0), (47, 0), (0, 47), (47, 47), (22, 25))
    ]
    width, height, pixels = driver.execute_script(_PIXELS, places)
    assert (width, height) == (WIDTH, HEIGHT)
    assert len(set(map(tuple, pixels))) > 20
    for place, pixel in zip(places, pixels, strict=True):
        wanted = colour(view, *place)
        assert pixel == pytest.approx(wanted, abs=2), place


def shares(driver):
    """For each frame in the legend its state, and how many tiles it has computed."""
    all_shares = driver.execute_script(_SHARES)
    assert sum(count for _, count in all_shares.values()) == TILES
    return all_shares


def place(driver):
    """What is to be seen, in plain characters."""
    words = driver.find_element(By.CSS_SELECTOR, ".place").text
    return words.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "x")


def click_picture(driver, right, down):
    """Click beside the picture's middle; gives where that was, as shares of its size."""
    stage = driver.find_element(By.CSS_SELECTOR, "#mandelbrot .view")
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", stage)
    driver.execute_script(_NOTE_CLICK)
    ActionChains(driver).move_to_element_with_offset(stage, right, down).click().perform()
    return driver.execute_script("return window.clicked")


def click(driver, name):
    button = driver.find_element(By.CSS_SELECTOR, f"#mandelbrot [name={name}]")
    driver.execute_script("arguments[0].click()", button)


@pytest.mark.slow("several interpreters compute a picture")
@pytest.mark.timeout(500)
def test_frames_compute_a_picture(driver, pages):
    assert visit(driver, pages) == "ready"
    wait_for(driver, DONE, BOOT)
    check_picture(driver, WHOLE)
    assert set(shares(driver)) == {"same", "cross", "sandbox"}

    # A click in the middle of the next one leaves it: what was begun is closed in the frames.
    press(driver, "whole")
    button = "#mandelbrot [name=in]"
    assert run_async(driver, _PRESS_WHEN_BUSY, ["same", "cross", "sandbox"], [button]) < TILES
    right, down = click_picture(driver, 60, -30)
    assert (right, down) != (0, 0)
    view = (WHOLE[0] + right * 1.2, WHOLE[1] - down * 0.8, 0.4)
    wait_for(driver, DONE, BOOT)
    check_picture(driver, view)
    assert place(driver).startswith("9 x around ")
    for name, (state, count) in shares(driver).items():
        assert state == "idle", name
        assert count > 0, name
        enter(driver, name)
        wait_for(driver, "#panel[data-rendering='']")
        enter(driver, "host")

    # One that is removed in the middle leaves what it has begun to the others.
    press(driver, "whole")
    remove = "[aria-label='Remove Sandbox']"
    assert run_async(driver, _PRESS_WHEN_BUSY, ["sandbox"], [remove]) < TILES
    wait_for(driver, "#mandelbrot .shares [data-name=sandbox][data-state=gone]")
    wait_for(driver, DONE, BOOT)
    check_picture(driver, WHOLE)
    assert shares(driver)["sandbox"][0] == "gone"

    # With nobody left it waits; a frame that comes back goes on with it.
    press(driver, "whole")
    buttons = ["[aria-label='Remove Same origin']", "[aria-label='Reload Cross site']"]
    assert run_async(driver, _PRESS_WHEN_BUSY, ["same", "cross"], buttons) < TILES
    assert "No Python frame is left" in wait_for(driver, "#mandelbrot[data-state=waiting] .status")
    wait_for(driver, DONE, BOOT)
    check_picture(driver, WHOLE)
    assert {name: state for name, (state, _) in shares(driver).items()} == {
        "same": "gone",
        "cross": "idle",
    }


def test_picture_on_a_phone(driver, tmp_path):
    frame = '<iframe src="/index.html" width="390" height="780" style="border: 0"></iframe>'
    (tmp_path / "phone.html").write_text(f"<!doctype html>{frame}")
    # Without Python, which is not needed to look at it, and to say what is to be seen.
    with serving({"/": SITE, "/pyodide/": tmp_path, "/phone/": tmp_path}) as origins:
        driver.get(f"{origins.origin}/phone/phone.html")
        driver.switch_to.frame(0)
        words = wait_for(driver, "#mandelbrot[data-state=waiting] .status")
        assert words == "The picture begins with the first Python frame"
        assert driver.execute_script(_OVERFLOWING) == [390, True, []]

        whole = place(driver)
        assert whole == "1 x around -0.70 + 0.00 i"
        stage = driver.find_element(By.CSS_SELECTOR, "#mandelbrot .view")
        for keys, words in (
            ("+", "3 x around -0.70 + 0.00 i"),
            (Keys.ARROW_LEFT, "3 x around -1.00 + 0.00 i"),
            (Keys.ARROW_UP, "3 x around -1.00 + 0.20 i"),
            ("++", "27 x around -1.000 + 0.200 i"),
            (Keys.ARROW_RIGHT + Keys.ARROW_DOWN * 10, "27 x around -0.967 - 0.022 i"),
            ("-", "9 x around -0.967 - 0.022 i"),
            ("0", whole),
        ):
            stage.send_keys(keys)
            assert place(driver) == words
        for name, words in (("in", "3 x"), ("in", "9 x"), ("out", "3 x")):
            click(driver, name)
            assert place(driver).startswith(words)
        click(driver, "whole")
        assert place(driver) == whole
        assert not driver.find_element(By.CSS_SELECTOR, "#mandelbrot [name=out]").is_enabled()
