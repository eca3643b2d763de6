"""The numbers of policy ``llm_limits``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_MAX_TOKENS: Mapping[str, int] = MappingProxyType(
    {"turn": 160, "distil": 1500, "initiative": 800, "step": 1200, "write_content": 2000}
)
_OTHERS = frozenset({"input", "timeout_s", "concurrency", "concurrency_per_key", "requests_per_minute"})


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
        """The limits of a policy value; what is missing or makes no sense keeps its default.

        Keys: ``input``, ``timeout_s``, ``concurrency``, ``requests_per_minute``; ``concurrency_per_key``, which only the
        database reads; every other one is a purpose or a step kind with the tokens of its answers.
        """
        if not isinstance(value, Mapping):
            return cls()
        usual = cls()
        given = {key: number for key, number in value.items() if _positive(number)}
        return cls(
            max_tokens=MappingProxyType(
                {**_MAX_TOKENS, **{key: int(number) for key, number in given.items() if key not in _OTHERS}}
            ),
            input_tokens=int(given.get("input", usual.input_tokens)),
            timeout_s=float(given.get("timeout_s", usual.timeout_s)),
            concurrency=int(given.get("concurrency", usual.concurrency)),
            requests_per_minute=int(given.get("requests_per_minute", usual.requests_per_minute)),
        )


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1
