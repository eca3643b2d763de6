"""``run``: the reactor itself. The composition root: here every part meets every other, and nowhere else."""

import gc
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import click
import structlog
import trio

from reactor.cli import logs
from reactor.cli.asking import Asking, asking
from reactor.cli.runtime import Database, database, run
from reactor.cli.signals import StopSignals
from reactor.cli.terminal import LogWatcher, TerminalWatcher
from reactor.engine.connections import Sessions, work_pool
from reactor.engine.digest import Digest
from reactor.engine.metrics import CountedMeter, Metrics
from reactor.engine.plan import Plan, QueuePlan, new_liveness_key
from reactor.engine.service_manager import ServiceManager
from reactor.engine.supervisor import Reactor, Stopped
from reactor.engine.timekeepers import keepers
from reactor.engine.work import Watcher, Work
from reactor.errors import ConfigurationError, SchemaError, UnknownAgent, UsageError
from reactor.handlers.context import Context, Roster
from reactor.handlers.initiative import InitiativeWork
from reactor.handlers.kinds import KindRegistry, load_modules
from reactor.handlers.mission import MissionWork
from reactor.handlers.noop import NOOP
from reactor.handlers.roundtable import RoundtableWork
from reactor.handlers.runner import StepRunner
from reactor.handlers.thinking import house_kinds
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.pg.dsn import redact
from reactor.pg.migrations import check, migrate
from reactor.settings import Settings, described
from reactor.store import fleet, llm_ledger
from reactor.store import kinds as kinds_store
from reactor.store.kinds import KindRow
from reactor.web import Health, run_web
from reactor.web.api import api_routes
from reactor.web.desk import Desk
from reactor.web.login import login_routes
from reactor.web.page import page_routes

log = structlog.get_logger()

GIVE_WORK = """  give it work from another terminal:
    voxyz-reactor enqueue step analyze '{"topic": "weekend engagement"}' --wait
    voxyz-reactor psql -c "insert into ops_mission_steps (kind, payload) values ('noop', '{}')"
  and look with voxyz-reactor status; Ctrl-C ends it."""
LEAVE_WITHIN_S = 25.0  # after the grace period: for what must be cancelled, written, and said
PARTS = ("mission", "roundtable", "initiative", "schedule", "heartbeat", "web")


class RunCommand(click.Command):
    """Shows every setting below its options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of settings: name, unit, default, meaning."""
        with formatter.section("Settings (environment, .env.local, .env)"):
            formatter.write_dl(
                [
                    (
                        line.name,
                        f"{line.description} [{line.unit + ', ' if line.unit else ''}default {line.default}]",
                    )
                    for line in described()
                ]
            )


