"""Events asked for late: each still fits its message, whatever became of the buffer meanwhile."""

import pytest
from pytest_pyodide import run_in_pyodide


@pytest.mark.parametrize("way", ["receive_event", "events", "on_message"])
@run_in_pyodide
async def test_events_that_are_asked_for_late_fit_their_messages(  # noqa: C901, PLR0915 - one body crosses
    selenium, way
):
    import asyncio
    from time import monotonic

    from js import Event
    from js import MessageChannel as NativeChannel

    from pyodide_msgchan import MessageChannel, MessagePort

    one = two = None

    def post(*numbers):
        for number in numbers:
            theirs = MessagePort(NativeChannel.new().port2)
            one.post_message({"number": number, "port": theirs}, transfer=[theirs])

    async def here(count):
        while two.buffered < count:  # noqa: ASYNC110 - the browser does not tell
            await asyncio.sleep(0)

    async def take(number):
        message = await two.receive()
        message["port"].close()
        assert message["number"] == number

    async def line_up(count):
        """Let tasks wait for what is here already: the first has to yield, the others follow it."""
        start = monotonic()
        while monotonic() - start < 0.02:
            pass
        tasks = [asyncio.create_task(two.receive()) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    async def give_up(tasks):
        assert all(task.cancel() for task in tasks)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * len(tasks)

    async def after_some_were_taken():
        post(*range(4))
        await take(0)
        return [1, 2, 3]

    async def after_several_batches():
        post(*range(600))
        await here(600)
        for number in range(10):
            await take(number)
        return list(range(10, 600))

    async def after_a_cancelled_reservation():
        post(-1, 0, 1, 2)
        await here(4)
        await take(-1)
        await take(0)
        await give_up(await line_up(3))  # the third has asked for more
        return [1, 2]

    async def after_one_that_brought_more():
        post(-1, 0, 1, 2)
        await here(4)
        await take(-1)
        await take(0)
        post(3, 4, 5)
        await here(5)
        await give_up(await line_up(3))
        return [1, 2, 3, 4, 5]

    async def after_one_that_was_taken_in_part():
        post(-1, 0, 1, 2)
        await here(4)
        await take(-1)
        await take(0)
        tasks = await line_up(4)
        post(3, 4, 5)
        for number, task in enumerate(tasks, 1):
            message = await task
            message["port"].close()
            assert message["number"] == number
        return [5]

    async def after_the_unreserved_were_taken():
        post(-1, 0, 1, 2, 3)
        await here(5)
        await take(-1)
        await take(0)
        tasks = await line_up(1)
        await asyncio.sleep(0)  # it is served in the turn after it asked
        for message in two.take_buffered():
            message["port"].close()
        await give_up(tasks)
        post(4)
        return [1, 4]

    async def after_a_message_that_no_one_could_read():
        two.start()
        post(0)
        await here(1)
        two.js.dispatchEvent(Event.new("messageerror"))
        post(1, 2)
        await here(4)
        await take(0)
        return [1, 2]

    async def all_of(count):
        if way == "receive_event":
            return [await two.receive_event() for _ in range(count)]
        if way == "events":
            events = two.events()
            return [await anext(events) for _ in range(count)]
        got, done = [], asyncio.Event()
        two.on_message(lambda event: (got.append(event), len(got) == count and done.set()))
        await done.wait()
        return got

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # of the message that no one could read
    for scenario in (
        after_some_were_taken,
        after_several_batches,
        after_a_cancelled_reservation,
        after_one_that_brought_more,
        after_one_that_was_taken_in_part,
        after_the_unreserved_were_taken,
        after_a_message_that_no_one_could_read,
    ):
        one, two = MessageChannel()
        async with one, two:
            two.start()
            numbers = await scenario()
            name = scenario.__name__
            events = await asyncio.wait_for(all_of(len(numbers)), 5)
            assert [event.data["number"] for event in events] == numbers, name
            for event in events:
                (port,) = event.ports
                assert event.data["port"] is port, name
                assert event.js.data.number == event.data["number"], name
                port.close()
    loop.set_exception_handler(None)
