"""The numbers of policy ``llm_limits``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_MAX_TOKENS: Mapping[str, int] = MappingProxyType(
    {"turn": 160, "distil": 1500, "initiative": 800, "step": 1200, "write_content": 2000}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call may take, and how many may run.

    ``max_tokens``: of an answer, by purpose or step kind. ``input_tokens``: of a prompt. ``timeout_s``: of one call.
    ``concurrency``: calls at once in a process. ``requests_per_minute``: over all reactors.
    """

    max_tokens: Mapping[str, int] = field(default_factory=lambda: _MAX_TOKENS)
    input_tokens: int = 12_000
    timeout_s: float = 60.0
    concurrency: int = 4
    requests_per_minute: int = 45

    def answer_tokens(self, purpose: str) -> int:
        """Most tokens of an answer for ``purpose``: its step kind's own, else its own, else a step's."""
        family, _, kind = purpose.partition(":")
        for key in (kind, family, "step"):
            if key in self.max_tokens:
                return self.max_tokens[key]
        return _MAX_TOKENS["step"]

    @classmethod
    def from_policy(cls, value: object) -> "Limits":
        """The limits of a policy value; what is missing or makes no sense keeps its default."""
        if not isinstance(value, Mapping):
            return cls()
        usual = cls()
        most = value.get("max_tokens")
        own = {key: int(n) for key, n in most.items() if _positive(n)} if isinstance(most, Mapping) else {}
        return cls(
            max_tokens=MappingProxyType({**_MAX_TOKENS, **own}),
            input_tokens=int(_or(value.get("input_tokens"), usual.input_tokens)),
            timeout_s=float(_or(value.get("timeout_s"), usual.timeout_s)),
            concurrency=int(_or(value.get("concurrency"), usual.concurrency)),
            requests_per_minute=int(_or(value.get("requests_per_minute"), usual.requests_per_minute)),
        )


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1


def _or(value: Any, usual: float) -> float:
    return float(value) if _positive(value) else usual
