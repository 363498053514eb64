"""Many small objects posted at once by JavaScript, all received and converted."""

import bench_rivals
from js import MessageChannel as NativeChannel
from workloads.harness import Stopwatch, race
from workloads.obvious import ObviousPort

from pyodide_msgchan import MessagePort


async def small_objects(options):
    """`burst` of them, which is one time of the race."""
    size = options["burst"]

    async def ours(count):
        channel = NativeChannel.new()
        async with MessagePort(channel.port2) as port:
            took = await drain(channel.port1, port.receive, count)
        channel.port1.close()
        return took

    async def obvious(count):
        channel = NativeChannel.new()
        port = ObviousPort(channel.port2)
        took = await drain(channel.port1, port.receive, count)
        port.close()
        channel.port1.close()
        return took

    async def drain(sender, receive, count):
        watch = Stopwatch()
        for _ in range(count):
            bench_rivals.postSmallObjects(sender, size)
            for _ in range(size):
                message = await receive()
            assert message["id"] == size - 1
        return watch.read()

    contestants = {
        "ours": ours,
        "raw JavaScript": lambda count: bench_rivals.burst(size, count),
        "obvious Python": obvious,
    }
    return await race(contestants, options)
