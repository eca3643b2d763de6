"""Does it stay fast: with a million finished rows in the table, and while a stranger's old snapshot is held open.

Each round takes both beside a drain of the same number of rows on a fresh database.
"""

import psycopg

from bench.contestants import Ours
from bench.drain import drained, fill, fresh_rate
from bench.stage import Server, Sql, Stage

ROUNDS = 5
FINISHED = 1_000_000
ROWS = 50_000
ROWS_WITH_SNAPSHOT = 100_000


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    finished = stage.amount(FINISHED, 20_000)
    rows, more = stage.amount(ROWS, 3_000), stage.amount(ROWS_WITH_SNAPSHOT, 6_000)
    old_name, held_name = f"{finished:,} finished rows", f"snapshot held over {more:,} rows"
    ours = Ours()
    rates: dict[str, list[float]] = {
        name: [] for name in ("fresh", old_name, f"fresh, {more:,} rows", held_name)
    }
    fresh, full, fresh_more, held = rates.values()
    with (
        stage.server() as server,
        stage.progress("history", 1 + 4 * rounds) as part,
        server.database(ours.install) as old,
        server.sql(old) as sql,
    ):
        part(f"making {finished:,} finished rows")
        make_history(sql, finished)
        for _ in range(rounds):
            part("fresh")
            fresh.append(fresh_rate(server, ours, rows)[0])
            part(old_name)
            fill(sql, ours, rows)
            full.append(drained(server, ours, old, sql, rows)[0])
            part("fresh, twice as many")
            fresh_more.append(fresh_rate(server, ours, more)[0])
            part(held_name)
            held.append(_rate_beside_snapshot(server, ours, more))
    for name, values in rates.items():
        stage.run.add("history", f"rate, {name}", "rows/s", values)
    for name, values, base, beyond in ((old_name, full, fresh, 1.0), (held_name, held, fresh_more, None)):
        kept = [rate / other for rate, other in zip(values, base, strict=True)]
        stage.run.add("history", f"{name}, ÷ fresh", "", kept, bar=0.9, beyond=beyond)


def make_history(sql: Sql, rows: int) -> None:
    """So many steps are finished, each with its event, as if they had been worked off long ago."""
    sql.execute(
        "insert into ops_mission_steps (kind, status, attempt, claimed_by, claim_token, started_at, completed_at, result)"
        " select 'bench_noop', 'succeeded', 1, gen_random_uuid(), gen_random_uuid(), now(), now(), '{}'"
        " from generate_series(1, %s)",
        (rows,),
    )
    sql.execute(
        "insert into ops_agent_events (kind, title, tags, metadata)"
        " select 'step_succeeded', step.kind, array['step', step.kind],"
        " jsonb_build_object('step_id', step.id, 'mission_id', null)"
        " from ops_mission_steps as step"
    )


def _rate_beside_snapshot(server: Server, ours: Ours, rows: int) -> float:
    with server.database(ours.install) as database, server.sql(database) as sql:
        fill(sql, ours, rows)
        with psycopg.connect(server.dsn(database), application_name="stranger") as stranger:
            stranger.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            stranger.execute("select count(*) from ops_mission_steps")
            rate, _ = drained(server, ours, database, sql, rows)
            stranger.rollback()
    return rate
