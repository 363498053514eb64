"""Pictures to send: pieces of the Mandelbrot set, each a little different."""

from itertools import count
from secrets import randbelow

from mandelbrot import paint

WIDTH, HEIGHT = 160, 120

DEPTH = 100

# Centre and width in the complex plane.
_VIEWS = [
    (-0.65 + 0.0j, 3.2),
    (-0.7443 + 0.1312j, 0.06),
    (0.2925 + 0.0149j, 0.05),
    (-1.2536 + 0.0467j, 0.12),
    (-0.1592 + 1.0317j, 0.22),
]
# Each interpreter begins somewhere else, so that pictures from two of them tend to differ.
_turns = count(randbelow(len(_VIEWS)))


async def next_picture() -> bytes:
    """Compute the next view as RGBA, four bytes a pixel."""
    centre, width = _VIEWS[next(_turns) % len(_VIEWS)]
    step = width / WIDTH
    corner = centre + complex(-WIDTH, HEIGHT) * step / 2
    return await paint(corner.real, corner.imag, step, DEPTH, WIDTH, HEIGHT)
