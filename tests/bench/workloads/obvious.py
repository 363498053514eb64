"""The obvious Python, a rival: what one writes on a port without this package."""

import asyncio

from js import Object
from pyodide.ffi import JsProxy, create_proxy, to_js


class ObviousPort:
    """An `onmessage` that feeds an asyncio.Queue."""

    def __init__(self, port):
        self._port = port
        self._queue = asyncio.Queue()
        self._listener = create_proxy(self._on_message)
        port.onmessage = self._listener

    def _on_message(self, event):
        data = event.data
        self._queue.put_nowait(data.to_py() if isinstance(data, JsProxy) else data)

    def post(self, message):
        self._port.postMessage(to_js(message, dict_converter=Object.fromEntries))

    async def receive(self):
        return await self._queue.get()

    def close(self):
        self._port.onmessage = None
        self._listener.destroy()
        self._port.close()
