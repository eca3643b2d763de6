"""A man in the middle between a reactor and its database: a TCP address that may cut the line at a chosen moment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

Verdict = Callable[[bytes], str | None]


@dataclass
class Proxy:
    """``judge`` sees what a client sends: ``before`` cuts the line instead, ``after`` once the server has answered,
    ``swallow`` forgets this and all that follows on the line.
    """

    port: int
    judge: Verdict = field(default=lambda data: None)
    cuts: int = 0
    refusing: bool = False
    _lines: list["Line"] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """How many lines stand now."""
        return len(self._lines)

    def swallow(self) -> None:
        """What is said on the lines that stand now is taken and forgotten, both ways; neither end is told."""
        for line in self._lines:
            line.swallowing = True

    async def cut(self) -> None:
        """The lines that stand now are ended, at both ends."""
        for line in list(self._lines):
            line.swallowing = False
            await line.client.aclose()
            await line.server.aclose()

    async def give_up(self) -> None:
        """The server's end of the lines that stand now is closed, as its own timeouts would: the client is not told."""
        for line in list(self._lines):
            line.swallowing = True
            await line.server.aclose()


@dataclass(eq=False)
class Line:
    """One client with its server; ``swallowing``: nothing comes through."""

    client: trio.SocketStream
    server: trio.SocketStream
    swallowing: bool = False


@asynccontextmanager
async def proxy_to(unix_socket: Path) -> AsyncIterator[Proxy]:
    """A proxy on a free port of 127.0.0.1, gone with every line through it at the end."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(listeners[0].socket.getsockname()[1])

    async def serve(client: trio.SocketStream) -> None:
        if proxy.refusing:
            await client.aclose()
            return
        try:
            behind = await trio.open_unix_socket(unix_socket)
        except OSError:  # the server is away
            await client.aclose()
            return
        async with client, behind as server:
            line = Line(client, server)
            proxy._lines.append(line)
            try:
                await _relay(proxy, line)
            finally:
                proxy._lines.remove(line)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()


async def _relay(proxy: Proxy, line: Line) -> None:
    cut_after_answer = False

    async with trio.open_nursery() as nursery:

        async def answers() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async for data in line.server:
                    if cut_after_answer:
                        break
                    if not line.swallowing:
                        await line.client.send_all(data)
            if not line.swallowing:
                nursery.cancel_scope.cancel()

        async def questions() -> None:
            nonlocal cut_after_answer
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async for data in line.client:
                    if line.swallowing:
                        continue
                    verdict = proxy.judge(bytes(data))
                    if verdict is not None:
                        proxy.cuts += 1
                    if verdict == "before":
                        break
                    if verdict == "swallow":
                        line.swallowing = True
                        continue
                    cut_after_answer = verdict == "after"
                    await line.server.send_all(data)
            if line.swallowing:
                await trio.sleep_forever()  # the server does not hear of it either
            if not cut_after_answer:
                nursery.cancel_scope.cancel()

        nursery.start_soon(answers)
        nursery.start_soon(questions)
