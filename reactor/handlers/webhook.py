"""The step that tells another program something: a signed POST, with the same Idempotency-Key in every attempt.

It is external: policy holds it until a person has seen the exact request and let it go; see `reactor.handlers.leaving`.
"""

import time
from typing import Any, Final

from reactor.errors import NotNow, RequestFailed
from reactor.handlers.context import Context
from reactor.handlers.door import Door, compact_json
from reactor.handlers.kinds import StepKind
from reactor.handlers.step import Step
from reactor.llm.fences import clean
from reactor.model.addresses import Target, target_of
from reactor.model.outcomes import Done, Fail, Outcome, Snooze
from reactor.model.signing import signed_headers
from reactor.pg import Connection
from reactor.store import breakers, outside

TIMEOUT_S: Final = 30.0
SEND_WITHIN_S: Final = 20.0
KEPT_BYTES: Final = 4000  # of the answer
LONGEST_BODY: Final = 256 * 1024  # bytes
CLOSED_FOR_S: Final = 60.0  # a host whose breaker is open is asked for again after this
_LONGEST_WAIT_S: Final = 3600.0

INPUT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {"type": "string", "minLength": 8, "maxLength": 2000, "description": "where it goes"},
        "body": {"description": "what is sent, as JSON"},
    },
}


def webhook_kind(door: Door | None = None) -> StepKind:
    """The kind ``webhook``; without ``door`` one that knows the places of policy private_hosts."""

    async def webhook(step: Step) -> Outcome:
        return await _webhook(step, door)

    return StepKind(
        "webhook",
        webhook,
        "Post JSON to a URL, signed, with an Idempotency-Key.",
        external=True,
        timeout_s=TIMEOUT_S,
        input_schema=INPUT_SCHEMA,
        would_send=_would_send,
    )


async def _webhook(step: Step, door: Door | None) -> Outcome:
    target = target_of(step.payload["url"])
    body = compact_json(step.payload.get("body", {}))
    if len(body) > LONGEST_BODY:
        return Fail(f"webhook: the body has {len(body)} bytes; at most {LONGEST_BODY} are sent", retry=False)
    return await send(step.context, target, body, step.idempotency_key, door)


def _would_send(step: Step) -> dict[str, Any]:
    return {
        "method": "POST",
        "url": target_of(step.payload["url"]).url,
        "headers": {"content-type": "application/json", "idempotency-key": step.idempotency_key},
        "body": step.payload.get("body", {}),
    }


async def send(context: Context, target: Target, body: bytes, id: str, door: Door | None) -> Outcome:
    """``body`` was posted once, signed under ``id``, and the host's breaker told; the result is what the receiver said.

    Raises: NotNow: the host's breaker is open. AddressRefused: it never will. RequestFailed: it may arrive another time.
    """
    async with context.pool.connection() as conn:
        secret = await outside.signing_key(conn)
        door = door or Door(await outside.private_hosts(conn))
        service = await _allowed(conn, target)
    headers = signed_headers(secret, id, int(time.time()), body)
    arrived = False
    try:
        reply = await door.post(target.url, body, headers, timeout_s=SEND_WITHIN_S, keep=KEPT_BYTES)
        arrived = reply.status < 500
    except RequestFailed:
        await _report(context, service, success=False)
        raise
    await _report(context, service, success=arrived)
    if reply.status == 429:
        return Snooze(
            _wait_s(reply.headers.get("retry-after", "")), f"{target.place} asks for fewer requests"
        )
    if reply.status in (408, 425) or reply.status >= 500:
        raise RequestFailed(f"{target.place} answered {reply.status}")
    if not 200 <= reply.status < 300:
        return Fail(f"{target.place} answered {reply.status}: it does not take this", retry=False)
    said = clean(reply.body.decode("utf-8", "replace"))
    return Done(
        {"url": target.url, "status": reply.status, "answer": said, "cut": reply.cut, "untrusted": True}
    )


async def _allowed(conn: Connection, target: Target) -> str:
    service = target.place.replace("[", "").replace("]", "")
    await outside.breaker_for(conn, service)
    if not await breakers.allow(conn, service):
        raise NotNow(f"the breaker of {service} is open", delay_s=CLOSED_FOR_S)
    return service


async def _report(context: Context, service: str, *, success: bool) -> None:
    async with context.pool.connection() as conn:
        await breakers.record(conn, service, success)


def _wait_s(said: str) -> float:
    return min(max(float(said), 1.0), _LONGEST_WAIT_S) if said.isascii() and said.isdigit() else CLOSED_FOR_S
