"""A frame in Python, of a page that has Penpal as npm has it."""

import asyncio
import sys
from pathlib import Path

import js
from pyodide.ffi import to_js
from pyodide.http import pyfetch

from pyodide_msgchan import penpal, release

Path("penpal_peer.py").write_text(await (await pyfetch("penpal_peer.py")).string())
sys.path.append(".")
from penpal_peer import make_methods  # noqa: E402


def tell(words):
    told = to_js({"told": words}, dict_converter=js.Object.fromEntries)
    js.parent.postMessage(told, "*")


async def call_and_tell(remote, name):
    try:
        tell(await remote[name]())
    except Exception as error:
        tell(type(error).__name__)


async def expect(host):
    """Wait in vain, on a channel of its own."""
    options = {"origin": host, "channel": "vain", "timeout": 2}
    connecting = asyncio.ensure_future(anext(penpal.accept(**options)))
    await asyncio.sleep(0)
    tell("waits")
    try:
        tell(await connecting)
    except Exception as error:
        tell(f"{type(error).__name__} {error.heard}")


running, remotes = [], {}


def serve(channel):
    """Start to accept on a channel."""

    def start(coroutine):
        running.append(asyncio.ensure_future(coroutine))

    methods = make_methods(lambda: remotes[channel]) | {
        "callAndTell": lambda name: start(call_and_tell(remotes[channel], name)),
        "expect": lambda host: start(expect(host)),
        "reload": lambda: js.setTimeout(js.location.reload.bind(js.location)) and None,
        "destroy": lambda: release(remotes[channel]) and None,
    }
    return penpal.accept(origin=query["host"], channel=channel, methods=methods)  # noqa: F821


for channel in (None, "second"):
    remotes[channel] = await serve(channel)
tell("connected")
