"""What the bell costs writers: 32 connections insert one row a commit while the reactor is busy and needs no bell.

Busy means that every one of its places is taken by a step that waits, so that it takes nothing from the processor.
"""

from typing import LiteralString

from bench import pgbench
from bench.contestants import Ours
from bench.process import wait_until
from bench.stage import Server, Sql, Stage

ROUNDS = 5
SECONDS = 8
CONNECTIONS = 32
PLACES = 50
INSERT = "insert into ops_mission_steps (kind) values ('noop');\n"

_OFF: LiteralString = "alter table ops_mission_steps disable trigger ops_mission_steps_ring_on_insert"
_NOTHING: LiteralString = """
create function bench_nothing() returns trigger language plpgsql as 'begin return null; end';
create trigger bench_nothing after insert on ops_mission_steps for each statement execute function bench_nothing()
"""
_ALWAYS: LiteralString = """
create trigger bench_always after insert on ops_mission_steps for each statement execute function ops_ring()
"""
NONE, IDLE, BELL, ALWAYS = "no trigger", "a trigger that does nothing", "the doorbell", "always notify"
WAYS: dict[str, tuple[LiteralString, ...]] = {
    NONE: (_OFF,),
    IDLE: (_OFF, _NOTHING),
    BELL: (),
    ALWAYS: (_OFF, _ALWAYS),
}


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    seconds = stage.amount(SECONDS, 2)
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    with stage.server() as server, stage.progress("writers", rounds * len(WAYS)) as part:
        for number in range(rounds):
            # Every other round backwards: what comes later in a round has no advantage.
            for way in list(WAYS)[:: 1 if number % 2 == 0 else -1]:
                part(way)
                rates[way].append(inserts_per_s(server, way, seconds))
    for way, values in rates.items():
        stage.run.add("writers", "rate", "inserts/s", values, who=way)

    def ratios(way: str, base: str) -> list[float]:
        return [rate / other for rate, other in zip(rates[way], rates[base], strict=True)]

    stage.run.add("writers", "÷ no trigger", "", ratios(BELL, NONE), bar=0.85)
    stage.run.add("writers", "÷ a trigger that does nothing", "", ratios(BELL, IDLE), beyond=0.97)
    stage.run.add("writers", "÷ no trigger", "", ratios(IDLE, NONE), who=IDLE)
    stage.run.add("writers", "÷ no trigger", "", ratios(ALWAYS, NONE), who=ALWAYS)


def inserts_per_s(server: Server, way: str, seconds: int) -> float:
    """Inserts a second of 32 connections, a busy reactor beside them."""
    ours = Ours(settings={"OPS_MISSION_CONCURRENCY": str(PLACES)})
    with server.database(ours.install) as database, server.sql(database) as sql:
        for statement in WAYS[way]:
            sql.execute(statement)
        with ours.works(server, database) as running:
            running.await_ready()
            _keep_busy(sql)
            sql.execute("checkpoint")
            rate, _ = pgbench.tps(
                server,
                database,
                INSERT,
                "-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds),
                within_s=seconds + 30,
            )  # fmt: skip
    return rate


def _keep_busy(sql: Sql) -> None:
    """Every place of the reactor is taken, and it has let go of the bell."""
    sql.execute(
        "insert into ops_mission_steps (kind, payload)"
        " select 'noop', '{\"sleep_s\": 250}' from generate_series(1, %s)",
        (PLACES,),
    )

    def busy() -> bool:
        held = sql.execute(
            "select count(*) from ops_mission_steps where status = 'running'"
            " union all select count(*) from pg_locks where locktype = 'advisory' and classid = 1987014777"
            " and objid = 1 and mode = 'ExclusiveLock'"
        ).fetchall()
        return held == [(PLACES,), (0,)]

    wait_until(busy, "the reactor is busy", within_s=20)
