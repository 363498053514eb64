"""A long run of every kind of traffic on a lane, and what is held before and after it."""

import asyncio
import gc
import json

import bench_rivals
from js import MessageChannel as NativeChannel
from js import performance
from pyodide_js import _module
from workloads.lanes import pair

from pyodide_msgchan import MessagePort

#: Messages in one turn of the mix; each turn has channels of its own.
TURN = 1000


async def trace(_options):
    """Count proxies from the next call on, so that each call finds its own ones counted."""
    _module.enable_pyproxy_allocation_tracing()
    return "true"


async def prepare(options):
    """Run the mix of a `lane` until nothing is first any more, then tell what is held."""
    await _mix(options["lane"], 20 * TURN)
    return json.dumps(await _held())


async def run(options):
    """Send and receive so many `messages` on a `lane`, then tell what is held."""
    start = performance.now()
    sent = await _mix(options["lane"], options["messages"])
    seconds = (performance.now() - start) / 1000
    return json.dumps({"messages": sent, "seconds": seconds, **await _held()})


async def _held():
    # What was scheduled runs out, then cycles are found, then JavaScript's finalizers run.
    for _ in range(3):
        await asyncio.sleep(0.05)
        gc.collect()
        bench_rivals.collect()
    return {
        "python proxies": _module.pyproxy_alloc_map.size,
        "javascript references": _module.hiwire.num_keys(),
        "python bytes": bench_rivals.allocatedBytes(_module),
        "wasm bytes": _module.HEAPU8.length,
    }


async def _mix(lane, messages):
    sent = 0
    while sent < messages:
        for switching in (True, False):
            sent += await _turn(lane, min(TURN, messages - sent), stack_switching=switching)
            if sent == messages:
                break
    return sent


async def _turn(lane, messages, *, stack_switching):
    """Round trips, an answer on a private channel, a listener, and a burst."""
    pairs = messages // 4
    left = messages - 2 * pairs
    async with pair(lane, stack_switching=stack_switching) as (here, there):
        for i in range(pairs):
            here.post_message({"id": i, "text": "one way", "bytes": b"1234"})
            message = await there.receive()
            there.post_message(message["text"])
            await here.receive()
        if left > 2:
            listener = there.on_message(lambda event: event.reply(event.data))
            await here.request([left, "a request and its reply"])
            listener.cancel()
            left -= 2
        if lane == "packed":
            for i in range(left):
                here.post_message((i, "tick", i / 4, {"last": False}))
            for _ in range(left):
                await there.receive()
    if lane == "clone":
        await _burst_from_javascript(left, stack_switching=stack_switching)
    return messages


async def _burst_from_javascript(messages, *, stack_switching):
    native = NativeChannel.new()
    async with MessagePort(native.port2, stack_switching=stack_switching) as port:
        bench_rivals.postSmallObjects(native.port1, messages)
        for _ in range(messages):
            await port.receive()
    native.port1.close()
