"""What a bench asks of whoever takes part, and how we take part ourselves."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import LiteralString, Protocol

from bench.figures import OURS
from bench.process import Contender, contender
from bench.stage import Server, Stage, install_ours


@dataclass(frozen=True)
class Statements:
    """The contestant's own SQL.

    ``insert``: one job that marks its entry; takes the moment, in nanoseconds. ``fill``: takes a number, that many jobs
    that do nothing. ``last``: the id of the newest job. ``ended``: takes an id, true when that job is done.
    ``unfinished``: takes an id, how many
    jobs after it are not done.
    """

    insert: LiteralString
    fill: LiteralString
    last: LiteralString
    ended: LiteralString
    unfinished: LiteralString


class Contestant(Protocol):
    """Somebody who works a queue off: a way of running one, with a name."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def sql(self) -> Statements:
        """What it is asked."""

    @property
    def rows_s(self) -> float:
        """About how many rows a second it does: decides how many it is given."""

    def missing(self, stage: Stage) -> str | None:
        """Why it cannot take part here, None when it can. May install what it needs into the stage's folder."""

    def version(self) -> str:
        """Which release takes part."""

    def install(self, dsn: str) -> None:
        """Its schema is in the empty database."""

    def works(self, server: Server, database: str) -> AbstractContextManager[Contender]:
        """One process at work on the database, not necessarily ready yet; ended afterwards."""


_SQL = Statements(
    insert="insert into ops_mission_steps (kind, payload)"
    " values ('bench_mark', jsonb_build_object('at', %s::bigint))",
    fill="insert into ops_mission_steps (kind) select 'bench_noop' from generate_series(1, %s)",
    last="select max(step.id) from ops_mission_steps as step",
    ended="select step.status = 'succeeded' from ops_mission_steps as step where step.id = %s",
    unfinished="select count(*) from ops_mission_steps as step where step.id > %s and step.status <> 'succeeded'",
)


@dataclass(frozen=True)
class Ours:
    """The reactor, started as a user starts it."""

    name: str = OURS
    rows_s: float = 20_000
    settings: Mapping[str, str] = field(default_factory=dict)
    sql: Statements = _SQL

    def missing(self, stage: Stage) -> str | None:
        return None

    def version(self) -> str:
        from reactor import __version__

        return __version__

    def install(self, dsn: str) -> None:
        install_ours(dsn)

    @contextmanager
    def works(self, server: Server, database: str) -> Iterator[Contender]:
        environment = {
            "DATABASE_URL": server.dsn(database),
            "VOXYZ_KINDS": "bench.kinds",
            "VOXYZ_LLM": "mock",
            "VOXYZ_LOG_LEVEL": "warning",  # as quiet as the peers
            "OPS_PORT": "0",
            "OPS_GRACE_S": "0",
            **self.settings,
        }
        command = [sys.executable, "-m", "reactor.cli", "run", "mission"]
        with contender(self.name, command, environment) as running:
            yield running
