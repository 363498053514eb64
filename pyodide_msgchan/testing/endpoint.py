"""Endpoints in memory, which take the place of native ports below the real `MessagePort`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from pyodide_msgchan._bridge.callbacks import unreadable
from pyodide_msgchan._codec.packed.codec import Packet, is_scalar, pack, unpack_or_notice
from pyodide_msgchan._codec.packed.opcodes import prepare, scan
from pyodide_msgchan._codec.packed.values import ValueFactory
from pyodide_msgchan._interfaces import DATA, Batch, CallSink, MessageSink, Notice, TransferList
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort, wrap_endpoint
from pyodide_msgchan.errors import DataCloneError
from pyodide_msgchan.testing.clone import clone
from pyodide_msgchan.testing.plain_calls import (
    MemoryPlainCalls,
    parse_call,
    result_number,
    take_results,
)

__all__ = ["MemoryEndpoint", "memory_pair"]


LISTEN = 3


def memory_pair() -> tuple[MemoryEndpoint, MemoryEndpoint]:
    first, second = MemoryEndpoint(), MemoryEndpoint()
    first.peer, second.peer = second, first
    return first, second


class _MemoryEvent:
    """The event of a message in memory."""

    origin = ""
    source = None
    last_event_id = ""
    js = None

    def __init__(self, ports: tuple[MessagePort, ...], *, packed: bool) -> None:
        self._ports = ports
        self.packed = packed
        self.endpoint: MemoryEndpoint | None = None

    @property
    def ports(self) -> tuple[MessagePort, ...]:
        if self._ports and self.endpoint is not None:
            reply: Any = core_of(self._ports[-1]).endpoint
            if not reply.sent():
                reply.request_port = self.endpoint
        return self._ports


class MemoryEndpoint:
    """A native port in memory: a queue that is delivered once started, and the peer endpoint."""

    js = None
    native = None
    private = True
    announce: Callable[[Any], None] | None = None
    shared = False

    def __init__(self) -> None:
        self.owner: Any = None
        self.peer: MemoryEndpoint | None = None
        self._in_transit: deque[tuple[Any, _MemoryEvent]] = deque()
        self._queue: deque[tuple[Any, _MemoryEvent]] = deque()
        self._batch: list[_MemoryEvent] = []
        self._started = False
        self._scheduled = False
        self._mode = 0
        self._sent = self._received = self._sent_bytes = 0
        self._sink: MessageSink | None = None
        self.packed: bool = False
        self.request_port: MemoryEndpoint | None = None
        self._answers: int | None = 0
        self._prefix = ""
        self.takes_calls = False

    def enable_packing(self) -> None:
        self.packed = True

    def post(self, message: Any, moved: TransferList | None) -> None:
        self._post(
            message, moved, packed=self.packed and not (moved is None and is_scalar(message))
        )

    def post_call(self, message: dict[str, Any]) -> None:
        """Send the message of a call or of a result, which is never packed."""
        self._post(message, None, packed=False)

    def _post(self, message: Any, moved: TransferList | None, *, packed: bool) -> None:
        moving: Any = moved.endpoints if moved else {}
        new_endpoints = {key: MemoryEndpoint() for key in moving}
        ports = {key: wrap_endpoint(endpoint) for key, endpoint in new_endpoints.items()}
        try:
            data, size = encode_packed(message, ports) if packed else clone(message, ports)
        except BaseException:
            for port in ports.values():
                port.close()
            raise
        for key, endpoint in moving.items():
            endpoint._move_to(new_endpoints[key])
        self._sent += 1
        if self.request_port is not None:
            self.request_port._count_answer()
            self.request_port = None
        self._sent_bytes += size
        if self.peer is None:
            for port in ports.values():
                port.close()
            return
        event = _MemoryEvent(tuple(ports.values()), packed=packed)
        self.peer._in_transit.append((data, event))
        self.peer._schedule()

    def _move_to(self, new: MemoryEndpoint) -> None:
        if self.request_port is not None:
            self.request_port._answers = None  # the request may be answered from elsewhere
        new.peer, self.peer = self.peer, None
        new._in_transit, self._in_transit = self._in_transit, deque()
        if new.peer is not None:
            new.peer.peer = new

    def _schedule(self) -> None:
        """Deliver the posted messages in a later turn, as a browser does."""
        if (
            not self._started
            or self._scheduled
            or not (self._in_transit or (self._mode and self._queue))
        ):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # posted while no event loop runs: the first receive schedules it
        self._scheduled = True
        loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        self._received += len(self._in_transit)
        self._queue.extend(self._in_transit)
        self._in_transit.clear()
        sink = self._sink
        mode = self._mode
        if not mode or not self._queue or sink is None:
            return
        if mode != LISTEN:
            self._mode = 0
            self._sink = None
        else:
            self._batch = []
        run = self._hand_over(mode, sink)
        if run is not None:
            run()

    def _hand_over(self, mode: int, sink: MessageSink) -> Callable[[], None] | None:
        """Hand over what is queued by the shortest way, as the bridge of a browser does."""
        if self.takes_calls:
            reader = cast("CallSink", sink)  # only an exclusive reader has calls
            if results := take_results(self._queue, self._prefix):
                self._schedule()  # what is left; first, since the reader may raise
                return reader.on_results(*results)
            if len(self._queue) == 1:
                data = self._queue[0][0]
                if number := result_number(data, self._prefix):
                    self._queue.clear()
                    return reader.on_results(number, data.get("value"))
                if call := parse_call(data):
                    self._queue.clear()
                    return self._hand_over_call(reader, *call)
        messages, events = self._take_queued(mode)
        if events is None and len(messages) == 1 and type(messages[0]) is not Notice:
            return sink.on_message(messages[0])
        return sink.on_batch(messages, events)

    def _hand_over_call(
        self, sink: CallSink, call: str, path: tuple[str, ...], values: tuple[Any, ...]
    ) -> Callable[[], None] | None:
        result = sink.on_call(call, path, values)
        if result is NotImplemented:
            return sink.store_call(call, path, values)
        if result is not None and self.peer is not None:
            MemoryPlainCalls(self, self._prefix).answer(call, result)
        return None

    def _take_queued(self, mode: int) -> Batch:
        taken = list(self._queue)
        self._queue.clear()
        events = [event for _, event in taken]
        for event in events:
            event.endpoint = self
        self._batch += events
        messages = [decode_packed(data) if self.packed else data for data, _ in taken]
        return messages, None if mode == DATA or self.takes_calls else events

    def poll_or_arm(self, mode: int, held: int, sink: MessageSink) -> Batch | None:
        self._started = True
        self._batch = self._batch[-held:] if held else []
        if self._queue:
            return self._take_queued(mode)
        self._mode = mode
        self._sink = sink
        self._schedule()
        return None

    def listen(self, sink: MessageSink) -> None:
        self._started = True
        self._mode = LISTEN
        self._sink = sink
        self._schedule()

    def disarm(self) -> None:
        self._mode = 0
        self._sink = None

    def start(self) -> None:
        self._started = True
        self._schedule()

    def queued(self) -> int:
        return len(self._queue)

    def event(self, native: Any, index: int) -> _MemoryEvent:
        return self._batch[index] if native is None else native

    def sent(self) -> int:
        return self._sent

    def sent_bytes(self) -> int:
        return self._sent_bytes

    def answers(self) -> int | None:
        return self._answers

    def _count_answer(self) -> None:
        """Count a reply port on which an answer was posted."""
        if self._answers is not None:
            self._answers += 1

    def received(self) -> int:
        return self._received

    def pair(self) -> tuple[MemoryEndpoint, MemoryEndpoint]:
        return memory_pair()

    def calls(self, prefix: str) -> MemoryPlainCalls:
        self._prefix = prefix
        return MemoryPlainCalls(self, prefix)

    def close(self) -> None:
        if self.peer is not None:
            self.peer.peer = None
        self.release()

    def detach(self) -> None:
        self.release()

    def release(self) -> None:
        self.peer = None
        self._in_transit.clear()
        self._queue.clear()
        self.disarm()


def encode_packed(message: Any, ports: Mapping[int, Any]) -> tuple[Packet, int]:
    packet = pack(message, ports)
    packet.segments = list(map(bytes, packet.segments))
    packet.buffers = list(map(bytes, packet.buffers))
    if packet.exotic and (problem := scan(packet.segments)):
        raise DataCloneError(problem)
    return packet, sum(map(len, packet.segments + packet.buffers))


def decode_packed(data: Any) -> Any:
    """Return the message that was packed; a notice if it can't be decoded."""
    if type(data) is not Packet:
        return data
    try:
        segments = prepare(data.segments)
    except ValueError as error:
        return unreadable(error)
    factory = ValueFactory(data.side, data.buffers, _unchanged, bytearray)
    return unpack_or_notice(segments, factory, copy_segment)


def _unchanged(value: Any) -> Any:
    return value


def copy_segment(segment: Any, target: memoryview) -> None:
    target[:] = segment
