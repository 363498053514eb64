"""Remote calls, `add(1, 2)`: in turn, and many sent before the first is awaited."""

import bench_rivals
from js import MessageChannel as NativeChannel
from workloads.harness import Stopwatch, race

from pyodide_msgchan import MessageChannel, MessagePort, expose, wrap

COMLINK = "Comlink JS to JS"


class Adder:
    def add(self, a, b):
        return a + b


async def python_to_javascript(options):
    """Python wraps what Comlink exposes."""

    async def ours(count):
        async with MessagePort(bench_rivals.exposeAdder()) as port:
            return await _in_turn(wrap(port), count)

    return await race({"ours": ours, COMLINK: bench_rivals.calls}, options)


async def javascript_to_python(options):
    """Comlink wraps what Python exposes."""

    async def ours(count):
        native = NativeChannel.new()
        async with MessagePort(native.port1) as port:
            expose(Adder(), port)
            return await bench_rivals.calls(count, native.port2)

    return await race({"ours": ours, COMLINK: bench_rivals.calls}, options)


async def python_to_python(options):
    """Both ends in this interpreter."""

    async def ours(count):
        here, there = MessageChannel()
        async with here, there:
            expose(Adder(), there)
            return await _in_turn(wrap(here), count)

    return await race({"ours": ours, COMLINK: bench_rivals.calls}, options)


async def pipelined(options):
    """Python sends many calls to what Comlink exposes, then awaits them in turn."""
    size = options["calls"]

    async def ours(count):
        async with MessagePort(bench_rivals.exposeAdder()) as port:
            remote = wrap(port)
            watch = Stopwatch()
            for _ in range(count):
                for call in [remote.add(1, 2) for _ in range(size)]:
                    await call
            return watch.read()

    contestants = {"ours": ours, COMLINK: lambda count: bench_rivals.callsAtOnce(size, count)}
    return await race(contestants, options)


async def _in_turn(remote, count):
    watch = Stopwatch()
    total = 0
    for _ in range(count):
        total += await remote.add(1, 2)
    took = watch.read()
    assert total == 3 * count
    return took
