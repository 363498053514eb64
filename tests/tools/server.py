"""A threaded static server on loopback, once per origin, with folders mounted under prefixes."""

import contextlib
import functools
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs, urlencode, urlsplit

#: `127.0.0.1` and `localhost` are different sites to a browser: real cross-site frames.
HOST, OTHER_HOST = "127.0.0.1", "localhost"


class Handler(SimpleHTTPRequestHandler):
    """Serves mounted folders.

    For tests a query may ask for response headers (`_headers`, a JSON object) and for a late
    answer (`_delay`, seconds).
    """

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    extensions_map = {  # noqa: RUF012 - the base class makes it no ClassVar
        **SimpleHTTPRequestHandler.extensions_map,
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".wasm": "application/wasm",
        ".whl": "application/zip",
        ".zip": "application/zip",
    }

    def __init__(self, *args: Any, mounts: Mapping[str, Path], obeys_query: bool = False) -> None:
        self.mounts = sorted(mounts.items(), key=lambda mount: -len(mount[0]))
        self.obeys_query = obeys_query
        self.asked: dict[str, list[str]] = {}
        super().__init__(*args)

    @override
    def translate_path(self, path: str) -> str:
        for prefix, folder in self.mounts:
            if path.startswith(prefix):
                self.directory = str(folder)
                return super().translate_path("/" + path.removeprefix(prefix))
        return super().translate_path("/")

    @override
    def do_GET(self) -> None:
        self.asked = parse_qs(urlsplit(self.path).query) if self.obeys_query else {}
        if "_delay" in self.asked:
            time.sleep(float(self.asked["_delay"][0]))
        super().do_GET()

    @override
    def end_headers(self) -> None:
        # Sandboxed frames have the origin "null" and may import modules only with this.
        self.send_header("Access-Control-Allow-Origin", "*")
        # Ask each time, and get 304 when nothing changed.
        self.send_header("Cache-Control", "no-cache")
        for value in self.asked.get("_headers", []):
            for name, content in json.loads(value).items():
                self.send_header(name, content)
        super().end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the browser's own console tells of failed requests."""


class Server(ThreadingHTTPServer):
    """One origin."""

    daemon_threads = True
    request_queue_size = 128

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that goes away drops its connections; that is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


@dataclass(frozen=True)
class Origins:
    """Two origins that serve the same files."""

    origin: str
    other_origin: str

    def url(
        self,
        path: str = "",
        *,
        other: bool = False,
        headers: Mapping[str, str] | None = None,
        delay: float = 0,
        **query: object,
    ) -> str:
        """The address of a file.

        Args:
            path: Relative to the root of the server.
            other: On the second origin.
            headers: Response headers to ask for, where the server obeys queries.
            delay: Seconds the answer is held back, where the server obeys queries.
            query: More query parameters; those with several values as lists.
        """
        if headers:
            query["_headers"] = json.dumps(headers)
        if delay:
            query["_delay"] = delay
        base = self.other_origin if other else self.origin
        asked = f"?{urlencode(query, doseq=True)}" if query else ""
        return f"{base}/{path.removeprefix('/')}{asked}"


@contextlib.contextmanager
def serving(
    mounts: Mapping[str, Path], *, ports: tuple[int, int] = (0, 0), obeys_query: bool = False
) -> Iterator[Origins]:
    """Serve the folders on two origins until the block ends.

    Args:
        mounts: Folder by prefix, for example `{"/": site, "/pages/": pages}`.
        ports: For the first and the second origin; 0 takes any free one.
        obeys_query: Whether a query may ask for headers and delays.

    Raises:
        OSError: A port is taken.
    """
    handler = functools.partial(Handler, mounts=mounts, obeys_query=obeys_query)
    with contextlib.ExitStack() as stack:
        servers = []
        for port in ports:
            server = stack.enter_context(Server((HOST, port), handler))
            # Asked every 10 ms whether to stop, so that suites end at once.
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        first, second = (server.server_address[1] for server in servers)
        yield Origins(f"http://{HOST}:{first}", f"http://{OTHER_HOST}:{second}")


def free_port(wanted: int, tries: int = 100) -> int:
    """The wanted port, or the next free one above it.

    Raises:
        OSError: None of as many ports as there are tries is free.
    """
    for port in range(wanted, wanted + tries):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise OSError(f"no free port from {wanted} to {wanted + tries - 1}")
