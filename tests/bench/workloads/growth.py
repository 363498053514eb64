"""How cost grows with the size of messages, those in flight, frames and live proxies."""

import asyncio
import gc
import json
from contextlib import AsyncExitStack

import bench_rivals
from pyodide.ffi import to_js
from workloads.harness import LEAST, Stopwatch, race
from workloads.lanes import LANES, pair

from pyodide_msgchan import MessageChannel, connect, expose, proxy, release, wrap

#: Messages from each frame.
SHARE = 100
#: A sample makes at least so many proxies, one set after the other: few take less than a tick.
FEWEST_PROXIES = 100


async def size(options):
    """Bytes, more and more of them."""

    def deliver(here, there, data):
        async def work(count):
            watch = Stopwatch()
            for _ in range(count):
                here.post_message(data)
                arrived = await there.receive()
            took = watch.read()
            assert len(arrived) == len(data)
            return took

        return work

    async def contestants(size, pairs):
        data = bytes(size)
        return {
            **{name: deliver(*ports, data) for name, ports in pairs.items()},
            "raw JavaScript": lambda count: bench_rivals.copyTransferCopy(size, count),
        }

    return await _on_both_lanes(contestants, options)


async def in_flight(options):
    """Small objects, posted at once."""

    def drain(here, there, size):
        async def work(count):
            watch = Stopwatch()
            for _ in range(count):
                for i in range(size):
                    here.post_message({"id": i, "kind": "tick", "value": i / 4, "last": False})
                for _ in range(size):
                    message = await there.receive()
            took = watch.read()
            assert message["id"] == size - 1
            return took

        return work

    async def contestants(size, pairs):
        return {
            **{name: drain(*ports, size) for name, ports in pairs.items()},
            "raw JavaScript": lambda count: bench_rivals.burst(size, count),
        }

    return await _on_both_lanes(contestants, options)


async def frames(options):
    """Frames without Python, each connected to Python and to the JavaScript of the page."""
    elements, connections, ports = [], [], []

    async def contestants(size):
        while len(elements) < size:
            element = await bench_rivals.openPeer("")
            await bench_rivals.ready(element, "ours")
            connections.append(await connect(element, name="ours"))
            await bench_rivals.ready(element, "raw")
            ports.append(await bench_rivals.connectPeer(element, "raw"))
            elements.append(element)
        return {
            "clone lane": flood,
            "raw JavaScript": lambda count: bench_rivals.floods(to_js(ports), SHARE, count),
        }

    async def flood(count):
        watch = Stopwatch()
        for _ in range(count):
            for connection in connections:
                connection.post_message({"flood": SHARE})
            for connection in connections:
                for _ in range(SHARE):
                    await connection.receive()
        return watch.read()

    told = await _each_point(contestants, options)
    for connection in connections:
        connection.close()
    for element in elements:
        element.remove()
    return told


class Thing:
    def add(self, a, b):
        return a + b


class Maker:
    def make(self):
        return proxy(Thing())


async def proxies(options):
    """Remote objects, each on a port of its own, all alive at once."""
    samples = {}
    for size in options["points"]:
        often = max(1, min(FEWEST_PROXIES, options["count"] or FEWEST_PROXIES) // size)
        watch = Stopwatch()
        of_point = {}
        for done in range(options["rounds"]):
            if done and watch.read() > options["seconds"] * 1000:
                break
            stages = {}
            for _ in range(often):
                _add(stages, await _proxies_in_python(size))
                _add(stages, json.loads(await bench_rivals.liveProxies(size)))
            for name, took in stages.items():
                of_point.setdefault(name, []).append(max(took, LEAST) / often)
        for name, rounds in of_point.items():
            samples.setdefault(name, []).append(rounds)
    return json.dumps({"samples": samples})


async def _proxies_in_python(size):
    here, there = MessageChannel()
    async with here, there:
        expose(Maker(), there)
        maker = wrap(here)
        watch = Stopwatch()
        made = [await maker.make() for _ in range(size)]
        took = {"made": watch.read()}
        watch = Stopwatch()
        total = 0
        for thing in made:
            total += await thing.add(1, 2)
        took["called once each"] = watch.read()
        assert total == 3 * size
        watch = Stopwatch()
        for thing in made:
            await release(thing)
        took["released"] = watch.read()
    gc.collect()
    await asyncio.sleep(0)
    return took


def _add(total, more):
    for name, number in more.items():
        total[name] = total.get(name, 0) + number


async def _on_both_lanes(contestants, options):
    async with AsyncExitStack() as stack:
        pairs = {f"{lane} lane": await stack.enter_async_context(pair(lane)) for lane in LANES}
        return await _each_point(lambda point: contestants(point, pairs), options)


async def _each_point(contestants, options):
    """Race who takes part at a point, point by point."""
    samples = {}
    for point in options["points"]:
        told = json.loads(await race(await contestants(point), options))
        for name, rounds in told["samples"].items():
            samples.setdefault(name, []).append(rounds)
    return json.dumps({"samples": samples})
