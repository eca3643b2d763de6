"""A language model's HTTP door that takes a second for each answer: ``python -m bench.slow_model``; prints its port.

With a number as argument it takes so many seconds instead, and marks each request.
"""

import json
import sys
from functools import partial

import trio

from bench.marks import mark

ANSWER_S = 1.0
ANSWER = json.dumps(
    {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": '{"text": "an answer", "points": ["one"]}'}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 8, "output_tokens": 2},
    }
).encode()
HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n".encode()


async def answer(stream: trio.SocketStream, after_s: float, marked: bool) -> None:
    """Read one request after another, answer each after its time, until the caller leaves."""
    heard = b""
    async for part in stream:
        heard += part
        head, separator, body = heard.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            continue
        heard = b""
        if marked:
            mark()
        await trio.sleep(after_s)
        await stream.send_all(HEAD + ANSWER)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def serve(after_s: float, marked: bool) -> None:
    """Serve until killed."""

    async def guarded(stream: trio.SocketStream) -> None:
        try:
            await answer(stream, after_s, marked)
        except trio.BrokenResourceError:
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, guarded, 0, host="127.0.0.1", backlog=4096))
        print(f"ready {listeners[0].socket.getsockname()[1]}", flush=True)


if __name__ == "__main__":
    trio.run(serve, float(sys.argv[1]) if len(sys.argv) > 1 else ANSWER_S, len(sys.argv) > 1)
