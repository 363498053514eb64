"""Rows: remote calls, between two Pythons and with the unmodified Comlink."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from pyodide_msgchan import (
    DataCloneError,
    MessageChannel,
    MessagePort,
    PeerClosedError,
    PortStateError,
    RemoteError,
    assign,
    expose,
    new,
    proxy,
    release,
    wrap,
)

from .compare import Raised, attempt, outcome
from .rows import group, scenario
from .scene import KINDS

row = group("calls", "Remote calls")

WIRE = "Comlink 4.4.2, docs and protocol.ts; this package"
PYTHONS = ("same", "cross", "sandbox", "worker", "popup")


class Settings:
    """What a caller may read, and in part write."""

    def __init__(self) -> None:
        self.theme = "light"
        self.volume = 3
        self._secret = "hidden"  # noqa: S105 - nothing but a name that nobody may reach


class Counter:
    """What a caller may make."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def up(self, by: int = 1) -> int:
        """Count."""
        self.value += by
        return self.value


class Service:
    """What other pages offer to the rows."""

    version = "1.0"

    def __init__(self) -> None:
        self.settings = Settings()
        self.cancelled = False
        self.closed = False
        self.items = {"first": 1, "nested": {"second": 2}}

    def add(self, one: Any, two: Any) -> Any:
        """Add."""
        return one + two

    async def later(self, value: Any) -> Any:
        """Give a value in a later turn."""
        await asyncio.sleep(0)
        return value

    def keywords(self, *args: Any, **keywords: Any) -> Any:
        """Give what came."""
        return [list(args), keywords]

    def fail(self, name: str) -> None:
        """Raise an error."""
        kinds: dict[str, Callable[[], Exception]] = {
            "value": lambda: ValueError("words", 42),
            "key": lambda: KeyError("k"),
            "zero": lambda: ZeroDivisionError("by zero"),
            "stop": lambda: StopIteration("over"),
        }
        raise kinds[name]()  # noqa: RSE102 - a function makes it

    def unsendable(self) -> Any:
        """Give what can't be sent."""
        return {"rows": [object()]}

    async def forever(self) -> None:
        """Wait until cancelled, and note that."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def was_cancelled(self) -> bool:
        """Say whether `forever` was."""
        for _ in range(100):
            if self.cancelled:
                return True
            await asyncio.sleep(0)
        return False

    async def each(self, items: list[Any], callback: Any) -> int:
        """Call back with every item, in turn."""
        for item in items:
            await callback(item)
        return len(items)

    async def count(self, to: int) -> AsyncIterator[int]:
        """Give numbers."""
        try:
            for number in range(to):
                yield number
        finally:
            self.closed = True

    async def breaks(self) -> AsyncIterator[int]:
        """Give two numbers, then fail."""
        yield 1
        yield 2
        raise ValueError("broken off")

    async def is_cut(self) -> AsyncIterator[int]:
        """Give two numbers, then end as a cancelled task does."""
        yield 1
        yield 2
        raise asyncio.CancelledError

    def was_closed(self) -> bool:
        """Say whether `count` came to its end."""
        return self.closed

    def counter(self) -> Any:
        """Give a counter by reference."""
        return proxy(Counter(10))

    def size(self, data: bytes) -> int:
        """Give how long it is."""
        return len(data)

    def _private(self) -> str:
        return "not reachable"


@scenario
async def serve(port: MessagePort) -> None:
    """Expose a service on a port until its other end is closed or says that it is done."""
    expose(Service(), port, nested=["settings"], writable=["settings.theme"])


@scenario
async def serve_classes(port: MessagePort) -> None:
    """Expose a class on a port."""
    expose({"Counter": Counter}, port)


async def with_service(scene: Any, kind: str, work: Callable[[Any], Any]) -> Any:
    """Wrap a service in another page, and hand it to the work."""
    near, far = MessageChannel()
    async with near:
        await getattr(scene, kind).run(serve, far, transfer=[far])
        return await work(wrap(near))


for kind in PYTHONS:

    @row(
        f"call-add-{kind}",
        f"A call gives its result ({KINDS[kind].lower()})",
        source=WIRE,
        expected=[3, "ab", [1, 2], 2**60],
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async def work(remote: Any) -> Any:
            calls = [remote.add(1, 2), remote.add("a", "b"), remote.add([1], [2])]
            return [*[await call for call in calls], await remote.add(2**60, 0)]

        return await with_service(scene, kind, work)

    @row(
        f"call-generator-{kind}",
        f"An asynchronous generator is iterated over ({KINDS[kind].lower()})",
        source="this package: credit window over Comlink's wire",
        expected=list(range(100)),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async def work(remote: Any) -> Any:
            return [item async for item in remote.count(100)]

        return await with_service(scene, kind, work)

    @row(
        f"call-cancel-{kind}",
        f"Cancelling a call cancels it over there ({KINDS[kind].lower()})",
        source="this package",
        expected=(TimeoutError, True),
        needs=kind,
    )
    async def _(scene: Any, kind: str = kind) -> Any:
        async def work(remote: Any) -> Any:
            late = await outcome(asyncio.wait_for(remote.forever(), 0.05))
            return late.kind, await remote.was_cancelled()

        return await with_service(scene, kind, work)


def check(
    id: str,  # noqa: A002 - as in rows.py
    title: str,
    *,
    expected: Any,
    source: str = WIRE,
) -> Callable[[Callable[[Any], Any]], None]:
    """Declare a row whose function gets the wrapped service of the same-origin frame."""

    def declare(work: Callable[[Any], Any]) -> None:
        @row(id, title, source=source, expected=expected, needs="same")
        async def _(scene: Any) -> Any:
            return await with_service(scene, "same", work)

    return declare


@check("call-later", "A coroutine over there is awaited", expected="value")
async def _(remote: Any) -> Any:
    return await remote.later("value")


@check("call-read", "A field is read", expected=["light", "1.0"])
async def _(remote: Any) -> Any:
    return [await remote.settings.theme, await remote.version]


@check("call-items", "Items of a dict are reached by name", expected=[1, 2])
async def _(remote: Any) -> Any:
    return [await remote.items.first, await remote.items.nested.second]


@check("call-write", "A field that was declared writable is written", expected="dark")
async def _(remote: Any) -> Any:
    await assign(remote.settings.theme, "dark")
    return await remote.settings.theme


@check("call-write-refused", "… any other is not", expected=(True, 3))
async def _(remote: Any) -> Any:
    got = await outcome(assign(remote.settings.volume, 11))
    return isinstance(got, Raised), await remote.settings.volume


@row("call-new", "A class over there is constructed", source=WIRE, expected=[7, 8], needs="same")
async def _(scene: Any) -> Any:
    near, far = MessageChannel()
    async with near:
        await scene.same.run(serve_classes, far, transfer=[far])
        counter = await new(wrap(near).Counter, 5)
        return [await counter.up(2), await counter.up()]


@check("call-proxy", "A result by reference is called", expected=11)
async def _(remote: Any) -> Any:
    counter = await remote.counter()
    return await counter.up()


@check("call-release", "After release it can't be used", expected=Raised(PortStateError))
async def _(remote: Any) -> Any:
    counter = await remote.counter()
    await release(counter)
    return attempt(counter.up)


@check(
    "call-callback",
    "A function travels as a proxy and is called back",
    expected=(3, [1, "b", None]),
)
async def _(remote: Any) -> Any:
    seen: list[Any] = []
    return await remote.each([1, "b", None], seen.append), seen


@check("call-keywords", "Keyword arguments arrive in a Python", expected=[[1], {"a": 2}])
async def _(remote: Any) -> Any:
    return await remote.keywords(1, a=2)


@check(
    "call-pipelined",
    "1,000 calls at once are answered, each with its own",
    expected=list(range(1000)),
)
async def _(remote: Any) -> Any:
    calls = [remote.add(number, 0) for number in range(1000)]
    return [await call for call in calls]


@check("call-bytes", "A large buffer arrives", expected=10**6)
async def _(remote: Any) -> Any:
    return await remote.size(bytes(10**6))


@check("call-error", "An error keeps its type and args", expected=(ValueError, True, ("words", 42)))
async def _(remote: Any) -> Any:
    try:
        await remote.fail("value")
    except ValueError as error:
        return ValueError, isinstance(error, RemoteError), error.args[:2]


for key, base in {"key": KeyError, "zero": ZeroDivisionError}.items():

    @check(f"call-error-{key}", f"{base.__name__} arrives as one", expected=True)
    async def _(remote: Any, key: str = key, base: type[Exception] = base) -> Any:
        try:
            await remote.fail(key)
        except base as error:
            return isinstance(error, RemoteError)


@check(
    "call-error-stop",
    "StopIteration is no StopIteration here, where it would end a loop",
    expected=(True, False),
)
async def _(remote: Any) -> Any:
    try:
        await remote.fail("stop")
    except Exception as error:
        return isinstance(error, RemoteError), isinstance(error, StopIteration)


@check(
    "call-unsendable", "A result that can't be sent is an error that names its path", expected=True
)
async def _(remote: Any) -> Any:
    try:
        await remote.unsendable()
    except Exception as error:
        return "['rows'][0]" in str(error)


@check(
    "call-argument",
    "An argument that can't be sent is refused here",
    expected=Raised(DataCloneError),
)
async def _(remote: Any) -> Any:
    return attempt(remote.add, {"a": object()}, 1)


@check(
    "call-generator-left", "Leaving the loop closes the generator over there", expected=(2, True)
)
async def _(remote: Any) -> Any:
    async with aclosing(aiter(remote.count(10_000))) as numbers:
        async for item in numbers:
            if item == 2:
                break
    return item, await remote.was_closed()


@check(
    "call-generator-error",
    "An error of a generator comes after its items",
    expected=[1, 2, "broken off"],
)
async def _(remote: Any) -> Any:
    got: list[Any] = []
    try:
        async for item in remote.breaks():
            got.append(item)  # noqa: PERF401 - the error follows them
    except ValueError as error:
        got.append(str(error))
    return got


@check(
    "call-generator-cut",
    "A generator that a CancelledError cuts off never looks like one that has ended",
    expected=[1, 2, "CancelledError"],
)
async def _(remote: Any) -> Any:
    got: list[Any] = []
    try:
        async for item in remote.is_cut():
            got.append(item)  # noqa: PERF401 - the error follows them
    except RemoteError as error:
        got.append(error.name)
    return got


UNREACHABLE = (
    "_private",
    "settings._secret",
    "__class__",
    "__init__",
    "add.__globals__",
    "add.__call__",
    "constructor",
    "__proto__",
    "items.keys",
    "version.upper",
    "nothing",
    "settings.theme.upper",
    "later.__code__",
)

for path in UNREACHABLE:

    @row(
        f"call-refused-{path}",
        f"{path} is not reachable, whoever asks on the wire, and the error names it",
        source="this package: only what is declared",
        expected=("throw", True, True),
    )
    async def _(scene: Any, path: str = path) -> Any:
        one, two = MessageChannel()
        async with one, two:
            expose(Service(), two, nested=["settings"])
            names = path.split(".")
            for kind in ("GET", "APPLY"):
                one.post_message({"id": kind, "type": kind, "path": names, "argumentList": []})
            read, called = [await one.receive() for _ in range(2)]
            told = [path in reply["value"]["value"]["message"] for reply in (read, called)]
            return read["name"], all(told), called["value"]["isError"]


@row(
    "call-ended",
    "When the port is closed over there every call ends",
    source="this package",
    expected=(Raised(PeerClosedError), Raised(PeerClosedError)),
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    expose(Service(), two)
    remote = wrap(one)
    pending = asyncio.ensure_future(outcome(remote.forever()))
    await remote.add(1, 1)
    two.close()
    return await pending, attempt(remote.add, 1, 1)
