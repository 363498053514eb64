"""The page that is attacked: it counts what arrives, and holds a good connection all the while."""

import asyncio

import js
from peers import open_peer
from pyodide.code import run_js

from pyodide_msgchan import accept, connect, listen

WATCH = """() => {
    const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
    const listeners = new Set(), waiting = new Set(), arrived = new Map(), kept = [];
    let held, total = 0;
    const windowOf = (target) =>
        Object.prototype.toString.call(target) === "[object HTMLIFrameElement]"
            ? target.contentWindow
            : target;
    const changed = () => waiting.forEach((check) => check());
    const until = (condition) => new Promise((resolve) => {
        const check = () => condition() && (waiting.delete(check), resolve());
        waiting.add(check);
        check();
    });
    globalThis.addEventListener = function (type, f, ...more) {
        if (type === "message") listeners.add(f);
        add.call(globalThis, type, f, ...more);
        changed();
    };
    globalThis.removeEventListener = function (type, f, ...more) {
        if (type === "message") listeners.delete(f);
        remove.call(globalThis, type, f, ...more);
    };
    // Before all others: count what is no word between the test and its pages.
    const plain = (event) => {
        const { data, origin, source, isTrusted } = event;
        if (data?.test || !isTrusted) return;
        total++;
        const from = arrived.get(source) ?? new Map();
        arrived.set(source, from.set(origin, (from.get(origin) ?? 0) + 1));
        if (held && data?.type === held) {
            event.stopImmediatePropagation();
            const frame = Array.from(document.querySelectorAll("iframe"))
                .find(({ contentWindow }) => contentWindow === source);
            kept.push([event, frame]);
        }
        changed();
    };
    add.call(globalThis, "message", plain, true);
    return {
        listening: () => listeners.size,
        listens: (count) => until(() => listeners.size >= count),
        count: (target, origin) => arrived.get(windowOf(target))?.get(origin) ?? 0,
        total: () => total, // whoever sent them
        arrive: (count) => until(() => total >= count),
        // Delay messages of a type, for as long as it takes.
        hold: (type) => (held = type),
        holds: () => until(() => kept.length),
        release() {
            held = undefined;
            for (const [event, frame] of kept.splice(0)) {
                const { data, origin, ports } = event;
                const more = { ports: [...ports], source: frame.contentWindow };
                let again = event; // the same, which Chrome does not dispatch any more
                try {
                    again = new MessageEvent("message", { data, origin, ...more });
                } catch {} // Firefox makes none whose source is of another origin
                dispatchEvent(again);
            }
        },
        stop() {
            delete globalThis.addEventListener;
            delete globalThis.removeEventListener;
            remove.call(globalThis, "message", plain, true);
            arrived.clear();
        },
    };
}"""

NESTED = """
    const { openPeer } = await import("/pages/open-peer.mjs");
    globalThis.inner = openPeer("same-origin", location.href);
    await inner.run("await import('/pages/attacker.mjs')");
"""


class Waiting:
    """A task that keeps what comes of it, an error too, until it is asked."""

    def __init__(self, coroutine):
        self._task = asyncio.ensure_future(self._run(coroutine))
        self.done = self._task.done
        self.cancel = self._task.cancel

    async def _run(self, coroutine):
        try:
            return await coroutine, None
        except Exception as error:  # told to whoever asks
            return None, error

    def __await__(self):
        connection, error = yield from self._task.__await__()
        if error is not None:
            raise error
        return connection


class Nested:
    """A frame in the frame of another peer."""

    def __init__(self, outer):
        self.outer = outer
        self.target = run_js("(frame) => frame.contentWindow.frames[0]")(outer.target)
        self.origin = outer.origin

    async def run(self, body, *args):
        return await self.outer.run("return inner.run(...args)", body, *args)


class Scene:
    """Enter it for a page that is watched; leaving it checks that the attacks had no effect."""

    def __init__(self, peers, *, limit=20):
        self.peers = peers
        self._limit = asyncio.timeout(limit)  # to say where it hangs before the driver gives up
        self.errors = []
        self.opened = []

    async def __aenter__(self):
        await self._limit.__aenter__()
        loop = asyncio.get_running_loop()
        self._handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _loop, context: self.errors.append(context))
        self.watch = run_js(WATCH)()
        self.good = await self.open("same-origin")
        await self.good.take(name="good")
        self.beside = await connect(self.good.target, name="good")
        self.listening = self.watch.listening()
        return self

    async def __aexit__(self, kind, *error):
        await self._limit.__aexit__(kind, *error)
        try:
            if kind is None:
                assert await self.echo(self.beside, "good")
                while len(self.opened) > 1:  # each is heard by a listener of the test's own
                    self.opened.pop().close()
                now = self.watch.listening()
                assert now == self.listening, f"{now} listeners, {self.listening} before"
                assert not self.errors, self.errors
                assert not hasattr(js.Object.prototype, "polluted")
        finally:
            self.beside.close()
            for peer in self.opened:
                peer.close()
            self.watch.stop()
            asyncio.get_running_loop().set_exception_handler(self._handler)

    async def open(self, kind, address=None):
        """Open a page that does as it is told, and wait until it is there."""
        peer = await open_peer(kind, address or self.peers[kind])
        self.opened.append(peer)
        await peer.run("return 1")
        return peer

    async def open_attacker(self, kind, address=None):
        """Open one with all that pages/attacker.mjs gives."""
        peer = await self.open(kind, address)
        await self.arm(peer)
        return peer

    async def arm(self, peer):
        await peer.run("await import('/pages/attacker.mjs')")

    async def open_nested(self, outer):
        await outer.run(NESTED)
        return Nested(outer)

    async def move(self, peer, address):
        """Navigate a frame, and arm the page that comes."""
        peer.expect_reload()
        peer.target.src = address
        await peer.reloaded()
        await self.arm(peer)

    def count(self, peer, origin=None):
        """How many messages came from there."""
        return self.watch.count(peer.target, origin or origin_text(peer))

    async def start(self, call, peer, **options):
        """Wait for a connection in a task, and return once the window hears."""
        before = self.watch.listening()
        waiting = Waiting(CALL[call](peer.target, **options))
        await self.watch.listens(before + 1)
        return waiting

    async def answer(self, call, peer, name=""):
        """Let a good page do the other half of a call, and echo."""
        function = "accept(" if call == "connect" else "connect(owner,"
        await peer.run(
            f"""
            {function} {{ origin: args[0], name: args[1] }}).then((connection) => {{
                globalThis.connection = connection; // so that it is not collected
                connection.port.onmessage = ({{ data }}) => connection.port.postMessage(data);
            }});
            """,
            str(js.location.origin),
            name,
        )

    async def echo(self, connection, value="echo"):
        connection.post_message({"echo": value})
        return await connection.receive() == {"echo": value}


def origin_text(peer):
    return peer.origin if isinstance(peer.origin, str) else "null"


async def _connect(target, **options):
    return await connect(target, **options)


async def _accept(target, **options):
    return await accept(source=target, **options)


async def _listen(_target, **options):
    async with listen(**options) as callers:
        return await anext(callers)


CALL = {"connect": _connect, "accept": _accept, "listen": _listen}
