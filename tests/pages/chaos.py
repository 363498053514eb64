"""Chaos: frames come, reload, move on and go at random, while messages, calls and streams run.

Everything that was started has to end, what arrives has to be what was sent, and nothing may stay.
"""

import asyncio
import contextlib
import gc
import json
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from time import perf_counter

import js
from pyodide.code import run_js
from pyodide.http import pyfetch

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    HandshakeError,
    MessageChannel,
    MessageError,
    MsgChanError,
    PeerClosedError,
    PeerLostError,
    PortStateError,
    RemoteError,
    connect,
    expose,
    proxy,
    release,
    wrap,
)
from pyodide_msgchan._browser import holding

Path("chaos_plan.py").write_text(await (await pyfetch("chaos_plan.py")).string())
sys.path.append(".")
from chaos_plan import KINDS, PYTHON, SHADOWED, steps  # noqa: E402

query = globals()["query"]
counts = await run_js("import('/pages/count.mjs')")
TIMEOUT = 5  # seconds to connect: frames that do not answer are part of it
LAST = 30  # seconds for everything to end when it is over

IN_SHADOW_ROOTS = """(frame) => ["div", "div"].reduce((inner, name) => {
    const host = document.createElement(name);
    host.attachShadow({ mode: "open" }).append(inner);
    return host;
}, frame)"""

numbers = count(1)
logs = {}  # by the number of a connection: what was sent and what arrived, and how it ended
running = {}  # what is awaited
results = Counter()
complaints = []
history = []
slots = {}
reports = run_js("""(() => {
    const reports = [];
    addEventListener("message", ({ data }) => data?.chaos && reports.push(data.chaos));
    return () => JSON.stringify(reports);
})()""")
asyncio.get_running_loop().set_exception_handler(
    lambda _loop, context: complain(
        f"{context['message']}: {context.get('exception') or context!r}"
    )
)


def say(text):
    js.document.title = text


def complain(text):
    complaints.append(f"{len(history)} steps: {text}")


async def awaited(what, slot, awaitable):
    """Note that something is awaited, and what comes of it; errors have to be ours."""
    token = object()
    running[token] = f"{what} of slot {slot.number}, since step {len(history)}"
    outcome = "result"
    try:
        return await awaitable
    except MsgChanError as error:
        outcome = type(error).__name__
        raise
    except Exception as error:
        outcome = type(error).__name__
        complain(f"{running[token]}: {error!r}")
        raise
    finally:
        results[f"{what}: {outcome}"] += 1
        del running[token]


