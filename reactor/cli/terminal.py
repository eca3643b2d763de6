"""What a person sees of the work: one line as a row starts, one as it ends; above 20 rows a second only the rate."""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

import click
import structlog

from reactor.cli.output import clean
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Interrupted, Outcome, Snooze
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedInitiative, ClaimedRoundtable, ClaimedRow

CALM_PER_S = 20  # above this nobody can read along
SHOWN = 100  # characters of a result

log = structlog.get_logger()
_root = logging.getLogger()  # `logs.configure` sets its level


def queue_of(row: ClaimedRow) -> Queue:
    """The queue a claimed row came from."""
    if isinstance(row, ClaimedRoundtable):
        return Queue.ROUNDTABLE
    return Queue.INITIATIVE if isinstance(row, ClaimedInitiative) else Queue.MISSION


class TerminalWatcher:
    """Tells a person at a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._second = 0
        self._lines = 0
        self._ended = 0

    def began(self, row: ClaimedRow) -> None:
        """One line, unless too many begin."""
        if self._calm():
            self._line(
                "▶", "cyan", row, "" if row.attempt == 1 else f"attempt {row.attempt} of {row.max_attempts}"
            )

    def ended(self, row: ClaimedRow, outcome: Outcome, seconds: float) -> None:
        """One line, unless too many end; then the rate once a second."""
        self._ended += 1
        if not self._calm():
            return
        took = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        match outcome:
            case Done(result, simulated):
                self._line("✓", "green", row, f"{took}{'  simulated' if simulated else ''}  {said(result)}")
            case Fail(reason, retry):
                again = retry and row.attempt < row.max_attempts
                self._line(
                    "✗", "yellow" if again else "red", row, f"{took}  {'retry: ' if again else ''}{reason}"
                )
            case Snooze(delay_s, reason):
                self._line("z", "blue", row, f"again in {delay_s:g} s  {reason}")
            case Cancel(reason):
                self._line("■", "yellow", row, f"cancelled: {reason}")
            case GiveBack(reason):
                self._line("↩", "yellow", row, f"given back: {reason}")
            case Interrupted(reason):
                self._line("↩", "yellow", row, f"interrupted: {reason}")

    def _calm(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            if self._lines > CALM_PER_S:
                self._write(click.style(f"  … {self._ended} rows/s", fg="cyan"))
            self._second, self._lines, self._ended = now, 0, 0
        self._lines += 1
        return self._lines <= CALM_PER_S

    def _line(self, sign: str, colour: str, row: ClaimedRow, text: str) -> None:
        mission = f" of mission {row.mission_id}" if row.mission_id is not None else ""
        who = f" {row.agent_id}" if row.agent_id else ""
        name = f"{queue_of(row).what} {row.id}{mission} {clean(row.kind)}{who}"
        self._write(f"{click.style(sign, fg=colour)} {name}  {click.style(clean(text), dim=True)}".rstrip())

    def _write(self, line: str) -> None:
        with suppress(OSError):  # nobody looks any more
            click.echo(line, file=self._stream)


class LogWatcher:
    """Tells the log, in fields, without anything agents read or write.

    Asks first whether anybody listens: a bound logger for a line that is not logged would cost more than the row.
    """

    def began(self, row: ClaimedRow) -> None:
        """Debug: the end says all."""
        if _root.isEnabledFor(logging.DEBUG):
            log.debug("row_started", **_fields(row))

    def ended(self, row: ClaimedRow, outcome: Outcome, seconds: float) -> None:
        """One line a row; failures as warnings."""
        match outcome:
            case Done() if not _root.isEnabledFor(logging.INFO):
                pass
            case Done(_, simulated):
                log.info("row_succeeded", **_fields(row), seconds=round(seconds, 3), simulated=simulated)
            case Fail(reason, retry):
                again = retry and row.attempt < row.max_attempts
                log.warning("row_retried" if again else "row_failed", **_fields(row), reason=reason)
            case Snooze(delay_s, reason):
                log.info("row_snoozed", **_fields(row), delay_s=delay_s, reason=reason)
            case Cancel(reason):
                log.info("row_cancelled", **_fields(row), reason=reason)
            case GiveBack(reason):
                log.info("row_given_back", **_fields(row), reason=reason)
            case Interrupted(reason):
                log.warning("row_interrupted", **_fields(row), reason=reason)


def _fields(row: ClaimedRow) -> dict[str, object]:
    return {
        "queue": queue_of(row).value,
        "id": row.id,
        "mission_id": row.mission_id,
        "kind": row.kind,
        "agent": row.agent_id,
        "attempt": row.attempt,
    }


def said(result: Mapping[str, object]) -> str:
    """The gist of a result: its text, else its first words."""
    text = result.get("text")
    gist = clean(
        text if isinstance(text, str) else ", ".join(f"{key}: {value}" for key, value in result.items())
    )
    return gist if len(gist) <= SHOWN else gist[: SHOWN - 1] + "…"
