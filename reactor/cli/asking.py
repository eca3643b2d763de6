"""How a reactor comes to its language model: the provider that the settings name, behind one metered gateway."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from reactor.engine.metrics import CountedMeter
from reactor.handlers.context import Roster
from reactor.llm.gateway import Gateway, Provider
from reactor.llm.guard import StoredGuard
from reactor.llm.ledger import Ledger
from reactor.llm.metering import Meter
from reactor.llm.mock import MockProvider
from reactor.model.queues import Queue
from reactor.pg import Connection, Pool
from reactor.settings import Settings
from reactor.store import breakers

MOCK_KEY = "mock"
PAUSED = "everything is paused: voxyz-reactor resume"
_FAREWELL_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Asking:
    """The gateway of one process, and what its engine must know of it."""

    gateway: Gateway
    closed_services: Callable[[Connection], Awaitable[Mapping[str, float]]]

    def pauses_changed(self, paused: frozenset[Queue]) -> None:
        """With every queue paused no call begins any more; with one lifted they may."""
        if paused == frozenset(Queue):
            self.gateway.hold(PAUSED)
        else:
            self.gateway.release()


@asynccontextmanager
async def asking(
    settings: Settings, pool: Pool, roster: Roster, counted: Callable[[Meter], CountedMeter] = CountedMeter
) -> AsyncIterator[Asking]:
    """The way to the model that ``settings`` name; left, its connections are closed. ``counted`` wraps the books."""
    if settings.provider() == "mock":
        mock = MockProvider(
            latency_s=settings.mock_latency_ms / 1000,
            failures={str(status): share for status, share in settings.mock_fail.items()},
        )
        books = Ledger(pool, service=mock.service, provider=mock.name, key_print=MOCK_KEY, simulated=True)
        yield _behind(mock, books, MOCK_KEY, settings, pool, roster, counted)
        return
    # The SDK takes half a second and 40 MB to import: only for those who use it.
    from reactor.llm.anthropic import AnthropicProvider

    assert settings.anthropic_api_key is not None
    real = AnthropicProvider(
        settings.anthropic_api_key.get_secret_value(), base_url=settings.anthropic_base_url
    )
    books = Ledger(pool, service=real.service, provider=real.name, key_print=real.key_print, simulated=False)
    try:
        yield _behind(real, books, real.key_print, settings, pool, roster, counted)
    finally:
        with trio.move_on_after(_FAREWELL_WITHIN_S, shield=True):
            await real.aclose()


def _behind(
    provider: Provider,
    books: Ledger,
    key_print: str,
    settings: Settings,
    pool: Pool,
    roster: Roster,
    counted: Callable[[Meter], CountedMeter],
) -> Asking:
    gateway = Gateway(
        provider,
        StoredGuard(pool),
        meter=counted(books),
        limits=lambda: roster.limits,
        default_model=settings.model,
        prices=lambda: roster.prices,
    )
    return Asking(gateway, partial(breakers.closed_services, key_print=key_print))