class Slot:
    """A frame, and what runs with it as long as it is there."""

    def __init__(self, number, kind):
        self.number, self.kind = number, kind
        self.connections = {}
        self.turns = Counter()
        base = query["far"] if kind == "cross-site" else str(js.location.origin)
        self.origin = OPAQUE_ORIGIN if kind == "sandboxed" else base
        page = "python.html?run=chaos_frame.py" if number in PYTHON else "chaos-frame.html?"
        self.address = f"{base}/pages/{page}&origin={js.location.origin}"
        self.frame = js.document.createElement("iframe")
        if kind == "sandboxed":
            self.frame.sandbox = "allow-scripts"
        self.frame.src = self.address
        self.host = self.frame
        if number in SHADOWED:
            self.host = run_js(IN_SHADOW_ROOTS)(self.frame)
        js.document.body.append(self.host)
        keepers = (self.keep("data", self.talk), self.keep("calls", self.call))
        self.tasks = [asyncio.ensure_future(keeper) for keeper in keepers]

    @property
    def has_done_all(self):
        return len(self.turns) >= 9

    async def keep(self, name, session):
        """Be connected, again and again, until the frame is removed."""
        while self.frame.isConnected:
            options = {"origin": self.origin, "name": name, "timeout": TIMEOUT}
            connections = aiter(connect(self.frame, **options))
            try:
                while connection := await awaited(
                    f"connect {name}", self, anext(connections, None)
                ):
                    self.connections[name] = connection
                    try:
                        await session(connection)
                    finally:
                        connection.close()
                        self.connections.pop(name, None)
                    self.turns[name] += 1
            except HandshakeError:
                await asyncio.sleep(0.05)  # nobody there, or still taken: try again
            del connections

    async def until_end(self, *loops):
        """Run loops that end with their connection."""

        async def run(loop):
            try:
                await loop
            except PortStateError:
                return
            except Exception as error:
                complain(f"slot {self.number} ({self.kind}): {error!r}")
                raise

        await asyncio.gather(*map(run, loops), return_exceptions=True)

    # Messages and requests

    async def talk(self, connection):
        number = next(numbers)
        log = logs[number] = {"sent": 0, "got": 0, "kind": self.kind, "slot": self.number}
        log["from"] = len(history)
        await self.until_end(self.read(connection, log), self.write(connection, log, number))
        log["to"] = len(history)

    async def read(self, connection, log):
        try:
            async for event in connection.events():
                if event.data["n"] != log["got"]:
                    complain(f"{event.data} came as number {log['got']}: {log}")
                log["got"] += 1
                if event.ports:
                    event.reply({"n": event.data["n"]})
            await awaited("receive", self, connection.receive())
            complain("a message after the end of an iteration")
        except PortStateError as error:
            log["end"] = type(error).__name__
            log["missing"] = getattr(error, "missing", None)
            raise

    async def write(self, connection, log, number):
        while True:
            for _ in range(5):
                connection.post_message({"n": log["sent"], "id": number})
                log["sent"] += 1
            asked = log["sent"]
            log["sent"] += 1
            reply = connection.request({"n": asked, "id": number})
            if await awaited("request", self, reply) != {"n": asked}:
                complain(f"another answer to the request {asked}: {log}")
            await asyncio.sleep(0.02)

    # Calls and streams

    async def call(self, connection):
        expose({"double": lambda n: 2 * n, "count": count_up}, connection)
        remote = wrap(connection)
        loops = [self.add, self.each, self.stream, self.source, self.cancelled, self.thing]
        loops += [self.stalled, self.moved, self.odd]
        await self.until_end(*(self.again(loop, remote) for loop in loops))

    async def again(self, loop, remote):
        while True:
            await awaited(loop.__name__, self, loop(remote))
            self.turns[loop.__name__] += 1
            await asyncio.sleep(0.03)

    async def add(self, remote):
        assert await asyncio.gather(remote.add(1, 2), remote.add(3, 4)) == [3, 7]

    async def each(self, remote):
        seen = []
        assert await remote.each([1, 2, 3], seen.append) == 3
        assert seen == [1, 2, 3]

    async def stream(self, remote):
        assert [n async for n in remote.count(30)] == list(range(30))
        async for _ in remote.count(30):  # and leave it unfinished
            break

    async def source(self, remote):
        assert await remote.total(count_up(10)) == 45

    async def cancelled(self, remote):
        try:
            async with asyncio.timeout(0.02):
                await remote.never()
        except TimeoutError:
            pass

    async def stalled(self, remote):
        seen = []
        try:
            async with asyncio.timeout(0.05):
                async for n in remote.stall(3):  # whose fourth item never comes
                    assert n == len(seen)
                    seen.append(n)
            complain("a stream that stalls came to its end")
        except TimeoutError:
            pass

    async def moved(self, remote):
        ours, theirs = MessageChannel()
        async with ours:
            try:
                for n in range(3):
                    ours.post_message(n)  # which waits at the port when that moves
                assert await remote.echo(theirs, 6) is True
            finally:
                with contextlib.suppress(PortStateError):
                    theirs.close()  # where it could not be sent any more
            for n in range(3, 6):
                ours.post_message(n)
            got = []
            try:
                async with asyncio.timeout(2):  # a bare port can't know that its frame is gone
                    while len(got) < 6:
                        got += [await ours.receive()]
                results["moved: all came back"] += 1
            except TimeoutError:
                pass
            assert got == [*range(len(got))], got

    async def odd(self, remote):
        try:
            await remote.odd()
        except (MessageError, RemoteError):
            return
        complain("what can't be read was read")

    async def thing(self, remote):
        thing = await remote.thing()
        assert await thing.add(1, 2) == 3
        await release(thing)
        assert await remote.use(proxy(Thing())) == 3

    # What the plan does

    def do(self, act):
        match act:
            case "navigate":
                self.frame.src = f"{self.address}&{len(history)}"
            case "leave":
                self.frame.src = "about:blank"
            case "remove":
                self.host.remove()
            case "move":
                js.document.body.prepend(self.host)
            case "hang up":
                for connection in [*self.connections.values()]:
                    connection.close()
            case _:
                run_js("(frame, act) => frame.contentWindow.postMessage({ act }, '*')")(
                    self.frame, act
                )


