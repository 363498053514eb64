"""Callbacks that a Comlink page got, used and dropped; its collector is what lets them go."""

import json

from js import Comlink
from pyodide.code import run_js

from pyodide_msgchan import MessageChannel, wrap
from pyodide_msgchan._bridge.callbacks import waiting_sinks

here, there = MessageChannel()
Comlink.expose(run_js("callback => callback(1)"), there.js)
remote = wrap(here)


async def use(count):
    for _ in range(count):
        assert await remote(lambda value: value + 1) == 2


def left():
    link = here._core.queue.reader
    return json.dumps([len(link._children), len(link.protocol._pending), len(waiting_sinks)])


use, left
