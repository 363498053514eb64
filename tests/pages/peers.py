"""Frames, popups and workers without Python that do what a test in Pyodide asks."""

import js
from pyodide.code import run_js
from pyodide.ffi import JsProxy, to_js

from pyodide_msgchan import OPAQUE_ORIGIN

#: Takes a connection and keeps it; what comes is kept too, and echoed if it asks for that.
TAKE = """
globalThis.taking = accept(args[0]).then((connection) => {
    globalThis.connection = connection;
    globalThis.got = [];
    globalThis.ended = connection.closed;
    connection.port.onmessage = ({ data, ports }) => {
        got.push(data);
        if (ports.length) ports.at(-1).postMessage(data);
        else if (data.echo) connection.port.postMessage(data);
    };
    return connection;
});
"""


async def open_peer(kind, address):
    """Open one; it need not have loaded yet."""
    module = await run_js("import('/pages/open-peer.mjs')")
    return Peer(kind, module.openPeer(kind, str(js.URL.new(address, js.location.href))))


class Peer:
    """The other side: `target` for connect, `run` for what it shall do."""

    def __init__(self, kind, native):
        self.kind = kind
        self.native = native
        self.target = native.target
        self.origin = OPAQUE_ORIGIN if kind == "sandboxed" else native.origin
        self.options = {} if kind == "worker" else {"origin": self.origin}
        self.ours = {} if kind == "worker" else {"origin": str(js.location.origin)}

    async def run(self, body, *args):
        """Run the body of an async JavaScript function there, and give what it returns."""
        plain = [to_js(arg, dict_converter=js.Object.fromEntries) for arg in args]
        result = await self.native.run(body, *plain)
        return result.to_py() if isinstance(result, JsProxy) else result

    async def take(self, **options):
        """Let it accept a connection from this page."""
        await self.run(TAKE + "return 1", self.ours | options)

    async def reloaded(self):
        """Wait until it is there again, from a call of `expect_reload` before on."""
        await self.native.ready()

    def expect_reload(self):
        """Note that what runs there from now on runs in the page that comes next."""
        self.native.reloaded()

    def close(self):
        """Remove, close or terminate it."""
        self.native.close()
