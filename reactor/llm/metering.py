"""What calls cost: tokens counted, priced, added up.

The gateway reserves before each call and settles after it, through the `Meter` protocol: a ledger with budgets
is a meter that writes rows and raises `reactor.errors.NotNow` from ``reserve`` when nothing is left. `Tally` is the one
that only counts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from reactor.llm.request import LLMRequest, Usage

DEFAULT_MODEL: Final = "claude-haiku-5-5"

# UTF-8 bytes a token, on the low side for English prose, so that an estimate is rather too high.
BYTES_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input_usd: float
    output_usd: float
    cache_read_usd: float
    cache_write_usd: float

    def of(self, usage: Usage) -> float:
        """USD for ``usage``."""
        return (
            usage.input_tokens * self.input_usd
            + usage.output_tokens * self.output_usd
            + usage.cache_read_tokens * self.cache_read_usd
            + usage.cache_write_tokens * self.cache_write_usd
        ) / 1_000_000


# The provider's published list as of November 2026, for prompts up to 100,000 tokens.
PRICES: Final[Mapping[str, Price]] = MappingProxyType(
    {DEFAULT_MODEL: Price(input_usd=0.10, output_usd=0.50, cache_read_usd=0.01, cache_write_usd=0.125)}
)


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """The model's price; of one without, the dearest known, so that nothing unpriced is ever free."""
    found = prices.get(model)
    return found or max(prices.values(), key=lambda price: price.output_usd + price.input_usd)


def estimate_tokens(text: str) -> int:
    """About how many tokens ``text`` is; rather too many. At least 1."""
    return max(1, -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN))


def estimate_input(request: LLMRequest) -> int:
    """About how many tokens the request's prompt is."""
    return estimate_tokens(request.system) + sum(
        estimate_tokens(message.text) for message in request.messages
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call was reckoned to cost at most before it began."""

    request: LLMRequest
    model: str
    most_usd: float


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a reserved call ended. ``outcome``: ``ok``, ``cancelled``, or the name of what went wrong."""

    outcome: str
    simulated: bool
    usage: Usage
    cost_usd: float
    would_cost_usd: float
    latency_s: float


class Meter(Protocol):
    """Keeps the books of a gateway."""

    async def reserve(self, reservation: Reservation) -> None:
        """The amount is set aside. Raises: NotNow: there is not so much left; nothing is set aside."""

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
