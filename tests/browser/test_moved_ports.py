"""Ports that are transferred with a message under way: it arrives there, or is reported here."""

import pytest
from pytest_pyodide import run_in_pyodide


@run_in_pyodide
async def test_message_of_the_same_task_is_received_or_reported(selenium):
    from pyodide_msgchan import MessageChannel

    carrier, far = MessageChannel()
    seen = []
    async with carrier, far:
        for number in range(20):
            one, two = MessageChannel()
            extra, kept = MessageChannel()
            two.start()
            two.on_message_error(lambda error: seen.append((error.data, error.ports)))
            one.post_message({"number": number, "extra": extra}, transfer=[extra])
            carrier.post_message(None, transfer=[two])
            [moved] = (await far.receive_event()).ports
            moved.on_message(lambda event: seen.append((event.data, event.ports)))
            one.post_message("last")
            while len(seen) < 2:  # the report of the first may come after the second
                carrier.post_message("a turn")
                await far.receive()
            (data, ports), (last, _) = sorted(seen, key=lambda message: message[0] == "last")
            assert data == {"number": number, "extra": ports[0]}
            assert last == "last"
            ports[0].post_message("works")
            assert await kept.receive() == "works"
            seen.clear()
            for port in (one, moved, ports[0], kept):
                port.close()


@run_in_pyodide
async def test_what_comes_to_a_forgotten_wrapper_goes_to_the_loop(selenium):
    import asyncio
    import gc
    import weakref

    from pyodide_msgchan import MessageChannel, MessageError

    loop, reports = asyncio.get_event_loop(), []
    loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
    carrier, far = MessageChannel()
    try:
        async with carrier, far:
            one, two = MessageChannel()
            two.start()
            one.post_message("under way")
            carrier.post_message(None, transfer=[two])
            forgotten = weakref.ref(two)
            del two
            gc.collect()
            assert forgotten() is None
            [moved] = (await far.receive_event()).ports
            got = []
            moved.on_message(lambda event: got.append(event.data))
            one.post_message("last")
            while len(reports) + len(got) < 2:
                carrier.post_message("a turn")
                await far.receive()
            assert all(isinstance(error, MessageError) for error in reports)
            assert [*(error.data for error in reports), *got] == ["under way", "last"]
            one.close()
            moved.close()
    finally:
        loop.set_exception_handler(None)


@pytest.mark.needs_windows
@run_in_pyodide
async def test_echo_from_another_site_is_received_or_reported(selenium, peers):
    import asyncio

    from peers import open_peer

    from pyodide_msgchan import MessageChannel, connect

    echo = """
        connection.port.onmessage = ({ ports: [port] }) => {
            port.onmessage = ({ data }) => port.postMessage(data);
        };
        return 1;
    """
    peer = await open_peer("cross-site", peers["cross-site"])
    await peer.take()
    carrier, far = MessageChannel()
    received, reported, arrived = [], [], asyncio.Event()

    def note(numbers, number):
        numbers.append(number)
        arrived.set()

    async with connect(peer.target, **peer.options) as connection, carrier, far:
        await peer.run(echo)
        for number in range(200):
            ours, theirs = MessageChannel()
            connection.post_message(None, transfer=[theirs])
            ours.on_message_error(lambda error: note(reported, error.data))
            ours.on_message(lambda event: note(received, event.data))
            ours.post_message("ready")  # from now on answers come soon
            await arrived.wait()
            arrived.clear()
            ours.post_message(number)
            for _ in range(number % 10):
                carrier.post_message("a turn")
                await far.receive()
            if received[-1] == number:  # it was fast
                arrived.clear()
                ours.close()
                continue
            carrier.post_message(None, transfer=[ours])
            [moved] = (await far.receive_event()).ports
            moved.on_message(lambda event: note(received, event.data))
            async with asyncio.timeout(10):
                await arrived.wait()
            arrived.clear()
            moved.close()
    peer.close()
    received = [number for number in received if number != "ready"]
    assert sorted(received + reported) == list(range(200))
