"""What the language model costs: the ledger added up, the budgets, and where the month is heading."""

from collections.abc import Sequence
from typing import NamedTuple

import click

from reactor.cli.output import Cell, answer_json, facts, heading, json_option, say, span, table
from reactor.cli.runtime import ask
from reactor.model.forecast import month_end
from reactor.pg import Connection
from reactor.store import costs as store
from reactor.store.costs import BYS, Budget, By, PausedKey, Standing, Sum

TITLES: dict[By, str] = {
    "day": "by day",
    "agent": "by agent",
    "purpose": "by purpose",
    "model": "by model",
    "mission": "the dearest missions",
}
A_REFUSED_KEY_WANTS = (
    "give its account credit, then `voxyz-reactor breaker reset anthropic`;"
    " or set another ANTHROPIC_API_KEY and start the reactor again"
)
PAUSES = {
    "rate_limited": "the provider asks for fewer calls",
    "key_refused": f"the provider refuses the key: {A_REFUSED_KEY_WANTS}",
}


class Costs(NamedTuple):
    """All that ``costs`` tells."""

    standing: Standing
    budgets: list[Budget]
    paused: list[PausedKey]
    sums: dict[By, list[Sum]]

    @property
    def month_end_usd(self) -> float:
        """What this month comes to."""
        it = self.standing
        return month_end(it.month_usd, it.week_usd, days_seen=it.days_seen, days_left=it.days_left)

    @property
    def month_end_would_usd(self) -> float:
        """What it would come to, had nothing been simulated."""
        it = self.standing
        return month_end(
            it.month_would_usd, it.week_would_usd, days_seen=it.days_seen, days_left=it.days_left
        )


async def gather(conn: Connection, bys: Sequence[By], days: int) -> Costs:
    """One look at the books, in a statement each."""
    return Costs(
        await store.standing(conn),
        await store.budgets(conn),
        await store.paused_keys(conn),
        {by: await store.sums(conn, by, days) for by in bys},
    )


@click.command(short_help="what the language model cost, and will")
@click.option("--by", type=click.Choice(BYS), help="Only one of the tables.")
@click.option(
    "--days",
    type=click.IntRange(1, 400),
    default=30,
    show_default=True,
    help="How many days the tables look back, today among them.",
)
@json_option
def costs(by: By | None, days: int, as_json: bool) -> None:
    """What the language model cost: today, this month, and what the month comes to at the pace of the last week.

    "would" is what calls would have cost had the stand-in not answered them.
    """

    async def look(conn: Connection) -> Costs:
        return await gather(conn, BYS if by is None else (by,), days)

    found = ask("costs", look)
    if as_json:
        _answer(found, days)
    else:
        _print(found, days)


def _answer(found: Costs, days: int) -> None:
    answer_json(
        {
            **found.standing._asdict(),
            "month_end_usd": round(found.month_end_usd, 6),
            "month_end_would_usd": round(found.month_end_would_usd, 6),
            "budgets": [one._asdict() for one in found.budgets],
            "paused_keys": [one._asdict() for one in found.paused],
            "days": days,
            **{f"by_{by}": [one._asdict() for one in sums] for by, sums in found.sums.items()},
        }
    )


def _print(found: Costs, days: int) -> None:
    it = found.standing
    facts(
        [
            (f"today, {it.day}", _money(it.day_calls, it.day_usd, it.day_would_usd)),
            ("this month", _money(it.month_calls, it.month_usd, it.month_would_usd)),
            ("at its end", _expected(found)),
            *((_name(one), _left(one)) for one in found.budgets),
            *(("calls are paused", Cell(_pause(one), "yellow")) for one in found.paused),
        ]
    )
    for by, sums in found.sums.items():
        if sums:
            say()
            heading(f"{TITLES[by]}, {'today' if days == 1 else f'the last {days} days'}")
            _table(by, sums)
    if not any(found.sums.values()):
        say("no call today" if days == 1 else f"no call in the last {days} days")


def _expected(found: Costs) -> str:
    it = found.standing
    if not it.week_calls:
        return "no call in the last seven days to go by"
    seen = "day" if it.days_seen <= 1 else f"{it.days_seen:.0f} days"
    would = _would(found.month_end_usd, found.month_end_would_usd)
    return f"about {dollars(found.month_end_usd)}{would} at the pace of the last {seen}"


def _money(calls: int, usd: float, would_usd: float) -> str:
    return f"{calls} {'call' if calls == 1 else 'calls'}, {dollars(usd)}{_would(usd, would_usd)}"


def _would(usd: float, would_usd: float) -> str:
    return f" (would be {dollars(would_usd)})" if would_usd - usd > 5e-7 else ""


def dollars(amount: float) -> str:
    """An amount a person can read: cents where there are dollars, small fractions where there are none."""
    return f"${amount:.4f}" if 0 < amount < 1 else f"${amount:.2f}"


def _name(one: Budget) -> str:
    return f"budget {' '.join(filter(None, (one.scope, one.name)))}"


def _left(one: Budget) -> Cell:
    share = "" if one.for_agents_usd == one.limit_usd else f", agents by themselves ${one.for_agents_usd:.4g}"
    style = (
        "red" if one.spent_usd >= one.limit_usd else "yellow" if one.spent_usd >= 0.8 * one.limit_usd else ""
    )
    return Cell(f"{dollars(one.spent_usd)} of ${one.limit_usd:.4g} spent{share}", style)


def _pause(one: PausedKey) -> str:
    return f"{PAUSES.get(one.reason, one.reason)} (tried again in {span(one.wait_s)})"


def _table(by: By, sums: Sequence[Sum]) -> None:
    numbers = ("calls", "failed", "simulated", "in", "out", "USD", "would")
    table(
        (by, *numbers, *(("title",) if by == "mission" else ())),
        [
            (
                one.name or "(the house)",
                one.calls,
                one.failed or "",
                one.simulated or "",
                one.input_tokens,
                one.output_tokens,
                f"{one.cost_usd:.4f}",
                f"{one.would_cost_usd:.4f}",
                *((one.title,) if by == "mission" else ()),
            )
            for one in sums
        ],
        right=numbers,
    )
