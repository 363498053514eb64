"""What happens to which frame, and when: the same for the same seed."""

import random
from typing import NamedTuple

LIGHT = range(20)
PYTHON = range(20, 22)
KINDS = ("same-origin", "cross-site", "sandboxed")
PYTHON_KINDS = KINDS[:2]

#: Slots whose frames stand in a shadow root within another.
SHADOWED = (*range(0, 20, 3), 21)

#: What may happen to a frame that is there, and how often.
ACTS = {
    "reload": 4,  # by itself
    "navigate": 3,  # to the same page anew
    "leave": 1,  # to a page that knows nothing of this
    "remove": 3,
    "move": 1,  # to another place in the document, which loads it anew
    "close": 3,  # the frame closes its connections
    "hang up": 3,  # the holder does
    "compute": 2,  # and hears nothing meanwhile
}
PAUSES = (0, 0, 0.01, 0.03, 0.06, 0.15)
BOOT = (3, 9)  # seconds that a frame in Python is left alone, at least and at most


class Step(NamedTuple):
    pause: float
    slot: int
    act: str
    kind: str


def steps(seed):
    """Yield steps without end."""
    rng = random.Random(seed)  # noqa: S311 - to be had again
    kinds = {}
    due = dict.fromkeys(PYTHON, 0.0)
    now = 0.0
    while True:
        pause = rng.choice(PAUSES)
        now += pause
        ready = [slot for slot in PYTHON if due[slot] <= now]
        slot = ready[0] if ready else rng.choice(LIGHT)
        if slot in due:
            due[slot] = now + rng.uniform(*BOOT)
        if slot in kinds:
            act = rng.choices(list(ACTS), ACTS.values())[0]
            kind = kinds.pop(slot) if act == "remove" else kinds[slot]
        else:
            act = "add"
            kind = kinds[slot] = rng.choice(PYTHON_KINDS if slot in due else KINDS)
        yield Step(pause, slot, act, kind)
