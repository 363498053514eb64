"""A sender that is faster than its reader, in another Python frame or in JavaScript."""

import pytest
from pytest_pyodide import run_in_pyodide

pytestmark = pytest.mark.needs_windows


@pytest.mark.driver_timeout(60)
@pytest.mark.parametrize("kind", ["same-origin", "cross-site"])
def test_a_frame_that_takes_slowly(selenium, pages, kind):
    other = kind == "cross-site"
    address = pages.url("pages/python.html", other=other, run="take_slowly.py")
    drain(selenium, address, pages.other_origin if other else pages.origin)


@run_in_pyodide
async def drain(selenium, address, origin):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import PeerLostError, connect, open_frame, wrap

    async with open_frame(address, origin=origin, name="slow", timeout=50) as slow:
        frame = slow.source
        held, called = await asyncio.gather(
            *(connect(frame, origin=origin, name=name) for name in ("held", "called"))
        )
        assert "credit" in slow.peer.capabilities

        slow.set_high_water(messages=50)
        most = 0
        for i in range(2000):
            await slow.drain()
            slow.post_message(i)
            most = max(most, slow.outstanding.messages)
        report = await slow.request("report")
        assert report["seen"] == 2000
        assert report["longest"] <= most == 50

        slow.set_high_water(bytes=1_000_000, messages=10_000)
        most = 0
        for size in [100_000, 300_000, 1_000] * 30:
            await slow.drain()
            slow.post_message({"data": bytes(size), "text": "x" * 1000})
            most = max(most, slow.outstanding.bytes)
        assert 1_000_000 <= most < 1_310_000
        assert (await slow.request("report"))["seen"] == 90
        array = js.Uint8Array.new(500_000)
        slow.post_message(array, transfer=[array])
        for message in (js.ArrayBuffer.new(500_000), "x" * 500_000):
            slow.post_message(message)
        assert slow.outstanding.bytes > 1_500_000
        await slow.drain()
        assert (await slow.request("report"))["seen"] == 3

        called.set_high_water(messages=1)
        remote = wrap(called)
        for i in range(40):
            remote.note(i if i % 2 else [i])  # the short way, and the general one
            await called.drain()
            assert called.outstanding == (0, 0)
        assert await remote.taken() == 40

        held.set_high_water(messages=3)
        for i in range(3):
            await held.drain()
            held.post_message(i)
        waiting = [asyncio.create_task(held.drain()) for _ in range(2)]
        waiting[0].cancel()
        await asyncio.wait(waiting, timeout=0.05)
        assert waiting[0].cancelled()
        assert not waiting[1].done()
        frame.remove()
        with pytest.raises(PeerLostError):
            await waiting[1]
        with pytest.raises(PeerLostError):
            await held.drain()
        for connection in (held, called):
            connection.close()


@run_in_pyodide
async def test_javascript_does_not_tell(selenium, peers):
    import pytest
    from peers import open_peer

    from pyodide_msgchan import PortStateError, connect

    peer = await open_peer("same-origin", peers["same-origin"])
    await peer.take()
    async with connect(peer.target, **peer.options) as connection:
        with pytest.raises(PortStateError, match=r"\(javascript\) does not acknowledge messages"):
            await connection.drain()
        connection.post_message({"echo": 1})
        assert await connection.receive() == {"echo": 1}
    peer.close()
