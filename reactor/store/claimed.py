"""Claimed rows, as the handlers get them: running, the attempt counted, fenced by the claim's token."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class ClaimedStep(NamedTuple):
    """A step of a mission, or a single job when ``mission_id`` is None. ``root_id``: the event its chain began with."""

    id: int
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    simulated: bool
    mission_id: int | None
    seq: int
    kind: str
    agent_id: str | None
    payload: dict[str, Any]
    root_id: int | None = None


class ClaimedRoundtable(NamedTuple):
    """A conversation; None or no participants: format and hour choose. ``token``: what its turns are written under."""

    id: int
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    simulated: bool
    format: str
    topic: str | None
    participants: list[str] | None
    token: UUID

    @property
    def kind(self) -> str:
        """What it is called in logs and metrics."""
        return self.format

    @property
    def mission_id(self) -> None:
        """Conversations belong to no mission."""

    @property
    def root_id(self) -> None:
        """Conversations begin chains, they are in none."""

    @property
    def agent_id(self) -> None:
        """Conversations belong to no single agent."""


class ClaimedInitiative(NamedTuple):
    """One agent asked to propose something."""

    id: int
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    simulated: bool
    agent_id: str
    trigger_reason: str | None

    @property
    def kind(self) -> str:
        """What it is called in logs and metrics."""
        return "initiative"

    @property
    def mission_id(self) -> None:
        """Initiatives belong to no mission."""

    @property
    def root_id(self) -> None:
        """Initiatives begin chains, they are in none."""


ClaimedRow = ClaimedStep | ClaimedRoundtable | ClaimedInitiative
