"""A payload fits its kind, before anything is done: for whoever gives one, or changes one, by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.errors import PayloadRefused
from reactor.handlers.kinds import check_payload
from reactor.pg import Connection
from reactor.store import kinds, show


async def fits(conn: Connection, step_id: int, payload: Mapping[str, Any]) -> None:
    """The payload is what the step's kind takes, as far as its table says; who is no step is left to the database.

    Raises: PayloadRefused: names the field.
    """
    step = await show.step(conn, step_id)
    if step is not None:
        await fits_kind(conn, step.kind, payload)


async def fits_kind(conn: Connection, kind: str, payload: Mapping[str, Any]) -> None:
    """As `fits`, for a step that is yet to be."""
    check_payload(kind, (await kinds.schemas(conn)).get(kind, {}), payload)


async def steps_fit(conn: Connection, steps: Iterable[Any]) -> None:
    """As `fits`, for the steps of a proposal in order; what is no step at all is left to the database to refuse."""
    schemas = await kinds.schemas(conn)
    for place, step in enumerate(steps, 1):
        if isinstance(step, Mapping) and isinstance(payload := step.get("payload"), Mapping):
            kind = str(step.get("kind"))
            try:
                check_payload(kind, schemas.get(kind, {}), payload)
            except PayloadRefused as error:
                raise PayloadRefused(f"step {place}: {error}") from None
