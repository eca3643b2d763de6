"""What a step may know of its mission. Twin of ``queries/steps_read.sql``."""

from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("steps_read")


class EarlierResult(NamedTuple):
    """A step of the same mission that succeeded before this one."""

    seq: int
    id: int
    kind: str
    agent_id: str | None
    simulated: bool
    result: Any


class MissionBrief(NamedTuple):
    """What a mission is about."""

    id: int
    title: str
    description: str | None


async def mission_brief(conn: Connection, mission_id: int) -> MissionBrief | None:
    """Title and description of the mission, None when it is gone."""
    row = await conn.fetch_row(_SQL["mission_brief"], {"mission_id": mission_id})
    return MissionBrief(*row) if row else None


async def earlier_results(conn: Connection, mission_id: int, seq: int, step_id: int) -> list[EarlierResult]:
    """The mission's succeeded steps before step ``step_id``, first to last; of the results the latest 16 MiB."""
    rows = await conn.fetch_all(
        _SQL["earlier_results"], {"mission_id": mission_id, "seq": seq, "step_id": step_id}
    )
    return [EarlierResult(*row) for row in rows]
