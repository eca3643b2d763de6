"""What calls cost: tokens counted, priced, added up.

The gateway reserves before each call and settles after it, through the `Meter` protocol: a ledger with budgets
is a meter that writes rows and raises `reactor.errors.NotNow` from ``reserve`` when nothing is left. `Tally` is the one
that only counts.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from reactor.llm.request import LLMRequest, Usage

DEFAULT_MODEL: Final = "claude-haiku-5-5"

# UTF-8 bytes a token, on the low side for English prose, so that an estimate is rather too high.
BYTES_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. ``over``: what holds instead when a prompt has more than ``over_tokens``."""

    input_usd: float
    output_usd: float
    cache_read_usd: float
    cache_write_usd: float
    over_tokens: int = 0
    over: "Price | None" = None

    def of(self, usage: Usage) -> float:
        """USD for the ``usage`` of one call."""
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if self.over is not None and prompt > self.over_tokens:
            return self.over.of(usage)
        return (
            usage.input_tokens * self.input_usd
            + usage.output_tokens * self.output_usd
            + usage.cache_read_tokens * self.cache_read_usd
            + usage.cache_write_tokens * self.cache_write_usd
        ) / 1_000_000

    def at_most(self, input_tokens: int, output_tokens: int) -> float:
        """USD for so many tokens at most, whichever of the prompt goes into the provider's cache."""
        return max(
            self.of(Usage(input_tokens=input_tokens, output_tokens=output_tokens)),
            self.of(Usage(cache_write_tokens=input_tokens, output_tokens=output_tokens)),
        )


# The default model's, from the provider's published list as of 2026-10-24; the others are in policy llm_prices.
PRICES: Final[Mapping[str, Price]] = MappingProxyType(
    {DEFAULT_MODEL: Price(0.10, 0.50, 0.01, 0.125, 100_000, Price(0.50, 2.50, 0.05, 0.625))}
)

_DATED: Final = re.compile(r"-20\d{6}$")


def prices_of(policy: object) -> Mapping[str, Price]:
    """The prices of a value of policy ``llm_prices``; what cannot be read is left out; when all is, `PRICES` hold."""
    models = policy.get("models") if isinstance(policy, Mapping) else None
    found = {model: _price(row) for model, row in (models if isinstance(models, Mapping) else {}).items()}
    return MappingProxyType(
        {model: price for model, price in found.items() if price is not None} or dict(PRICES)
    )


def _price(row: object) -> Price | None:
    if not isinstance(row, Mapping):
        return None
    numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
    if not {"input", "output"} <= numbers.keys():
        return None
    over = _price(row.get("over"))
    return Price(
        numbers["input"],
        numbers["output"],
        numbers.get("cache_read", numbers["input"]),
        numbers.get("cache_write", numbers["input"]),
        int(numbers.get("over_tokens", 0)),
        over if "over_tokens" in numbers else None,
    )


def is_priced(model: str, prices: Mapping[str, Price]) -> bool:
    """Whether the model, or the one it is a dated edition of, has a price of its own."""
    return model in prices or _DATED.sub("", model) in prices


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """The model's price; of one without, the dearest known, so that nothing unpriced is ever free."""
    found = prices.get(model) or prices.get(_DATED.sub("", model))
    return found or max(prices.values(), key=lambda price: price.output_usd + price.input_usd)


def estimate_tokens(text: str) -> int:
    """About how many tokens ``text`` is; rather too many. At least 1."""
    return max(1, -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN))


def estimate_input(request: LLMRequest, schema: Mapping[str, Any] | None = None) -> int:
    """About how many tokens the request's prompt is, with the ``schema`` that is sent along."""
    shape = estimate_tokens(json.dumps(schema)) if schema else 0
    return (
        estimate_tokens(request.system)
        + shape
        + sum(estimate_tokens(message.text) for message in request.messages)
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call was reckoned to cost at most before it began. ``unpriced``: its model has no price of its own."""

    request: LLMRequest
    model: str
    most_usd: float
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a reserved call ended.

    ``outcome``: ``ok``, ``cancelled``, or the name of what went wrong. ``made``: whether it went out at all. ``model``: who
    answered, where anybody did. ``pause``: ``rate_limited`` or ``key_refused`` when the provider wants no calls, for
    ``pause_s`` seconds or as long as seems right.
    """

    outcome: str
    simulated: bool
    usage: Usage
    cost_usd: float
    would_cost_usd: float
    latency_s: float
    made: bool = True
    model: str | None = None
    pause: str | None = None
    pause_s: float | None = None


class Meter(Protocol):
    """Keeps the books of a gateway."""

    async def reserve(self, reservation: Reservation) -> None:
        """The amount is set aside.

        Raises: CallsQueued: not now, but soon. NotNow: there is not so much left. Either way nothing is set aside.
        """

    async def settle(self, reservation: Reservation, settlement: Settlement) -> None:
        """The amount set aside is replaced by what it was. Called once for every reservation, shielded, with 2 s."""


class Tally:
    """Counts calls, tokens and USD of this process, and refuses nothing."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()  # by (purpose, outcome)
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd = 0.0
        self.would_cost_usd = 0.0
        self.reserved_usd = 0.0

    async def reserve(self, reservation: Reservation) -> None:
        """See `Meter`."""
        self.reserved_usd += reservation.most_usd

    async def settle(self, reservation: Reservation, settlement: Settlement) -> None:
        """See `Meter`."""
        self.reserved_usd -= reservation.most_usd
        self.calls[reservation.request.purpose, settlement.outcome] += 1
        self.input_tokens += settlement.usage.input_tokens
        self.output_tokens += settlement.usage.output_tokens
        self.cost_usd += settlement.cost_usd
        self.would_cost_usd += settlement.would_cost_usd
