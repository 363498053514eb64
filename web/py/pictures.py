"""A picture to send: a piece of the Mandelbrot set, computed in plain Python."""

import asyncio
from itertools import count
from secrets import randbelow

WIDTH, HEIGHT = 160, 120
DEPTH = 48
"""Steps after which a point counts as inside: more show finer detail and take longer."""

FAR = 2**2
"""The square of a distance from which no point comes back."""

# Centre, width in the complex plane, and where the colours begin.
_VIEWS = [
    (-0.65 + 0.0j, 3.2, 0),
    (-0.7443 + 0.1312j, 0.06, 13),
    (0.2925 + 0.0149j, 0.05, 27),
    (-1.2536 + 0.0467j, 0.12, 36),
    (-0.1592 + 1.0317j, 0.22, 7),
]
# Each interpreter begins somewhere else, so that pictures from two of them tend to differ.
_turns = count(randbelow(len(_VIEWS)))


async def mandelbrot() -> bytes:
    """Compute the next view as RGBA, four bytes a pixel; the page stays responsive meanwhile."""
    centre, width, shift = _VIEWS[next(_turns) % len(_VIEWS)]
    colours = [_colour(depth + shift) for depth in range(DEPTH)] + [b"\x0c\x0e\x1e\xff"]
    scale = width / WIDTH
    corner = centre - complex(WIDTH, HEIGHT) * scale / 2
    pixels = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            pixels += colours[_depth(corner + complex(x, y) * scale)]
        if y % 8 == 0:
            await asyncio.sleep(0)
    return bytes(pixels)


def _depth(c: complex) -> int:
    """Count the steps until the point escapes."""
    z = c
    for step in range(DEPTH):
        # Compared by squares: a root for each step would double the time.
        if z.real * z.real + z.imag * z.imag > FAR:
            return step
        z = z * z + c
    return DEPTH


def _colour(depth: int) -> bytes:
    """Go from deep blue over violet and orange to pale yellow, and round again."""
    stops = [(22, 26, 74), (79, 91, 213), (184, 56, 143), (240, 130, 50), (255, 236, 170)]
    place, part = divmod(depth * 0.28 % len(stops), 1)
    here, there = stops[int(place)], stops[(int(place) + 1) % len(stops)]
    return bytes([*(round(a + (b - a) * part) for a, b in zip(here, there, strict=True)), 255])
