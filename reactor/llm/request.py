"""What is asked of a model, and what comes back."""

from dataclasses import dataclass, field
from typing import Literal

from reactor.model.people import TEAM, Agent, Company


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the exchange after the system prompt."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of earlier work or talk: whose (an agent's id, or what it is), its words, and its number (0: none)."""

    by: str
    text: str
    ref: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a prompt was made from, as data; the mock works from this instead of reading prompts.

    ``earlier``: results and memories, oldest first. ``said``: the conversation so far. ``tone``: how a turn is to
    sound (challenge, critical, supportive, agreement, neutral). ``participants``: who is in the conversation.
    """

    company: Company = field(default_factory=Company)
    agent: Agent = TEAM
    topic: str = ""
    earlier: tuple[Said, ...] = ()
    said: tuple[Said, ...] = ()
    participants: tuple[Agent, ...] = ()
    tone: str = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMRequest:
    """One call. Everything the door needs to meter, guard and repeat it; nothing a provider may reinterpret.

    ``purpose``: ``step:<kind>``, ``turn``, ``distil``, ``initiative``. ``model``: None for the default one.
    ``temperature``: a hint, shaped into words where a model takes no such parameter. ``thinking``: whether the
    model may think first, at its price. ``timeout_s``: for the call itself, waiting for a place not included.
    ``idempotency_key``: the same for the same work, whatever the attempt. ``by_human``: a person asked for it.
    """

    purpose: str
    messages: tuple[Message, ...]
    system: str = ""
    material: Material = field(default_factory=Material)
    max_tokens: int = 1200
    timeout_s: float = 60.0
    model: str | None = None
    temperature: float | None = None
    thinking: bool = False
    agent_id: str | None = None
    mission_id: int | None = None
    step_id: int | None = None
    idempotency_key: str | None = None
    by_human: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counts them; ``input_tokens`` without those of the cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider hands to the gateway.

    ``usage``: None when it was not said. ``stopped``: ``end``, ``max_tokens`` when it was cut short, or ``refusal`` when the
    model declined; then ``text`` is why.
    """

    text: str
    model: str
    usage: Usage | None
    stopped: Literal["end", "max_tokens", "refusal"] = "end"


@dataclass(frozen=True, slots=True)
class LLMReply:
    """What the gateway hands to a handler. ``would_cost_usd``: its price had it been real; else the same as ``cost_usd``."""

    text: str
    model: str
    provider: str
    simulated: bool
    usage: Usage
    cost_usd: float
    would_cost_usd: float
    latency_s: float
    stopped: Literal["end", "max_tokens"] = "end"
