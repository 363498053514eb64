"""Runs contestants in turn, several rounds, each long enough for a clock that ticks in ms."""

import asyncio
import gc
import json
import math

from js import performance

#: Milliseconds a contestant runs before it counts: browsers compile what runs often.
WARM_UP = 150
#: Tries in any case, before a contestant's samples count.
TRIES = 3
#: Rounds that there are in any case.
FEWEST = 5
#: Times that a contestant runs before one that counts, at most.
SETTLING = 5
#: Milliseconds that nothing is quicker than, though a clock that ticks in ms may say 0.
LEAST = 0.001


async def race(contestants, options):
    """Measure contestants against each other, interleaved.

    Args:
        contestants: by name, async functions that do the work `count` times and return the
            milliseconds it took; what they set up and take down is not in it.
        options: `rounds`, fewer if they take longer than `seconds`; `milliseconds` that a sample
            should take; `count` to do the work that often instead.

    Returns:
        JSON: by name, the milliseconds of one time in each round.
    """
    counts = {}
    for name, work in contestants.items():
        counts[name] = options["count"] or await _calibrated(work, options["milliseconds"])
    samples = {name: [] for name in contestants}
    watch = Stopwatch()
    for done in range(options["rounds"]):
        if done >= FEWEST and watch.read() > options["seconds"] * 1000:
            break
        for name, work in contestants.items():
            await _settled(work, counts[name])
            gc.collect()
            await asyncio.sleep(0.01)  # what is left to do is done
            took = max(await work(counts[name]), LEAST)
            samples[name].append(took / counts[name])
    return json.dumps({"samples": samples, "counts": counts})


async def _settled(work, count):
    """Do the work, uncounted, until it gets no faster.

    What the one before left is not on the bill of this one: after the obvious Python Firefox
    collects garbage for the better part of a second.
    """
    least = math.inf
    for _ in range(SETTLING):
        took = await work(count)
        if took > 0.9 * least:
            break
        least = took


async def _calibrated(work, wanted):
    """How often to do the work so that it takes what is wanted, by the best of several tries.

    One try alone may have been held up by another program, and a sample that is far too short
    measures the ticks of the clock.
    """
    spent, count, tries, least = 0, 1, 0, math.inf
    while True:
        took = await work(count)
        spent += took
        tries += 1
        if took > 0:
            least = min(least, took / count)
        if took == 0 or count * least < wanted / 4:
            count *= 2
        elif tries >= TRIES and spent >= WARM_UP:
            return max(1, round(wanted / least))


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self):
        self._start = performance.now()

    def read(self):
        return performance.now() - self._start
