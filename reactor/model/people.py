"""Who the work is for and who does it: the company as policy ``company`` describes it, and its agents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Agent(NamedTuple):
    """One of the team. A null ``model`` means the default one."""

    id: str
    display_name: str
    role: str = ""
    tone: str = ""
    quirk: str = ""
    directive: str = ""
    model: str | None = None
    active: bool = True


TEAM = Agent("team", "The team", role="everybody at once", tone="plain and friendly")
"""Who speaks when nobody in particular was asked and nobody is active."""


@dataclass(frozen=True, slots=True)
class Company:
    """What the company is; every text may be empty."""

    name: str = ""
    what: str = ""
    customers: str = ""
    goals: tuple[str, ...] = ()
    tone: str = ""
    never: tuple[str, ...] = ()
    timezone: str = ""

    @property
    def introduced(self) -> bool:
        """Whether anybody has said what it is."""
        return bool(self.name or self.what)

    @property
    def called(self) -> str:
        """Its name, or words that fit where the name would stand."""
        return self.name or "the company"

    @classmethod
    def from_policy(cls, value: object) -> "Company":
        """The company of a policy value; what is missing or of another type counts as empty."""
        if not isinstance(value, Mapping):
            return cls()
        texts = {key: _text(value.get(key)) for key in ("name", "what", "customers", "tone", "timezone")}
        return cls(**texts, goals=_texts(value.get("goals")), never=_texts(value.get("never")))


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    return tuple(text for text in map(_text, value) if text)
