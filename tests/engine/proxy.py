"""A man in the middle between a reactor and its database: a TCP address that may cut the line at a chosen moment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

Verdict = Callable[[bytes], str | None]


@dataclass
class Proxy:
    """``judge`` sees what a client sends: ``before`` cuts the line instead, ``after`` once the server has answered."""

    port: int
    judge: Verdict = field(default=lambda data: None)
    cuts: int = 0


@asynccontextmanager
async def proxy_to(unix_socket: Path) -> AsyncIterator[Proxy]:
    """A proxy on a free port of 127.0.0.1, gone with every line through it at the end."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(listeners[0].socket.getsockname()[1])

    async def serve(client: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with client, await trio.open_unix_socket(unix_socket) as server:
                await _relay(proxy, client, server)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()


async def _relay(proxy: Proxy, client: trio.SocketStream, server: trio.SocketStream) -> None:
    cut_after_answer = False

    async with trio.open_nursery() as nursery:

        async def answers() -> None:
            async for data in server:
                if cut_after_answer:
                    break
                await client.send_all(data)
            nursery.cancel_scope.cancel()

        async def questions() -> None:
            nonlocal cut_after_answer
            async for data in client:
                verdict = proxy.judge(bytes(data))
                if verdict is not None:
                    proxy.cuts += 1
                if verdict == "before":
                    break
                cut_after_answer = verdict == "after"
                await server.send_all(data)
            if not cut_after_answer:
                nursery.cancel_scope.cancel()

        nursery.start_soon(answers)
        nursery.start_soon(questions)