SHARE_WORKER = """async () => {
    const Comlink = await import("/node_modules/comlink/dist/esm/comlink.mjs");
    const worker = new Worker("/pages/comlink-shared-worker.mjs", { type: "module" });
    await new Promise((resolve, reject) => {
        worker.addEventListener("error", reject);
        worker.addEventListener("message", ({ data }) => data === "booted" && resolve());
    });
    Comlink.expose({
        add: (a, b) => a + b,
        make: () => { let n = 0; return Comlink.proxy({ up: (by) => (n += by) }); },
    }, worker);
    // Comlink leaves the ports of released proxies open until they are collected.
    const ports = [];
    const proxies = Comlink.transferHandlers.get("proxy");
    const deserialize = (port) => (ports.push(port), proxies.deserialize(port));
    Comlink.transferHandlers.set("proxy", { ...proxies, deserialize });
    const api = Comlink.wrap(worker);
    const call = async () => {
        const [first, second] = await Promise.all([api.make(), api.make()]);
        const numbers = [await first.up(1), await first.up(2), await second.up(5)];
        numbers.push(...await Promise.all([api.add(1, 2), api.add(3, 4)]), ...await api.ask());
        for (const thing of [first, second]) thing[Comlink.releaseProxy]();
        for (const port of ports.splice(0)) port.close();
        return JSON.stringify(numbers);
    };
    return { worker, call };
}"""


class Shared:
    """A worker in which Comlink and Python have a part, both called by Comlink and Python here."""

    number, kind = "shared", "worker"

    def __init__(self, native):
        self.native = native
        self.turns = Counter()
        self.over = False
        loops = (self.by_comlink, self.by_python)
        self.tasks = [asyncio.ensure_future(self.again(loop)) for loop in loops]

    @property
    def has_done_all(self):
        return len(self.turns) == len(self.tasks)

    def do(self, act):
        self.over = self.over or act == "remove"

    async def again(self, loop):
        while not self.over:
            await awaited(loop.__name__, self, loop())
            self.turns[loop.__name__] += 1
            await asyncio.sleep(0.03)

    async def by_comlink(self):
        assert json.loads(await self.native.call()) == [1, 3, 5, 3, 7, 3, 1, 2]

    async def by_python(self):
        remote = wrap(self.native.worker)
        first, second = await asyncio.gather(remote.make(), remote.make())
        assert [await first.up(1), await first.up(2), await second.up(5)] == [1, 3, 5]
        assert await asyncio.gather(remote.add(1, 2), remote.add(3, 4)) == [3, 7]
        assert await remote.ask() == [3, 1, 2]
        assert await remote.askByPython() == [3, 1, 2]
        for thing in (first, second):
            await release(thing)
        assert await remote.kept() == 0


class Thing:
    def add(self, a, b):
        return a + b


async def count_up(numbers):
    for number in range(numbers):
        yield number


async def carry_out(seed, seconds):
    end = perf_counter() + seconds
    slots[Shared.number] = Shared(shared)
    for step in steps(seed):
        await asyncio.sleep(step.pause)
        if perf_counter() > end:
            return
        history.append(step)
        if step.act == "add":
            slots[step.slot] = Slot(step.slot, step.kind)
        elif step.act == "remove":
            gone.append(slots.pop(step.slot))
            gone[-1].do("remove")
        else:
            slots[step.slot].do(step.act)