@click.command(cls=RunCommand)
@click.argument("parts", nargs=-1, metavar="[PART]...")
def run_command(parts: tuple[str, ...]) -> int:
    """Run the reactor, or some PARTs of it: mission, roundtable, initiative, schedule, heartbeat, web.

    Without a DATABASE_URL it starts its own PostgreSQL. Ctrl-C lets running work finish; a second one does not wait.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UsageError(f"there is no part {unknown[0][:60]!r}: parts are {', '.join(PARTS)}")
    settings = Settings.load()
    settings.check_run()
    logs.configure(settings.log, settings.log_level)
    return run(_run, settings, tuple(part for part in PARTS if part in parts) or PARTS)


async def _run(settings: Settings, parts: Sequence[str]) -> int:
    health, calls = Health(budget=llm_ledger.remaining), CountedMeter()
    metrics = Metrics(lambda: health.reactor, calls=calls, budget=llm_ledger.remaining)
    manager = ServiceManager.of(os.environ)
    signals = StopSignals(settings.grace_s + LEAVE_WITHIN_S)
    with signals.listening():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)
            # First of all: a port that is taken must not leave a database half set up.
            desk = Desk(settings, health)
            routes = [*login_routes(desk), *api_routes(desk), *page_routes(desk)] if "web" in parts else []
            web = partial(run_web, settings, health, metrics, rules=desk.rules, routes=routes)
            url = await nursery.start(web)
            nursery.start_soon(desk.run)
            page = f"{url}/ops" if routes else url
            start = trio.CancelScope()
            nursery.start_soon(_give_up_starting, signals, health, start)
            with start:
                await _serve(settings, parts, health, manager, calls, page, signals)
            nursery.cancel_scope.cancel()
    if start.cancelled_caught:
        log.info("stopped", finished=0, given_back=0, hint="before it was ready")
    return 0


async def _give_up_starting(signals: StopSignals, health: Health, start: trio.CancelScope) -> None:
    """Told to stop before anything is ready: the start is dropped where it is."""
    await signals.told.wait()
    if health.reactor is None:
        start.cancel()


async def _serve(
    settings: Settings,
    parts: Sequence[str],
    health: Health,
    manager: ServiceManager,
    calls: CountedMeter,
    url: str,
    signals: StopSignals,
) -> None:
    """From an answering port to a stopped reactor."""
    for whom in (health, manager):
        whom.starting("the database is being started")
    async with database(settings, create=True) as place:
        for whom in (health, manager):
            whom.starting("the schema is being brought to current")
        await _bring_to_current(settings, place)
        registry = KindRegistry([NOOP, *house_kinds()])
        load_modules(settings.kinds, registry)
        watcher = _watcher(settings)
        async with _reactor(settings, place, parts, registry, watcher, calls) as reactor:
            if "web" in parts:
                async with reactor.pool.connection() as conn:
                    await fleet.say_page(conn, reactor.identity.id, url)
            health.ready(reactor)
            manager.ready(reactor.status)
            signals.running = reactor.names_of_running
            gc.freeze()  # 200,000 objects of modules: walking them, for 0.1 s and more, is nothing a row should wait for
            gc.set_threshold(
                10_000, 20, 20
            )  # at the default, a thousand calls at once spend a sixth of their time on it
            _tell_ready(reactor, settings, place, url)
            await _told_or_outdated(signals, reactor)
            health.stopping()
            manager.stopping(lambda: f"stopping: {reactor.running()} running")
            stopped = await _stop(reactor, settings, signals)
            if stopped.stuck:
                await _leave_at_once(place)
            if reactor.terms.reason is not None:
                raise SchemaError(reactor.terms.reason)


async def _bring_to_current(settings: Settings, place: Database) -> None:
    """The schema is current: migrated, or in production only checked."""
    conn = await place.connect("check")
    try:
        state = await check(conn)
    finally:
        await conn.aclose()
    if state.ok:
        return
    if not settings.production:
        await migrate(place.direct_dsn)
    else:
        raise SchemaError(state.problem or "the schema is not current: run `voxyz-reactor migrate`")


def _watcher(settings: Settings) -> Watcher:
    on_terminal = settings.log != "json" and sys.stderr.isatty()
    return TerminalWatcher() if on_terminal or settings.log == "console" else LogWatcher()


@asynccontextmanager
async def _reactor(
    settings: Settings,
    place: Database,
    parts: Sequence[str],
    registry: KindRegistry,
    watcher: Watcher,
    calls: CountedMeter | None = None,
) -> AsyncIterator[Reactor]:
    """A reactor that works, with everything it needs; left, all of it is gone.

    Raises: ConfigurationError: AGENT_ID names nobody who works here.
    """
    liveness_key = new_liveness_key()
    sessions = Sessions(place.dsn, place.direct_dsn, liveness_key)
    pool = work_pool(sessions, settings.pool_max)
    roster = Roster()
    counted = (calls or CountedMeter()).on
    try:
        async with asking(settings, pool, roster, counted) as asks:
            await _check_agent(settings, pool, roster)
            await _register_kinds(pool, registry)
            plan = _plan(settings, place, parts, registry, watcher, pool, roster, asks, liveness_key)
            reactor = Reactor(plan, pool, sessions)
            async with trio.open_nursery() as nursery:
                if place.embedded is not None:
                    nursery.start_soon(place.embedded.keep_running)
                await nursery.start(reactor.run)
                if "heartbeat" in parts:
                    nursery.start_soon(Digest(pool).run)
                yield reactor
                nursery.cancel_scope.cancel()
    finally:
        await pool.aclose()


async def _check_agent(settings: Settings, pool: Pool, roster: Roster) -> None:
    """The agent that this process works as is one of ours."""
    if settings.agent_id is not None:
        try:
            await roster.find(settings.agent_id, pool)
        except UnknownAgent as error:
            raise ConfigurationError(f"AGENT_ID: {error}") from None


def _plan(
    settings: Settings,
    place: Database,
    parts: Sequence[str],
    registry: KindRegistry,
    watcher: Watcher,
    pool: Pool,
    roster: Roster,
    asks: Asking,
    liveness_key: int,
) -> Plan:
    queues = _queues(settings, parts, registry, pool, roster, asks)
    return Plan(
        dsn=place.dsn,
        direct_dsn=place.direct_dsn,
        queues=queues,
        parts=tuple(parts),
        kinds=tuple(registry.kinds()) if Queue.MISSION in queues else (),
        agent=settings.agent_id,
        grace_s=settings.grace_s,
        watcher=watcher,
        chance=random.random,
        liveness_key=liveness_key,
        policy_changed=roster.invalidate,
        pauses_changed=asks.pauses_changed,
        closed_services=asks.closed_services,
        keepers=lambda pool, listening: keepers(parts, pool, random.random, listening),
    )


def _queues(
    settings: Settings,
    parts: Sequence[str],
    registry: KindRegistry,
    pool: Pool,
    roster: Roster,
    asks: Asking,
) -> dict[Queue, QueuePlan]:
    context = Context(pool, asks.gateway, registry, roster, settings.agent_id)
    works: dict[Queue, Work] = {
        Queue.MISSION: MissionWork(registry, StepRunner(context)),
        Queue.ROUNDTABLE: RoundtableWork(context),
        Queue.INITIATIVE: InitiativeWork(context),
    }
    return {
        queue: QueuePlan(work, settings.concurrency(queue.value), settings.sweep_s(queue.value))
        for queue, work in works.items()
        if queue.value in parts
    }


async def _register_kinds(pool: Pool, registry: KindRegistry) -> None:
    rows = [
        KindRow(
            kind.kind, kind.description, kind.external, kind.timeout_s, dict(kind.input_schema), kind.services
        )
        for kind in registry.all()
    ]
    async with pool.connection() as conn:
        await kinds_store.register(conn, rows)


async def _stop(reactor: Reactor, settings: Settings, signals: StopSignals) -> Stopped:
    """Stop in order; a signal that comes meanwhile ends the grace period and every other patience."""
    meanwhile = signals.again if signals.told.is_set() else signals.told
    _tell_stopping(reactor, settings)
    async with trio.open_nursery() as nursery:

        async def hurry() -> None:
            await meanwhile.wait()
            reactor.hurry()

        nursery.start_soon(hurry)
        stopped = await reactor.stop(settings.grace_s)
        nursery.cancel_scope.cancel()
    _tell_stopped(stopped)
    return stopped


async def _told_or_outdated(signals: StopSignals, reactor: Reactor) -> None:
    """Return at a signal, or when the database asks for a newer generation of the program."""
    async with trio.open_nursery() as nursery:

        async def outdated() -> None:
            await reactor.terms.outdated.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(outdated)
        await signals.told.wait()
        nursery.cancel_scope.cancel()


def _tell_ready(reactor: Reactor, settings: Settings, place: Database, url: str) -> None:
    where = f"embedded {place.embedded.path}" if place.embedded is not None else redact(place.dsn)
    llm = "mock" if settings.provider() == "mock" else settings.model
    click.echo(f"ready: database {where} · parts {', '.join(reactor.plan.parts)} · llm {llm} · {url}")
    sys.stdout.flush()
    if sys.stdout.isatty():
        click.secho(GIVE_WORK, dim=True)


def _tell_stopping(reactor: Reactor, settings: Settings) -> None:
    running = reactor.running()
    if running:
        log.info("stopping", running=running, grace_s=settings.grace_s, hint="a second signal does not wait")
    else:
        log.info("stopping", running=0)


def _tell_stopped(stopped: Stopped) -> None:
    log.info("stopped", finished=stopped.finished, given_back=stopped.given_back)
    if stopped.unwritten:
        log.error(
            "outcomes_unwritten", rows=stopped.unwritten, hint="the database is away: their rows run again"
        )
    for name in stopped.stuck:
        log.error("handler_ignores_cancellation", handler=name)


async def _leave_at_once(place: Database) -> None:
    """A handler would not end: the process leaves without it; its row runs again elsewhere."""
    if place.embedded is not None:
        await place.embedded.leave()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
