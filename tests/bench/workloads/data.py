"""Larger messages from Python to Python: rows of a table, and a buffer of 16 MB."""

import json

import bench_rivals
from js import MessageChannel as NativeChannel
from workloads.harness import Stopwatch, race
from workloads.lanes import pair
from workloads.obvious import ObviousPort

from pyodide_msgchan import MessageChannel

ROWS = [{"id": i, "name": f"row {i}", "price": i + 0.25, "sold": i % 2 == 0} for i in range(1000)]
BUFFER_BYTES = 16 * 2**20


async def rows(options):
    """1,000 dicts of 4 fields, as JavaScript's objects."""
    return await race({"ours": lambda count: _ours(ROWS, count), **_rivals_with_rows()}, options)


async def packed_rows(options):
    """The same, to another Python: both ends of a connection are in this page."""

    async def ours(count):
        async with pair("packed") as (here, there):
            return await _deliver(here.post_message, there.receive, ROWS, count)

    return await race({"ours": ours, **_rivals_with_rows()}, options)


def _rivals_with_rows():
    return {"obvious Python": lambda count: _obvious(ROWS, count), "JSON text": _json_text}


async def _json_text(count):
    channel = NativeChannel.new()
    here, there = ObviousPort(channel.port1), ObviousPort(channel.port2)

    async def receive():
        return json.loads(await there.receive())

    took = await _deliver(lambda rows: here.post(json.dumps(rows)), receive, ROWS, count)
    here.close()
    there.close()
    return took


async def buffer(options):
    """16 MB of bytes, and the least that JavaScript could do: copy out, transfer, copy in."""
    data = bytes(range(256)) * (BUFFER_BYTES // 256)
    contestants = {
        "ours": lambda count: _ours(data, count),
        "two JavaScript copies and a transfer": (
            lambda count: bench_rivals.copyTransferCopy(BUFFER_BYTES, count)
        ),
        "obvious Python": lambda count: _obvious(data, count),
    }
    return await race(contestants, options)


async def _ours(message, count):
    here, there = MessageChannel()
    took = await _deliver(here.post_message, there.receive, message, count)
    here.close()
    there.close()
    return took


async def _obvious(message, count):
    channel = NativeChannel.new()
    here, there = ObviousPort(channel.port1), ObviousPort(channel.port2)
    took = await _deliver(here.post, there.receive, message, count)
    here.close()
    there.close()
    return took


async def _deliver(post, receive, message, count):
    watch = Stopwatch()
    for _ in range(count):
        post(message)
        arrived = await receive()
    took = watch.read()
    assert arrived == message
    return took
