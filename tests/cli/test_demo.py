"""The demonstration, in a database of its own and in the one in use."""

import re
import time
from typing import Any

import psycopg

from tests.cli.conftest import Voxyz

Sql = psycopg.Connection[tuple[Any, ...]]
PARTS = ("mission", "conversation", "initiative", "proposal")


def test_in_under_a_minute_everything_happens_in_a_database_of_its_own(anywhere: Voxyz) -> None:
    began = time.monotonic()
    answer = anywhere("demo")
    assert answer.code == 0, answer
    assert time.monotonic() - began < 60
    for word in (*PARTS, "remembers", "→", "pending", "accepted", "rejected", "nothing was sent"):
        assert word in answer.out, word
    assert "all of it happened" in answer.out


def test_every_line_comes_from_a_row_and_it_can_be_shown_twice_here(voxyz: Voxyz, sql: Sql) -> None:
    for _ in range(2):
        answer = voxyz("demo", "--here")
        assert answer.code == 0, answer
        conversation = re.search(r"^conversation (\d+)", answer.out, re.MULTILINE)
        assert conversation is not None
        for (dialogue,) in sql.execute(
            "select dialogue from ops_roundtable_turns where conversation_id = %s", (conversation[1],)
        ):
            assert dialogue[:100] in answer.out
    assert sql.execute(
        "select count(*) from ops_mission_steps where kind = 'webhook' and status = 'succeeded' and not simulated"
    ).fetchone() == (0,)


def test_when_a_part_does_not_happen_it_says_which_and_exits_1(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute("update ops_agents set active = false where id = 'sage'")
    answer = voxyz("demo", "--here")
    assert answer.code == 1
    assert "did not happen: " in answer.out


def test_a_real_key_is_not_used_without_a_yes(anywhere: Voxyz) -> None:
    answer = anywhere("demo", ANTHROPIC_API_KEY="sk-none", VOXYZ_LLM="anthropic")
    assert answer.code == 2, answer
    assert "at most $" in answer.out
    assert "--yes" in answer.err
