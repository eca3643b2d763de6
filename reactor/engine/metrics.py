"""What this process, and the database as a whole, look like in numbers, for Prometheus.

Nothing here is on the way of a row. The engine counts in plain integers; a scrape reads them and makes the metrics anew.
Counters are this process's own and start at zero with it: sum them over the fleet. Gauges with rows, breakers and
budgets are the whole database's, the same from every process: take their maximum. They are read when somebody scrapes,
at most every 15 s; counting rows by status reads the queues whole, so it also takes at most a twentieth of the time.
While the database is away its gauges are left out, for old ones would lie, and ``voxyz_database_up`` is 0.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import structlog
import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reactor import __version__
from reactor.engine.supervisor import Reactor
from reactor.engine.tally import Histogram
from reactor.engine.wake import Via
from reactor.errors import DatabaseError
from reactor.llm.metering import Meter, Reservation, Settlement, Tally
from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import gauges
from reactor.store.gauges import Due

log = structlog.get_logger()

READ_EVERY_S = 15.0
READ_WITHIN_S = 4.0  # Prometheus gives a scrape 10 s
SHARE_OF_TIME = 0.05  # what counting all rows may take
BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}
FINISHED = ("succeeded", "failed", "cancelled")
REQUEUED = ("retried", "returned")

# What is left by scope, such as "day" or "agent sage"; asked on a connection of the pool.
Budget = Callable[[Connection], Awaitable[Mapping[str, float]]]


class CountedMeter:
    """A meter that counts what goes through it to another one; labels without ids."""

    def __init__(self, books: Meter | None = None) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()  # by (model, purpose, outcome)
        self.tokens: Counter[tuple[str, str]] = Counter()  # by (model, direction)
        self.cost_usd = defaultdict[str, float](float)
        self.would_cost_usd = defaultdict[str, float](float)
        self._books: Meter = books or Tally()

    def on(self, books: Meter) -> "CountedMeter":
        """Itself, from now on in front of ``books``."""
        self._books = books
        return self

    async def reserve(self, reservation: Reservation) -> None:
        """See `reactor.llm.metering.Meter`."""
        await self._books.reserve(reservation)

    async def settle(self, reservation: Reservation, settlement: Settlement) -> None:
        """See `reactor.llm.metering.Meter`. Counted whether or not the books could be written."""
        model, usage = reservation.model, settlement.usage
        self.calls[model, reservation.request.purpose, settlement.outcome] += 1
        for direction, tokens in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
        ):
            self.tokens[model, direction] += tokens
        self.cost_usd[model] += settlement.cost_usd
        self.would_cost_usd[model] += settlement.would_cost_usd
        await self._books.settle(reservation, settlement)


@dataclass(slots=True)
class _Whole:
    """The database as last read."""

    due: list[Due] = field(default_factory=list)
    statuses: dict[tuple[str, str], int] | None = None
    breakers: Mapping[str, str] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)


class Metrics:
    """Everything ``/metrics`` says. ``reactor`` answers None as long as there is none: then little is said."""

    def __init__(
        self,
        reactor: Callable[[], Reactor | None],
        *,
        calls: CountedMeter | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._reactor = reactor
        self._calls = calls
        self._budget = budget
        self._reading = trio.Lock()
        self._whole: _Whole | None = None
        self._read_due = 0.0
        self._statuses: dict[tuple[str, str], int] | None = None
        self._statuses_due = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Scrape(self))
        ProcessCollector(registry=self._registry)

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The text of a scrape and its content type, in the form ``accept`` asks for; within 7 s, whatever happens."""
        reactor = self._reactor()
        if reactor is not None:
            async with self._reading:
                if trio.current_time() >= self._read_due:
                    self._whole = await self._read(reactor)
                    self._read_due = trio.current_time() + READ_EVERY_S
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    async def _read(self, reactor: Reactor) -> _Whole | None:
        """The database's numbers; None when it did not answer in time."""
        whole = _Whole()
        with trio.CancelScope(deadline=trio.current_time() + READ_WITHIN_S) as scope:
            try:
                async with reactor.pool.connection(timeout_s=READ_WITHIN_S) as conn:
                    whole.due = await gauges.due(conn)
                    whole.breakers = await gauges.breakers(conn)
                    if self._budget is not None:
                        whole.budget = await self._budget(conn)
            except DatabaseError as error:
                log.debug("gauges_unknown", reason=str(error))
                return None
            await self._count(reactor)
        whole.statuses = self._statuses
        return None if scope.cancelled_caught and not whole.due else whole

    async def _count(self, reactor: Reactor) -> None:
        """The rows by status are known anew, unless counting them comes too often for what it costs."""
        began_at = trio.current_time()
        if began_at < self._statuses_due:
            return
        self._statuses = None
        try:
            async with reactor.pool.connection(timeout_s=READ_WITHIN_S) as conn:
                self._statuses = await gauges.statuses(conn)
        except DatabaseError as error:
            log.debug("rows_not_counted", reason=str(error))
        finally:
            ended_at = trio.current_time()
            self._statuses_due = ended_at + (ended_at - began_at) / SHARE_OF_TIME

    # -- what the collector yields

    def families(self) -> Iterator[Metric]:
        """Every family there is to say now."""
        build = GaugeMetricFamily("voxyz_build_info", "The program's version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        if (reactor := self._reactor()) is not None:
            yield from _of_lines(reactor)
            yield from _of_wakes(reactor)
            yield from _of_rows(reactor)
            yield gauge("voxyz_listener_up", "1 while notifications are heard.", reactor.listener.up)
            yield gauge(
                "voxyz_database_up",
                "1 when the last look at the database succeeded.",
                self._whole is not None,
            )
        if self._whole is not None:
            yield from _of_database(self._whole)
        if self._calls is not None:
            yield from _of_calls(self._calls)


class _Scrape(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=float(value))


def _of_lines(reactor: Reactor) -> Iterator[Metric]:
    """What the lines of the queues hold, have claimed and have heard."""
    rings = CounterMetricFamily("voxyz_rings", "Rings heard.", labels=["queue"])
    missed = CounterMetricFamily("voxyz_missed_wakes", "Rows only a sweep found.", labels=["queue"])
    rescues = CounterMetricFamily("voxyz_rescues", "Rows given back for the dead.", labels=["queue"])
    claims = CounterMetricFamily(
        "voxyz_claims", "Claims, by whether they got a row.", labels=["queue", "rows"]
    )
    fenced = CounterMetricFamily("voxyz_fenced_out", "Results that came too late to count.", labels=["queue"])
    held = GaugeMetricFamily("voxyz_bell_held", "1 while the doorbell is ours.", labels=["queue"])
    hand = GaugeMetricFamily("voxyz_rows_in_hand", "Rows claimed and not ended.", labels=["queue", "state"])
    unwritten = GaugeMetricFamily("voxyz_outcomes_unwritten", "Outcomes not yet committed.", labels=["queue"])
    for queue, line in reactor.lines.items():
        name, completer = [queue.value], reactor.lines[queue].completer
        running = len(line.executor.running)
        some, none = line.dispatcher.claims
        rings.add_metric(name, reactor.control.rings[queue])
        missed.add_metric(name, line.dispatcher.missed_wakes)
        claims.add_metric([queue.value, "some"], some)
        claims.add_metric([queue.value, "none"], none)
        fenced.add_metric(name, completer.fenced_out)
        held.add_metric(name, line.bell.held)
        hand.add_metric([queue.value, "running"], running)
        hand.add_metric([queue.value, "read_ahead"], line.executor.load - running)
        unwritten.add_metric(name, completer.unwritten)
    for queue, rows in reactor.rescuer.rescued.items():
        rescues.add_metric([queue.value], rows)
    yield from (rings, missed, rescues, claims, fenced, held, hand, unwritten)


def _of_wakes(reactor: Reactor) -> Iterator[Metric]:
    """What woke the dispatchers, and how soon after a row was due."""
    wakes = CounterMetricFamily("voxyz_wakes", "Ends of a sleep, by what ended it.", labels=["queue", "via"])
    soon = HistogramMetricFamily(
        "voxyz_wake_seconds",
        "From a row's due time to its claim, for the first after a wake.",
        labels=["via"],
    )
    merged: dict[Via, Histogram] = {}
    for queue, line in reactor.lines.items():
        for via, times in line.dispatcher.woken.items():
            wakes.add_metric([queue.value, via.value], times)
        for via, histogram in line.dispatcher.wake_tally.by_via.items():
            whole = merged.setdefault(via, Histogram(histogram.bounds))
            whole.add(histogram)
    for via, histogram in merged.items():
        _add(soon, [via.value], histogram)
    yield from (wakes, soon)


def _of_rows(reactor: Reactor) -> Iterator[Metric]:
    """What became of rows here, by kind."""
    finished = CounterMetricFamily(
        "voxyz_rows_finished", "Rows whose handler ended them.", labels=["queue", "kind", "outcome"]
    )
    requeued = CounterMetricFamily(
        "voxyz_rows_requeued", "Rows that went back into the queue.", labels=["queue", "kind", "why"]
    )
    seconds = HistogramMetricFamily(
        "voxyz_handler_seconds", "How long handlers took.", labels=["queue", "kind"]
    )
    for queue, line in reactor.lines.items():
        for kind, tally in line.executor.tally.kinds():
            for end in FINISHED:
                finished.add_metric([queue.value, kind, end], tally.ends[end])
            for end in REQUEUED:
                requeued.add_metric([queue.value, kind, end], tally.ends[end])
            _add(seconds, [queue.value, kind], tally.seconds)
    yield from (finished, requeued, seconds)


def _of_database(whole: _Whole) -> Iterator[Metric]:
    """The gauges of the whole database."""
    rows = GaugeMetricFamily("voxyz_queue_rows", "Rows by status.", labels=["queue", "status"])
    oldest = GaugeMetricFamily(
        "voxyz_queue_oldest_seconds", "For how long the oldest due row has waited.", labels=["queue"]
    )
    paused = GaugeMetricFamily("voxyz_paused", "1 while the queue is paused.", labels=["queue"])
    breakers = GaugeMetricFamily("voxyz_breaker_state", "0 closed, 1 half open, 2 open.", labels=["service"])
    budget = GaugeMetricFamily("voxyz_budget_remaining_usd", "What may still be spent.", labels=["scope"])
    for queue in whole.due:
        rows.add_metric([queue.queue, "queued"], queue.queued)
        oldest.add_metric([queue.queue], max(0.0, queue.oldest_s))
        paused.add_metric([queue.queue], queue.paused)
    if whole.statuses is not None:
        for name in Queue:
            for status in ("waiting", "running", *FINISHED):
                rows.add_metric([name.value, status], whole.statuses.get((name.value, status), 0))
    for service, state in whole.breakers.items():
        breakers.add_metric([service], BREAKER_STATES[state])
    for scope, usd in whole.budget.items():
        budget.add_metric([scope], usd)
    yield from (rows, oldest, paused, breakers, budget)


def _of_calls(meter: CountedMeter) -> Iterator[Metric]:
    """What the language model was asked, and what that cost."""
    calls = CounterMetricFamily(
        "voxyz_llm_calls", "Calls, by how they ended.", labels=["model", "purpose", "outcome"]
    )
    tokens = CounterMetricFamily("voxyz_llm_tokens", "Tokens.", labels=["model", "direction"])
    cost = CounterMetricFamily("voxyz_llm_cost_usd", "What calls cost.", labels=["model"])
    would = CounterMetricFamily(
        "voxyz_llm_would_cost_usd", "What calls would have cost, had all been real.", labels=["model"]
    )
    for labels, times in meter.calls.items():
        calls.add_metric(labels, times)
    for labels_, count in meter.tokens.items():
        tokens.add_metric(labels_, count)
    for model in meter.cost_usd:
        cost.add_metric([model], meter.cost_usd[model])
        would.add_metric([model], meter.would_cost_usd[model])
    yield from (calls, tokens, cost, would)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
