"""Run the contract over channels whose middle lies in a frame or a worker."""

import asyncio
import json

import js
from pyodide.ffi import to_js

from pyodide_msgchan import OPAQUE_ORIGIN, MessageChannel, MessagePort, connect, post_to_window
from pyodide_msgchan.testing import CONTRACT


async def run(peer, kind, base, packed):
    """Give each check's outcome as JSON: "" where it passed."""

    async def make_pair():
        if packed:  # two connections, between which the other side relays
            options = {"name": "packed", "timeout": 10}
            near = await connect(peer, **options)
            far = await connect(peer, **options)
            assert near.lane == far.lane == "packed"
            return near, far
        if kind == "worker":
            one, other = js.MessageChannel.new(), js.MessageChannel.new()
            ports = to_js([one.port2, other.port2])
            peer.postMessage(ports, ports)
            return MessagePort(one.port1), MessagePort(other.port1)
        near, inner = MessageChannel()
        far, outer = MessageChannel()
        origin = OPAQUE_ORIGIN if kind == "sandbox" else base
        post_to_window(peer, [inner, outer], origin=origin, transfer=[inner, outer])
        return near, far

    results = {}
    for name, check in CONTRACT.items():
        try:
            async with asyncio.timeout(10):
                await check(make_pair)
        except Exception as error:
            results[name] = f"{type(error).__name__}: {error}"
        else:
            results[name] = ""
    return json.dumps(results)


run
