"""A frame that is asked often, answers as many as the connection's name says, and closes."""

import asyncio

from pyodide_msgchan import ANY_ORIGIN, accept, expose


async def answer(count):
    """Answer and close in one turn of the loop, once all requests are here."""
    connection = await accept(origin=ANY_ORIGIN, name=str(count))
    asked = await connection.receive()
    events = [await connection.receive_event() for _ in range(asked)]
    for event in events[:count]:
        event.reply(event.data)
    connection.close()


async def stop_calls():
    """Close while calls run, once as many began as the caller says."""
    connection = await accept(origin=ANY_ORIGIN, name="calls")

    async def never():
        await asyncio.Event().wait()

    expose({"never": never, "close": connection.close}, connection)
    await connection.wait_closed()


counts = [int(count) for count in query["counts"].split()]  # noqa: F821
await asyncio.gather(*(answer(count) for count in counts), stop_calls())
