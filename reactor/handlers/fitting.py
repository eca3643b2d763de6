"""A payload fits its kind, before anything is done: for whoever gives one, or changes one, by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.errors import PayloadRefused
from reactor.handlers.kinds import check_payload
from reactor.pg import Connection
from reactor.store import kinds


async def fits(conn: Connection, kind: str, payload: Mapping[str, Any], step: int | None = None) -> None:
    """The payload is what the kind takes, as far as its table says; ``step``: its number, for who sent several.

    Raises: PayloadRefused: names the field.
    """
    schema = (await kinds.schemas(conn)).get(kind, {})
    try:
        check_payload(kind, schema, payload)
    except PayloadRefused as error:
        raise PayloadRefused(f"step {step}: {error}" if step else str(error)) from None


async def steps_fit(conn: Connection, steps: Iterable[Any]) -> None:
    """As `fits`, for every step of a proposal; what is no step at all is left to the database to refuse."""
    for place, step in enumerate(steps, 1):
        if isinstance(step, dict) and isinstance(payload := step.get("payload"), dict):
            await fits(conn, str(step.get("kind")), payload, place)
