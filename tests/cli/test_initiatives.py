"""An initiative, from a plain insert to its mission, on a real reactor."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import COMMAND, Voxyz, environment
from tests.support.memories import always, fill, value

Session = psycopg.Connection[tuple[Any, ...]]
DEADLINE_S = 15.0


@pytest.fixture
def thinking_reactor(here: Path, database: str) -> Iterator[None]:
    """A real reactor with the parts mission and initiative."""
    with subprocess.Popen(
        [*COMMAND, "run", "mission", "initiative"],
        cwd=here,
        env=environment(DATABASE_URL=database, OPS_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready")
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def ended(sql: Session, id: int) -> dict[str, Any]:
    """The row, once it has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        cursor = sql.execute("select * from ops_initiative_queue where id = %s", (id,))
        assert cursor.description is not None
        found = cursor.fetchone()
        assert found is not None
        row = dict(zip([column.name for column in cursor.description], found, strict=True))
        if row["status"] in ("succeeded", "failed", "cancelled"):
            return row
        assert time.monotonic() < deadline, row
        time.sleep(0.02)


def ask(sql: Session, agent: str) -> int:
    id: int = value(sql, "insert into ops_initiative_queue (agent_id) values (%s) returning id", agent)
    return id


def test_an_inserted_initiative_leads_to_a_proposal_and_its_columns_say_so(
    voxyz: Voxyz, sql: Session, thinking_reactor: None
) -> None:
    always(sql)
    fill(sql, "scout", 6)
    row = ended(sql, ask(sql, "scout"))
    assert row["status"] == "succeeded", row
    assert row["simulated"]
    assert row["memory_influenced"]
    assert row["result"]["proposal_id"] == row["proposal_id"]
    assert (
        value(sql, "select source from ops_mission_proposals where id = %s", row["proposal_id"])
        == "initiative"
    )

    bare = ended(sql, ask(sql, "quill"))
    assert bare["status"] == "cancelled"
    assert bare["failure_reason"] == "quill has 0 memories of confidence 0.6 or more, 5 are needed"
    assert (bare["memory_influenced"], bare["proposal_id"]) == (False, None)

    status: dict[str, str | None] = dict(
        sql.execute("select agent_id, not_now_because from v_initiative_status").fetchall()
    )
    assert status["scout"] == "asked not long ago"
    assert status["quill"] == "0 of 5 memories of confidence 0.6 or more"

    sql.execute("""select ops_set_policy('initiative_limits', '{"cooldown_s": 0}')""")
    assert (
        value(sql, "select not_now_because from v_initiative_status where agent_id = 'scout'")
        == "asked 1 times today"
    )
    sql.execute("""select ops_set_policy('initiative_limits', '{"per_agent_day": 2}')""")
    assert value(sql, "select not_now_because from v_initiative_status where agent_id = 'scout'") is None
