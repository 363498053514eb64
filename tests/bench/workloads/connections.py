"""Connections: how long one takes to come about, and what many at once cost."""

import gc
import json
from itertools import count as counting

import bench_rivals
from js import URLSearchParams, location
from pyodide_js import _module
from workloads.harness import Stopwatch, race

from pyodide_msgchan import connect

FEW, SOME, MANY = 1, 10, 50
#: What the next ones may cost, in terms of the first.
FLAT = 1.2
_names = counting()


async def opening(options):
    """To a frame of another site that is ready, against a handshake by hand with it."""
    frame = await bench_rivals.openPeer(URLSearchParams.new(location.search).get("frames"))
    origin = str(URLSearchParams.new(location.search).get("frames"))

    async def ours(count):
        took = 0
        for _ in range(count):
            name = str(next(_names))
            await bench_rivals.ready(frame, name)
            watch = Stopwatch()
            connection = await connect(frame, origin=origin, name=name)
            took += watch.read()
            connection.close()
        return took

    contestants = {
        "ours": ours,
        "JavaScript by hand": lambda count: bench_rivals.handshakes(frame, count),
    }
    return await race(contestants, options)


async def fan_out(options):
    """`burst` messages from 1, 10 and 50 frames together, which is one time of the race."""
    frames = [await bench_rivals.openPeer("") for _ in range(MANY)]
    connections, held = [], {}
    for frame in frames:
        name = str(next(_names))
        await bench_rivals.ready(frame, name)
        connections.append(await connect(frame, name=name))
        if len(connections) in (FEW, SOME, MANY):
            gc.collect()
            held[len(connections)] = bench_rivals.allocatedBytes(_module)

    def flood(size):
        async def work(count):
            share = options["burst"] // size
            watch = Stopwatch()
            for _ in range(count):
                for connection in connections[:size]:
                    connection.post_message({"flood": share})
                for connection in connections[:size]:
                    for _ in range(share):
                        await connection.receive()
            return watch.read() * (options["burst"] / (share * size) if share else 1)

        return work

    contestants = {
        "ours": flood(MANY),
        "10 connections": flood(SOME),
        "1 connection": flood(FEW),
    }
    told = json.loads(await race(contestants, options))
    for connection in connections:
        connection.close()
    for frame in frames:
        frame.remove()
    few = (held[SOME] - held[FEW]) / (SOME - FEW)
    many = (held[MANY] - held[SOME]) / (MANY - SOME)
    details = {"bytes for each of the first 10": few, "bytes for each of the next 40": many}
    return json.dumps(told | {"details": details, "fine": many <= few * FLAT})
