"""What the guide gives to a read replica: commands that read work there, and change nothing."""

import time

import psycopg
import pytest
import trio

from reactor.pg.migrations import migrate
from tests.cli.conftest import Voxyz
from tests.support.queue_rows import new_mission, new_step, scalar
from tests.support.replica import replicated_pair
from tests.support.server import chosen_binaries

READING = (
    ("events",), ("costs",), ("missions",), ("proposals",), ("show", "mission", "1"), ("show", "step", "1"), ("agents",),
    ("memories", "sage"), ("relationships",), ("policy",), ("status",), ("export", "out"),
)  # fmt: skip


@pytest.mark.chaos
def test_commands_that_read_work_on_a_standby(anywhere: Voxyz) -> None:
    with replicated_pair(chosen_binaries()) as pair:
        trio.run(migrate, pair.primary.dsn)
        with psycopg.connect(pair.primary.dsn, autocommit=True) as sql:
            new_step(sql, mission_id=new_mission(sql, "seen from afar"))
        with psycopg.connect(pair.replica.dsn, autocommit=True) as there:
            deadline = time.monotonic() + 30
            while scalar(there, "select to_regclass('ops_missions')") is None or not scalar(
                there, "select count(*) from ops_missions"
            ):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        for words in READING:
            answer = anywhere(*words, DATABASE_URL=pair.replica.dsn)
            assert answer.code == 0, (words, answer)
        assert "seen from afar" in anywhere("missions", DATABASE_URL=pair.replica.dsn).out
        refused = anywhere("enqueue", "step", "noop", DATABASE_URL=pair.replica.dsn)
        assert "Traceback" not in refused.complained(1)
