"""Steps with an effect outside of their own row: recorded under their idempotency key, as a payment would be."""

import os
import time
from typing import Any

import psycopg
import trio

from reactor.handlers import Fail, Outcome, Step, step_kind

KEEP_TRYING_S = 40.0
ONCE = (
    "insert into chaos_effects (key, step_id) values (%s, %s)"
    " on conflict (key) do update set asked = chaos_effects.asked + 1"
)


def record(key: str, step_id: int) -> None:
    """The effect is there, once, however often it is asked for; waits for a server that is away."""
    deadline = time.monotonic() + KEEP_TRYING_S
    while True:
        try:
            with psycopg.connect(os.environ["CHAOS_DSN"], autocommit=True, connect_timeout=5) as outside:
                outside.execute(ONCE, (key, step_id))
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@step_kind("pay", timeout_s=60)
def pay(step: Step) -> Outcome | dict[str, Any]:
    """Blocks for a while in a thread, then has its effect."""
    time.sleep(step.payload["s"])
    record(step.idempotency_key, step.id)
    return Fail("as the payload says", retry=False) if step.payload.get("fail") else {"text": "paid"}


@step_kind("ship", timeout_s=60)
async def ship(step: Step) -> dict[str, Any]:
    """Waits on the event loop, then has its effect."""
    await trio.sleep(step.payload["s"])
    await trio.to_thread.run_sync(record, step.idempotency_key, step.id)
    return {"text": "shipped"}
