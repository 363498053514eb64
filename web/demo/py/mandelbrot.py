"""The Mandelbrot set in plain Python: pieces of it as pixels."""

import asyncio
from collections.abc import Iterable
from math import log2, sqrt
from time import perf_counter

FAR = 2.0**16
"""The square of a distance so far off that the steps to it can be counted in fractions."""

SLICE = 0.004
"""Seconds to compute before the page may do something else: messages, and painting, go on."""

INSIDE = b"\x0c\x0e\x1e\xff"

_SHADES = 256
_STOPS = [(22, 26, 74), (79, 91, 213), (184, 56, 143), (240, 130, 50), (255, 236, 170)]


async def paint(left: float, top: float, step: float, depth: int, width: int, height: int) -> bytes:
    """Compute a rectangle of the complex plane as RGBA, four bytes a pixel.

    Args:
        left: real part of its corner.
        top: imaginary part of its corner.
        step: from one pixel to the next.
        depth: steps after which a point counts as inside; more show finer detail.
        width: in pixels.
        height: in pixels.
    """

    def line(xs: Iterable[int], ys: Iterable[int]) -> list[bytes]:
        return [_colour(left + x * step, top - y * step, depth) for y in ys for x in xs]

    across, down = range(width), range(height)
    pause = _Pauses()
    # The set has no holes: what is inside all around is inside altogether.
    for edge in (across, [0]), (across, [height - 1]), ([0], down), ([width - 1], down):
        if set(line(*edge)) != {INSIDE}:
            break
        await pause()
    else:
        return INSIDE * width * height

    pixels: list[bytes] = []
    for y in down:
        pixels += line(across, [y])
        await pause()
    return b"".join(pixels)


class _Pauses:
    """Let the page do something else now and then."""

    def __init__(self) -> None:
        self._until = perf_counter() + SLICE

    async def __call__(self) -> None:
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + SLICE


def _colour(a: float, b: float, depth: int) -> bytes:
    """Give the pixel of a point by how soon it escapes."""
    if _surely_inside(a, b):
        return INSIDE
    x, y = a, b
    for steps in range(depth):
        xx, yy = x * x, y * y
        if xx + yy > FAR:
            # In whole steps there would be bands of one colour.
            escape = steps + 1 - log2(log2(xx + yy))
            return _PALETTE[int(_SHADES * 0.8 * sqrt(max(escape, 0))) % len(_PALETTE)]
        y = 2 * x * y + b
        x = xx - yy + a
    return INSIDE


def _surely_inside(a: float, b: float) -> bool:
    """Know without any steps the heart and the disc beside it, which are most of the inside."""
    bb = b * b
    q = (a - 0.25) ** 2 + bb
    return q * (q + a - 0.25) <= bb / 4 or (a + 1) ** 2 + bb <= 1 / 16


def _shade(place: float) -> bytes:
    """Go from deep blue over violet and orange to pale yellow, and round again."""
    whole, part = divmod(place, 1)
    here, there = _STOPS[int(whole)], _STOPS[(int(whole) + 1) % len(_STOPS)]
    return bytes([*(round(a + (b - a) * part) for a, b in zip(here, there, strict=True)), 255])


_PALETTE = [_shade(i / _SHADES) for i in range(_SHADES * len(_STOPS))]
