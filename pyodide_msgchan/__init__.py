"""Message ports between frames, windows and workers, for Python in the browser."""

__version__ = "0.1.0"
