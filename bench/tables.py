"""What the shape of the step table costs the database: alternatives beside the table as it is, batch by batch.

Two databases on one server, the second with one thing changed, claim and complete in turn, 300 rows at a time. A figure is
the second's processor time a row over the first's, the median of all pairs: the machine's moods cancel out. Below them the
space that a steady stream of rows leaves behind, with and without our autovacuum settings.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

from bench.stage import Server, Sql, Stage, install_ours
from reactor.engine.connections import PINNED_PLANS
from reactor.store.arrays import bigints, booleans, floats, uuids
from reactor.store.named import statements

ROWS = 30_000
BATCH = 300
WARM_UP = 5  # pairs
STREAM_ROWS = 200_000
STREAM_WITHIN_S = 300.0
AS_IT_IS = "status = 'queued'"

_OFF_QUEUED: LiteralString = """
drop index ops_mission_steps_claim_idx;
drop index ops_mission_steps_due_idx;
drop index ops_mission_steps_held_idx;
alter table ops_mission_steps add claimable boolean not null generated always as (status = 'queued') stored;
create index ops_mission_steps_claim_idx on ops_mission_steps (priority desc, run_at, id) where claimable;
create index ops_mission_steps_due_idx on ops_mission_steps (run_at) where claimable
"""
_HALF_FULL: LiteralString = "alter table ops_mission_steps set (fillfactor = 50)"
_NO_CHECKS: LiteralString = """
do $$
declare
  one record;
begin
  for one in select conname from pg_constraint where conrelid = 'ops_mission_steps'::regclass and contype = 'c' loop
    execute format('alter table ops_mission_steps drop constraint %I', one.conname);
  end loop;
end
$$
"""
_NO_EVENTS_LOOKED_AT: LiteralString = """
drop trigger ops_agent_events_arrived on ops_agent_events;
drop trigger ops_events_to_tell on ops_agent_events
"""
_AS_THE_SERVER_HAS_IT: LiteralString = """
alter table ops_mission_steps
  reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor)
"""
SHAPES: dict[str, tuple[LiteralString, ...]] = {
    "the same": (),
    "pages half full": (_HALF_FULL,),
    "status in no index, pages half full: completions are HOT": (_OFF_QUEUED, _HALF_FULL),
    "no CHECK constraint": (_NO_CHECKS,),
    "events not looked at": (_NO_EVENTS_LOOKED_AT,),
}


def run(stage: Stage) -> None:
    rows = stage.amount(ROWS, 6_000)
    with stage.server() as server, stage.progress("tables", len(SHAPES) + 2) as part:
        for name, changes in SHAPES.items():
            part(name)
            pairs = ratios(
                server, rows, changes, claimable="claimable" if _OFF_QUEUED in changes else AS_IT_IS
            )
            stage.run.add("tables", f"{name}, ÷ as it is", "", pairs, better="less")
        for name, changes in (("ours", ()), ("the server's", (_AS_THE_SERVER_HAS_IT,))):
            part(f"a steady stream, autovacuum: {name}")
            size_mb = stream(server, stage.amount(STREAM_ROWS, 6_000), changes)
            what = f"size after a stream of rows, autovacuum settings: {name}"
            stage.run.add("tables", what, "MB", [size_mb], better="less")


@dataclass
class Worker:
    """One connection that claims and completes, and what that cost its backend."""

    sql: Sql
    claimable: str
    at: str = "-infinity"
    id: int = 0
    cost_us: list[float] = field(default_factory=list)
    worker: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        for name, value in PINNED_PLANS.items():
            self.sql.execute("select set_config(%s, %s, false)", (name, value))
        self.sql.prepare_threshold = 1
        named = statements("steps")
        self._claim = named["claim_from"].replace("step.status = 'queued'", f"step.{self.claimable}")
        self._succeed = named["succeed"]

    def batch(self) -> int:
        """Up to 300 rows are claimed and have succeeded; returns how many."""
        token = uuid4()
        before_us = self._cpu_us()
        rows = self.sql.execute(
            self._claim.encode(),
            {
                "kinds": ["bench_noop"], "agent": None, "worker": self.worker, "token": token, "limit": BATCH,
                "priorities": "{5}", "after_run_at": f"{{{self.at}}}", "after_id": f"{{{self.id}}}",
            },
        ).fetchall()  # fmt: skip
        if not rows:
            return 0
        self.at, self.id = max((str(row[2]), row[0]) for row in rows)
        self.sql.execute(
            self._succeed.encode(),
            {
                "ids": bigints(row[0] for row in rows), "tokens": uuids(token for _ in rows),
                "waited_s": floats(0.001 for _ in rows), "simulated": booleans(False for _ in rows),
                "results": "[" + ",".join("{}" for _ in rows) + "]",
            },
        )  # fmt: skip
        self.cost_us.append((self._cpu_us() - before_us) / len(rows))
        return len(rows)

    def _cpu_us(self) -> float:
        return int(Path(f"/proc/{self.sql.info.backend_pid}/schedstat").read_text().split()[0]) / 1000


def ratios(server: Server, rows: int, changes: tuple[LiteralString, ...], *, claimable: str) -> list[float]:
    """Processor time a row of the changed database over the unchanged one's, pair by pair."""
    with ExitStack() as stack:
        workers = []
        for shape, claims_by in (((), AS_IT_IS), (changes, claimable)):
            database = stack.enter_context(server.database(install_ours))
            sql = stack.enter_context(server.sql(database))
            for statement in shape:
                sql.execute(statement)
            _fill(sql, rows)
            workers.append(Worker(stack.enter_context(server.sql(database)), claims_by))
        ours, other = workers
        turn = 0
        while all(one.batch() for one in (workers if turn % 2 == 0 else workers[::-1])):
            turn += 1
        return [b / a for a, b in list(zip(ours.cost_us, other.cost_us, strict=False))[WARM_UP:]]


def _fill(sql: Sql, rows: int) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind) select 'bench_noop' from generate_series(1, %s)", (rows,)
    )
    sql.execute("vacuum analyze")
    sql.execute("checkpoint")


def stream(server: Server, rows: int, changes: tuple[LiteralString, ...]) -> float:
    """Rows come and are done, 300 at a time, with autovacuum looking every second; returns the table's size in MB."""
    with server.database(install_ours) as database, server.sql(database) as sql:
        sql.execute("alter system set autovacuum_naptime = '1s'")
        sql.execute("select pg_reload_conf()")
        for statement in changes:
            sql.execute(statement)
        with server.sql(database) as working:
            worker = Worker(working, AS_IT_IS)
            until = time.monotonic() + STREAM_WITHIN_S
            for _ in range(rows // BATCH):
                sql.execute(
                    "insert into ops_mission_steps (kind) select 'bench_noop' from generate_series(1, %s)",
                    (BATCH,),
                )
                worker.batch()
                if time.monotonic() > until:
                    break
        [(size,)] = sql.execute("select pg_total_relation_size('ops_mission_steps')").fetchall()
        sql.execute("alter system reset autovacuum_naptime")
        sql.execute("select pg_reload_conf()")
    return float(size) / 1e6
