"""An answer is not lost to a client that still sends.

A connection closed while its client still writes is reset, and the client may never see why it was refused. So an answer
that comes before the request was read whole is sent at once, but its end waits until the rest has come and been thrown
away; for so long and so many bytes only.
"""

from typing import Final

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 32 * 1024 * 1024
MOST_S: Final = 10.0  # half of what a connection may be idle for


class Lingering:
    """ASGI: whatever answers within, the rest of the body is read first; ``most_bytes`` of it, for ``most_s``."""

    def __init__(self, app: ASGIApp, *, most_bytes: int = MOST_BYTES, most_s: float = MOST_S) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._most_s = most_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        whole = False

        async def noted() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if whole or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            await self._throw_away(noted)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noted, answer)

    async def _throw_away(self, receive: Receive) -> None:
        left = self._most_bytes
        with trio.move_on_after(self._most_s):
            while left >= 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