gone = []


async def finish():
    """Remove all frames, and wait until everything has ended."""
    for slot in slots.values():
        slot.do("remove")
    gone.extend(slots.values())
    slots.clear()
    tasks = {task for slot in gone for task in slot.tasks}
    limit = counts.limit(LAST)  # not the loop's, whose timers run on when nobody waits any more
    over = asyncio.ensure_future(limit.promise)
    ending = asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.wait({ending, over}, return_when=asyncio.FIRST_COMPLETED)
    limit.stop()
    await over
    hanging = {task for task in tasks if not task.done()}
    if hanging:
        complain(f"{len(hanging)} tasks hang: {'; '.join(running.values())}")
    for task in tasks - hanging:
        if task.exception():
            complain(f"a keeper failed: {task.exception()!r}")
    gone.clear()


async def held():
    """Count what Python and Pyodide hold on to."""
    for _ in range(5):
        await asyncio.sleep(0)
        gc.collect()
    module = js.python._module
    return {
        "proxies": module.pyproxy_alloc_map.size,
        "references": module.hiwire.num_keys(),
        "holding": len(holding),
        "tasks": len(asyncio.all_tasks()),
        "locks": await counts.locks(),
    }


def compare(report):
    """Hold what a frame tells of a connection against what happened here."""
    log = logs.get(report.get("id"))
    if "wrong" in report:
        complain(f"in a frame: {report['wrong']}")
    if log is None or "end" not in log:
        return
    missing = report.get("missing")
    if report["reason"] == "closed" and missing is None:
        complain(f"a close without its count: {report}, {log}")
    if missing is not None and report["got"] + missing != log["sent"]:
        complain(f"messages to a frame are lost: {report}, {log}")
    if log["end"] == PeerClosedError.__name__ and log["got"] != report["sent"]:
        complain(f"messages from a frame are lost: {report}, {log}")
    known = log["end"] == PeerLostError.__name__ and log["missing"] is not None
    if known and log["got"] + log["missing"] != report["sent"]:
        complain(f"messages from a frame are miscounted: {report}, {log}")
    results["connections compared"] += 1


async def warm_up():
    """Do everything once, so that nothing is counted that is only made at first use."""
    for number, kind in enumerate(KINDS):
        slots[number] = Slot(number, kind)
    slots[PYTHON[0]] = Slot(PYTHON[0], KINDS[0])
    slots[Shared.number] = Shared(shared)
    while not all(slot.has_done_all for slot in slots.values()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    for slot in slots.values():
        slot.do("close")
    await asyncio.sleep(0.2)
    await finish()


js.python._module.enable_pyproxy_allocation_tracing()
timers = run_js("({ timers }) => ({ timers })")(counts.count())
say("starting a worker")
shared = await run_js(SHARE_WORKER)()
say("warming up")
await warm_up()
say("settling")
await counts.settled(timers, 20)  # which keep what is on its way out
browser_before = counts.count()
before = await held()
results.clear()
say("chaos")
await carry_out(int(query["seed"]), float(query["seconds"]))
say("finishing")
await finish()
for report in json.loads(reports()):
    compare(report)
await counts.settled(browser_before, 20)
if story := counts.story(browser_before):
    complain(f"{counts.count().to_py()}, {browser_before.to_py()} before: {story}")
after = await held()
if any(after[key] > before[key] for key in before):
    made = [str(one) for one in js.python._module.pyproxy_alloc_map.values()][-2:]
    complain(f"{after} are held, {before} before; {made}")
js.window.results = json.dumps(
    {
        "complaints": complaints,
        "results": results,
        "connections": len(logs),
        "steps": len(history),
        "tail": [f"{i}: {tuple(step)}" for i, step in enumerate(history)][-40:],
    }
)
