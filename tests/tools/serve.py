"""The `serve` verb: the built site on two origins, until Ctrl-C."""

import argparse
import os
import signal
import sys
import threading
import webbrowser

from tools.bundle import build
from tools.common import SITE, SetupError, say
from tools.server import free_port, serving


def main(words: list[str]) -> int:
    """Build and serve the site."""
    parser = argparse.ArgumentParser(prog="build.sh serve")
    parser.add_argument("--port", type=int, help="of the first origin (default: 8000 or above)")
    parser.add_argument("--other-port", type=int, help="of the second (default: the next free)")
    parser.add_argument("--no-open", action="store_true", help="open no browser")
    options = parser.parse_args(words)
    build()

    try:
        ports = _ports(options.port, options.other_port)
    except OSError as error:
        raise SetupError(str(error)) from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with serving({"/": SITE}, ports=ports) as origins:
        address = f"{origins.origin}/?other={origins.other_origin}"
        checks = f"{origins.origin}/check.html?other={origins.other_origin}"
        say(f"Serving {address}\nIts checks: {checks}\nCtrl-C ends it")
        if not options.no_open and _has_display():
            webbrowser.open(address)
        stop.wait()
    say("")
    return 0


def _ports(first: int | None, second: int | None) -> tuple[int, int]:
    """What was asked for, if it is free, or what is free."""
    port = free_port(first or 8000, tries=1 if first else 100)
    return port, free_port(second or port + 1, tries=1 if second else 100)


def _has_display() -> bool:
    return sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
