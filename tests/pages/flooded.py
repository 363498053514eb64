"""A port that a worker floods with messages, and calls from Python that block meanwhile."""

import asyncio

import js
from pyodide.code import run_js
from pyodide.ffi import to_js

from pyodide_msgchan import MessagePort, expose

FLOOD = """
    let count = 0;
    const asIs = (value) => value;
    const asCall = (value) => ({
        id: `c${count}`,
        type: "APPLY",
        path: ["take"],
        argumentList: [{ type: "RAW", value }],
    });
    onmessage = ({ data: calls, ports: [port] }) => {
        const form = calls ? asCall : asIs;
        const timer = setInterval(() => port.postMessage(form(count++)), 2);
        port.onmessage = ({ data }) => {
            if (data !== "stop") return;
            clearInterval(timer);
            port.postMessage(form(`last of ${count}`));
        };
    };
"""

COUNT = """port => {
    const seen = { count: 0 };
    port.addEventListener("message", () => seen.count++);
    return seen;
}"""


class Flooded:
    """Everything that a port gets, and whether Python ran while a call of its own blocked."""

    def __init__(self, reading: str) -> None:
        code = js.Blob.new(to_js([FLOOD]), type="text/javascript")
        self._worker = js.Worker.new(js.URL.createObjectURL(code))
        channel = js.MessageChannel.new()
        self._seen = run_js(COUNT)(channel.port1)
        self.port = MessagePort(channel.port1, stack_switching="without" not in reading)
        self.got: list[object] = []
        self.during: list[bool] = []
        self._inside = False
        self._begun, self._done = asyncio.Event(), asyncio.Event()
        self._tasks = [asyncio.create_task(self._tick(t)) for t in (0.004, 0.005)]
        if reading == "calls":
            expose({"take": self._take}, self.port)
        elif reading == "listener":
            self.port.on_message(lambda event: self._take(event.data))
        else:
            self._tasks.append(asyncio.create_task(self._read()))
        self._worker.postMessage(reading == "calls", to_js([channel.port2]))

    def _take(self, message: object) -> None:
        self.during.append(self._inside)
        self.got.append(message)
        self._begun.set()
        if isinstance(message, str):
            self._done.set()

    async def _read(self) -> None:
        async for message in self.port:
            self._take(message)

    async def _tick(self, seconds: float) -> None:
        while True:  # the event loop's own calls must wait, too
            await asyncio.sleep(seconds)
            self.during.append(self._inside)

    def _block(self, call: str) -> int:
        """Return how many messages the browser handled in this call."""
        before, self._inside = self._seen.count, True
        if call == "window":
            js.window.open("about:blank").close()
        else:
            request = js.XMLHttpRequest.new()
            request.open("GET", "pyodide.asm.wasm", False)  # noqa: FBT003 - JavaScript's own
            request.send()
        self._inside = False
        return int(self._seen.count - before)

    async def block_often(self, call: str) -> int:
        """Block in a task, and in a callback, where Python is on the stack without a task."""
        await self._begun.wait()
        handled, loop = 0, asyncio.get_running_loop()
        for _ in range(10):
            handled += self._block(call)
            await asyncio.sleep(0.01)
            turn = loop.create_future()
            loop.call_soon(lambda turn=turn: turn.set_result(self._block(call)))
            handled += await turn
            await asyncio.sleep(0.01)
        return handled

    async def finish(self) -> None:
        """Return when the last message has come, and end everything."""
        self.port.post_message("stop")
        async with asyncio.timeout(60):
            await self._done.wait()
        for task in self._tasks:
            task.cancel()
        self._worker.terminate()
        self.port.close()
