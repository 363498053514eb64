"""Sends random values through a lane and says how what arrives differs from what it should be."""

import json
import sys
from pathlib import Path

import js
from js import MessageChannel as NativeChannel
from pyodide.code import run_js
from pyodide.ffi import JsProxy, create_proxy
from pyodide.http import pyfetch

from pyodide_msgchan import MessagePort

Path("recipes.py").write_text(await (await pyfetch("recipes.py")).string())
sys.path.append(".")
from recipes import build, difference, refusal  # noqa: E402

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
    if text := difference(echo, case.expected, tag):
        return f"back in Python: {text}"
    text = difference(form, case.expected, tag)
    return text and f"JavaScript's own, in Python: {text}"


channel = NativeChannel.new()
expect = native.answer(channel.port2)
clone_port = MessagePort(channel.port1)
LANES = {"clone": clone}


async def check(lane, recipe):
    case = build(json.loads(recipe))
    try:
        complaint = await LANES[lane](recipe, case)
    except Exception as error:
        return refusal(error, case.sent) if case.refused else f"{type(error).__name__}: {error}"
    return "it was not refused" if case.refused else complaint


async def check_all(lane, recipes):
    return json.dumps([await check(lane, recipe) for recipe in json.loads(recipes)])


js.window.checkAll = create_proxy(check_all)
