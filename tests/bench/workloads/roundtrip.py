"""A string there and back: both ends in one page, or an echo in a cross-site frame."""

import asyncio
from contextlib import contextmanager

import bench_rivals
from js import MessageChannel as NativeChannel
from workloads.harness import Stopwatch, race
from workloads.obvious import ObviousPort

from pyodide_msgchan import MessageChannel, MessagePort

MESSAGE = "a string there and back"


async def local(options):
    """Default ports at both ends."""
    return await _race_in_page(options, stack_switching=True)


async def plain(options):
    """Ports with `stack_switching=False` at both ends."""
    return await _race_in_page(options, stack_switching=False)


async def frame(options):
    """An echo in raw JavaScript in a cross-site frame, for all."""

    async def ours(count):
        async with MessagePort(await bench_rivals.connectFrame()) as port:
            return await _there_and_back(port.post_message, port.receive, count)

    async def obvious(count):
        port = ObviousPort(await bench_rivals.connectFrame())
        try:
            return await _there_and_back(port.post, port.receive, count)
        finally:
            port.close()

    contestants = {
        "ours": ours,
        "raw JavaScript": lambda count: bench_rivals.roundtripFrame(MESSAGE, count),
        "obvious Python": obvious,
    }
    return await race(contestants, options)


async def _race_in_page(options, *, stack_switching):
    async def ours(count):
        here, there = MessageChannel(stack_switching=stack_switching)
        with _echoing(there.receive, there.post_message):
            took = await _there_and_back(here.post_message, here.receive, count)
        here.close()
        there.close()
        return took

    async def obvious(count):
        channel = NativeChannel.new()
        here, there = ObviousPort(channel.port1), ObviousPort(channel.port2)
        with _echoing(there.receive, there.post):
            took = await _there_and_back(here.post, here.receive, count)
        here.close()
        there.close()
        return took

    contestants = {
        "ours": ours,
        "raw JavaScript": lambda count: bench_rivals.roundtrip(MESSAGE, count),
        "obvious Python": obvious,
    }
    return await race(contestants, options)


async def _there_and_back(post, receive, count):
    watch = Stopwatch()
    for _ in range(count):
        post(MESSAGE)
        answer = await receive()
    took = watch.read()
    assert answer == MESSAGE
    return took


@contextmanager
def _echoing(receive, post):
    async def echo():
        while True:
            post(await receive())

    task = asyncio.create_task(echo())
    try:
        yield
    finally:
        task.cancel()
