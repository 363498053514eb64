"""Requests and calls that are open when the other side closes end without a grace.

The graces are set so long that nothing here ends by them.
"""

import pytest
from pytest_pyodide import run_in_pyodide


@pytest.mark.needs_windows
@pytest.mark.driver_timeout(60)
@pytest.mark.parametrize("count", [0, 3, 1000])
@pytest.mark.parametrize("kind", ["channel", "connection"])
@run_in_pyodide
async def test_what_was_answered_arrives_and_the_rest_ends(selenium, pair, kind, count):
    import asyncio

    import pytest
    from packed_pair import connected

    from pyodide_msgchan import MessageChannel, PeerClosedError
    from pyodide_msgchan._port import requests as requests_module

    near, far = MessageChannel() if kind == "channel" else await connected()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REPLY_GRACE", "ANSWER_GRACE"):
            patch.setattr(requests_module, name, 3600)
        asked = [asyncio.ensure_future(near.request(number)) for number in range(1000)]
        events = [await far.receive_event() for _ in range(1000)]
        for event in events[:count]:
            event.reply(event.data)
        far.close()
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert ends[:count] == list(range(count))
    assert [type(end) for end in ends[count:]] == [PeerClosedError] * (1000 - count)
    for event in events[count:]:
        event.ports[-1].close()
    near.close()


@pytest.mark.needs_windows
@pytest.mark.driver_timeout(120)
def test_the_other_side_is_a_frame_of_another_site(selenium, pages):
    address = pages.url("pages/python.html", other=True, run="answer_some.py", counts="3")
    ask_a_frame(selenium, address, pages.other_origin, [3])


@run_in_pyodide
async def ask_a_frame(selenium, address, origin, counts):
    import asyncio

    import js
    import pytest

    from pyodide_msgchan import PeerClosedError, connect, wrap
    from pyodide_msgchan._port import requests as requests_module

    frame = js.document.createElement("iframe")
    frame.src = address
    js.document.body.append(frame)
    options = {"origin": origin, "timeout": 50}
    *connections, called = await asyncio.gather(
        *(connect(frame, name=str(name), **options) for name in [*counts, "calls"])
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REPLY_GRACE", "ANSWER_GRACE"):
            patch.setattr(requests_module, name, 3600)
        for near, count in zip(connections, counts, strict=True):
            near.post_message(1000)
            asked = [asyncio.ensure_future(near.request(number)) for number in range(1000)]
            ends = await asyncio.gather(*asked, return_exceptions=True)
            assert ends[:count] == list(range(count))
            assert [type(end) for end in ends[count:]] == [PeerClosedError] * (1000 - count)
            near.close()
        remote = wrap(called)
        calls = [asyncio.ensure_future(remote.never()) for _ in range(1000)]
        calls.append(asyncio.ensure_future(remote.close()))
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {PeerClosedError}
        called.close()
    frame.remove()


@run_in_pyodide
async def test_where_javascript_may_answer_the_count_is_not_known(selenium):
    import asyncio
    import gc
    import warnings

    from pyodide_msgchan import MessageChannel

    async def asked(use, expected):
        """Ask twice, answer the second, and use the first one's event."""
        near, far = MessageChannel()
        requests = [asyncio.ensure_future(near.request(number)) for number in range(2)]
        first, second = [await far.receive_event() for _ in range(2)]
        second.reply("answer")
        assert far._core.endpoint.answers() == 1
        use(first, far)
        assert far._core.endpoint.answers() == expected, use
        near.close()
        far.close()
        await asyncio.gather(*requests, return_exceptions=True)

    def transfer(event, far):
        carrier, other = MessageChannel()
        carrier.post_message(None, transfer=[event.ports[-1]])
        carrier.close()
        other.close()

    await asked(lambda event, far: event.js, None)
    await asked(lambda event, far: event.ports[-1].js, None)
    await asked(lambda event, far: far.js, None)
    await asked(transfer, None)
    await asked(lambda event, far: event.ports[-1].close(), 1)
    await asked(lambda event, far: event.ports[-1].post_message("by hand"), 2)

    near, far = MessageChannel()
    request = asyncio.ensure_future(near.request(0))
    event = await far.receive_event()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ = event.ports
        del _, event  # nobody can answer any more
        gc.collect()
    assert far._core.endpoint.answers() == 0
    request.cancel()
    far.close()
    near.close()
