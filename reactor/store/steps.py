"""What only steps have: missions to lock, roll up and begin, and kinds nobody knows. Twin of ``queries/steps.sql``."""

from collections.abc import Iterable, Sequence

from reactor.pg import Connection
from reactor.store.arrays import bigints
from reactor.store.claimed import ClaimedStep
from reactor.store.named import statements

__all__ = ["ClaimedStep", "begin_missions", "fail_orphaned_kinds", "lock_missions", "roll_up"]

_SQL = statements("steps")


async def lock_missions(conn: Connection, missions: Iterable[int]) -> None:
    """The missions are locked until the transaction ends, in the order of their ids."""
    await conn.run(_SQL["lock_missions"], {"missions": bigints(missions)})


async def roll_up(conn: Connection, missions: Iterable[int]) -> None:
    """The missions, locked in an earlier statement of this transaction, are where their steps say."""
    await conn.run(_SQL["roll_up"], {"missions": bigints(missions)})


async def begin_missions(conn: Connection, missions: Iterable[int]) -> None:
    """Those of the missions that were approved are running."""
    await conn.run(_SQL["begin_missions"], {"missions": bigints(missions)})


async def fail_orphaned_kinds(conn: Connection, kinds: Sequence[str]) -> list[tuple[int, str, int | None]]:
    """Due steps of kinds that no live reactor offers have failed, for good; returns (id, kind, mission_id) of each.

    The caller locks the missions and rolls them up in a later transaction: here they were not locked before.
    """
    return await conn.fetch_all(_SQL["orphaned_kinds"], {"kinds": list(kinds)})
