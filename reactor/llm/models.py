"""What each model takes: a table, read by the beginning of a model's id.

Facts from the provider's documentation of October 2026: models since Opus 4.7 and the fifth generation take no sampling
parameters; the 5.5 ones think unless told otherwise, Haiku by ``disabled`` and Sonnet by ``between_tools``, while Opus and
Fable always think; what is thought is billed and counts in max_tokens. Prompts are kept in the provider's cache from 512
(older models: 1,024 to 4,096) tokens on.
"""

from dataclasses import dataclass
from typing import Final

from reactor.llm.request import LLMRequest

# Tokens for thoughts beside those of the answer, where a model thinks.
THINKING_TOKENS: Final = 3000


@dataclass(frozen=True, slots=True)
class Model:
    """What a model takes.

    ``sampling``: temperature. ``schema``: the shape of its answer, to which it is then bound. ``no_thinking``: the type of
    thinking to ask for when there should be none; None where nothing is to be said. ``thinks``: it thinks whatever it is
    told. ``thinking``: the type to ask for when there should be some. ``cached_from``: tokens a prompt's beginning must have
    to be kept; 0: it keeps none.
    """

    sampling: bool = False
    schema: bool = True
    no_thinking: str | None = None
    thinks: bool = False
    thinking: str | None = "adaptive"
    cached_from: int = 1024

    def thinks_about(self, request: LLMRequest) -> bool:
        """Whether it will think before it answers ``request``."""
        return self.thinks or (request.thinking and self.thinking is not None)

    def output_tokens(self, request: LLMRequest) -> int:
        """The most tokens it may use for an answer to ``request``, thoughts included."""
        return request.max_tokens + (THINKING_TOKENS if self.thinks_about(request) else 0)


_ALWAYS: Final = Model(thinks=True, thinking=None, cached_from=512)
_BEFORE_4_7: Final = Model(sampling=True, thinking=None, cached_from=4096)

# The first one whose name the id begins with. What is not in it: a model of the house yet to come, or a stranger's.
MODELS: Final[tuple[tuple[str, Model], ...]] = (
    ("claude-haiku-5-5", Model(no_thinking="disabled", cached_from=512)),
    ("claude-sonnet-5-5", Model(no_thinking="between_tools", cached_from=512)),
    ("claude-opus-5-5", _ALWAYS),
    ("claude-fable-", _ALWAYS),
    ("claude-mythos-", _ALWAYS),
    ("claude-opus-5", Model(no_thinking="disabled")),
    ("claude-sonnet-5", Model(no_thinking="disabled")),
    ("claude-opus-4-8", Model(cached_from=4096)),
    ("claude-opus-4-7", Model(cached_from=4096)),
    ("claude-opus-4-", _BEFORE_4_7),
    ("claude-sonnet-4-", _BEFORE_4_7),
    ("claude-haiku-4-", _BEFORE_4_7),
    ("claude-3", Model(sampling=True, schema=False, thinking=None, cached_from=4096)),
    ("claude-", _ALWAYS),
    ("", Model(sampling=True, schema=False, thinking=None, cached_from=0)),
)


def model_named(model: str) -> Model:
    """What the model of that id takes; one that is not known is given room for thoughts, a stranger's plain words only."""
    return next(entry for name, entry in MODELS if model.startswith(name))
