"""A language model's HTTP door that takes a second for each answer: ``python -m bench.slow_model``; prints its port."""

import json
from functools import partial

import trio

ANSWER_S = 1.0
ANSWER = json.dumps(
    {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": "an answer"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 8, "output_tokens": 2},
    }
).encode()
HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n".encode()


async def answer(stream: trio.SocketStream) -> None:
    """Read one request after another, answer each after a second, until the caller leaves."""
    heard = b""
    async for part in stream:
        heard += part
        head, separator, body = heard.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            continue
        heard = b""
        await trio.sleep(ANSWER_S)
        await stream.send_all(HEAD + ANSWER)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def serve() -> None:
    """Serve until killed."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, _guarded, 0, host="127.0.0.1", backlog=4096))
        print(f"ready {listeners[0].socket.getsockname()[1]}", flush=True)


async def _guarded(stream: trio.SocketStream) -> None:
    try:
        await answer(stream)
    except trio.BrokenResourceError:
        await stream.aclose()


if __name__ == "__main__":
    trio.run(serve)
