"""The store of proposals against the real functions."""

import pytest

from reactor.errors import OpsError
from reactor.pg import connect
from reactor.store import proposals as store
from tests.support.sessions import Session

STEPS = '[{"kind": "research", "payload": {"topic": "tea"}}]'


async def test_a_proposal_is_made_decided_and_listed(database: str) -> None:
    conn = await connect(database, name="test")
    try:
        told = await store.propose(conn, "sage", "Tea", STEPS, source="agent", description="because")
        assert (told.status, told.reason) == ("accepted", None)
        idle = await store.propose(conn, "sage", "Idle", '[{"kind": "noop"}]', source="human")
        assert idle.status == "pending"
        assert [one.id for one in await store.proposals(conn, "pending", 10)] == [idle.proposal_id]
        mission = await store.approve(conn, idle.proposal_id, "ann")
        with pytest.raises(OpsError) as refusal:
            await store.reject(conn, idle.proposal_id, "bob", "no")
        assert refusal.value.sqlstate == "OP009"
        assert {one.id for one in await store.missions(conn, 10)} == {told.mission_id, mission}
        found = await store.proposal(conn, idle.proposal_id)
        assert found is not None
        assert (found.decided_by, found.mission_id) == ("ann", mission)
        assert await store.expire(conn) == 0
    finally:
        await conn.aclose()


async def test_cause_and_mock_are_of_one_proposal_only(database: str, sql: Session) -> None:
    sql.execute("insert into ops_agent_events (kind) values ('x')")
    conn = await connect(database, name="test")
    try:
        first = await store.propose(conn, "sage", "A", STEPS, source="trigger", cause=1, simulated=True)
        second = await store.propose(conn, "sage", "B", STEPS, source="trigger")
    finally:
        await conn.aclose()
    rows = sql.execute(
        "select id, root_id = 1, depth, simulated from ops_mission_proposals order by id"
    ).fetchall()
    assert rows == [(first.proposal_id, True, 1, True), (second.proposal_id, False, 0, False)]


async def test_a_held_step_is_listed_and_decided(database: str, sql: Session) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, payload) values ('webhook', '{\"a\": 1}'), ('webhook', '{}')"
    )
    conn = await connect(database, name="test")
    try:
        held = await store.held_steps(conn, 10)
        assert [(one.kind, one.payload) for one in held] == [("webhook", {"a": 1}), ("webhook", {})]
        await store.release(conn, held[0].id, "ann", '{"a": 2}')
        await store.reject_step(conn, held[1].id, "ann", "no")
        assert await store.held_steps(conn, 10) == []
        assert await store.missions(conn, 10, ended=True) == []
    finally:
        await conn.aclose()
    states = sql.execute("select status, payload from ops_mission_steps order by id").fetchall()
    assert states == [("queued", {"a": 2}), ("cancelled", {})]
