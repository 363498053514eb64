"""Sends random values through a lane and says how what arrives differs from what it should be."""

import asyncio
import json
import sys
from pathlib import Path

import js
from js import MessageChannel as NativeChannel
from pyodide.code import run_js
from pyodide.ffi import JsProxy, create_proxy
from pyodide.http import pyfetch

from pyodide_msgchan import MessagePort

Path("pages").mkdir()
for name in ("differences.py", "recipes.py", "packed_pair.py"):
    Path("pages", name).write_text(await (await pyfetch(name)).string())
sys.path.append(".")
from pages.differences import Comparison  # noqa: E402
from pages.packed_pair import connected  # noqa: E402
from pages.recipes import as_javascript, build, refusal  # noqa: E402

native = await run_js("import('/pages/random-values.mjs')")
tag_of = run_js("(value) => Object.prototype.toString.call(value).slice(8, -1)")


def tag(value):
    return tag_of(value) if isinstance(value, JsProxy) else None


async def clone(recipe, case):
    """Send it to JavaScript, which compares it with structuredClone and sends both back."""
    if not case.refused:
        expect(recipe)
    clone_port.post_message(case.sent)
    told, echo, form = await clone_port.receive()
    if told:
        return f"JavaScript: {told}"
    if text := Comparison(tag).look(echo, case.expected):
        return f"back in Python: {text}"
    text = Comparison(tag).look(form, case.expected)
    return text and f"JavaScript's own, in Python: {text}"


async def packed(_recipe, case):
    """Send it from Python to Python, and back."""
    alone = type(case.sent) is str  # then it goes as JavaScript's
    expected = as_javascript(case.sent) if alone else case.expected
    for one, other in (pair, pair[::-1]):
        one.post_message(case.sent)
        if text := Comparison(tag).look(await other.receive(), expected):
            return text
    return ""


channel = NativeChannel.new()
expect = native.answer(channel.port2)
clone_port = MessagePort(channel.port1)
pair = await connected()
LANES = {"clone": clone, "packed": packed}


async def check(lane, recipe):
    case = build(json.loads(recipe), lane)
    try:
        async with asyncio.timeout(30):  # so that a value that never comes is found
            complaint = await LANES[lane](recipe, case)
    except Exception as error:
        return refusal(error) if case.refused else f"{type(error).__name__}: {error}"
    return "it was not refused" if case.refused else complaint


async def check_all(lane, recipes):
    return json.dumps([await check(lane, recipe) for recipe in json.loads(recipes)])


js.window.checkAll = create_proxy(check_all)
