"""What a row costs the server, for the arithmetic of docs/scaling.md: log, disk, connections, and what waiting costs.

Write-ahead log is counted from position to position, with full page images of one checkpoint in it, as in ordinary running.
"""

import time

from bench.contestants import Ours
from bench.drain import drained, fill
from bench.history import make_history
from bench.process import wait_until
from bench.stage import Server, Sql, Stage

ROUNDS = 1  # bytes do not vary as times do
ROWS = 50_000
INSERTS = 5_000
FINISHED = 200_000
IDLE_S = 30.0
PAYLOAD = 300  # bytes, of a step with something in it


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    rows, inserts = stage.amount(ROWS, 3_000), stage.amount(INSERTS, 500)
    figures: dict[str, list[float]] = {}
    with stage.server() as server, stage.progress("growth", 3 * rounds) as part:
        for _ in range(rounds):
            part("log of inserts and of a drain")
            figures.setdefault("log a row, single insert", []).append(_log_of_inserts(server, inserts))
            figures.setdefault("log a row, claimed and completed", []).append(_log_of_drain(server, rows))
            figures.setdefault(f"log a row, claimed and completed, {PAYLOAD} bytes of payload", []).append(
                _log_of_drain(server, rows, PAYLOAD)
            )
            part("disk of finished rows")
            for name, size in _disk(server, stage.amount(FINISHED, 5_000)).items():
                figures.setdefault(name, []).append(size)
            part("an idle reactor")
            for name, count in _idle(server, stage.amount(int(IDLE_S), 6)).items():
                figures.setdefault(name, []).append(count)
    for name, values in figures.items():
        stage.run.add("growth", name, _unit(name), values, better="less")


def _unit(name: str) -> str:
    if name.startswith("connections"):
        return ""
    return "bytes/s" if name.startswith("log of an idle") else "bytes"


def _log_of_inserts(server: Server, rows: int) -> float:
    with server.database(Ours().install) as database, server.sql(database) as sql:
        sql.execute("checkpoint")
        before = _position(sql)
        for number in range(rows):
            sql.execute(
                "insert into ops_mission_steps (kind, payload) values ('bench_noop', jsonb_build_object('text', %s::text))",
                (f"{number:0{PAYLOAD}d}",),
            )
        return _since(sql, before) / rows


def _log_of_drain(server: Server, rows: int, payload: int | None = None) -> float:
    ours = Ours()
    with server.database(ours.install) as database, server.sql(database) as sql:
        fill(sql, ours, rows)
        if payload is not None:
            sql.execute(
                "update ops_mission_steps set payload = jsonb_build_object('text', lpad(id::text, %s, '0'))",
                (payload,),
            )
            sql.execute("vacuum analyze")
            sql.execute("checkpoint")
        before = _position(sql)
        drained(server, ours, database, sql, rows)
        return _since(sql, before) / rows


def _disk(server: Server, rows: int) -> dict[str, float]:
    with server.database(Ours().install) as database, server.sql(database) as sql:
        make_history(sql, rows)
        sql.execute("vacuum analyze")
        found = {}
        for table, name in (("ops_mission_steps", "step"), ("ops_agent_events", "event")):
            [(heap, indexes)] = sql.execute(
                "select pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)", (table, table)
            ).fetchall()
            found[f"disk a finished {name}, without payload and result"] = heap / rows
            found[f"indexes a finished {name}"] = indexes / rows
        return found


def _idle(server: Server, seconds: int) -> dict[str, float]:
    ours = Ours()
    with (
        server.database(ours.install) as database,
        server.sql(database) as sql,
        ours.works(server, database) as running,
    ):
        running.await_ready()
        wait_until(lambda: _connections(sql) > 1, "its connections", within_s=30)
        time.sleep(seconds * 2)  # a database just made is looked over by autovacuum first
        before = _position(sql)
        time.sleep(seconds)
        return {
            "log of an idle reactor": _since(sql, before) / seconds,
            "connections of an idle reactor, mission alone": _connections(sql),
        }


def _connections(sql: Sql) -> int:
    [(count,)] = sql.execute(
        "select count(*) from pg_stat_activity where application_name like 'voxyz-reactor%'"
        " and datname = current_database()"
    ).fetchall()
    return int(count)


def _position(sql: Sql) -> str:
    [(position,)] = sql.execute("select pg_current_wal_insert_lsn()::text").fetchall()
    return str(position)


def _since(sql: Sql, position: str) -> float:
    [(written,)] = sql.execute(
        "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", (position,)
    ).fetchall()
    return float(written)
