"""``voxyz-reactor run`` as a service manager has it: a real process, its log as JSON, its signals."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parents[2]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Daemon:
    """A started reactor process; ``folder`` is the directory it was started in."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """Its standard output so far."""
        return (self.folder / "out").read_text()

    def errors(self) -> str:
        """Its standard error so far."""
        return (self.folder / "err").read_text()

    def log(self, *events: str) -> list[dict[str, Any]]:
        """The lines of its log so far, or those of ``events``; fails when it said anything else there."""
        lines = [json.loads(line) for line in self.errors().splitlines()]
        return [line for line in lines if not events or line["event"] in events]

    def warnings(self) -> list[str]:
        """The events of its log that are warnings or worse."""
        return [line["event"] for line in self.log() if line["level"] in ("warning", "error", "critical")]

    def cpu_s(self) -> float:
        """Processor time it has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    async def until_ready(self, within_s: float = 60.0) -> None:
        """It has said that it is ready."""
        await self.until(lambda: self.said().startswith("ready"), within_s)

    async def until_logged(self, event: str, times: int = 1, within_s: float = 60.0) -> None:
        """It has logged ``event`` so often."""
        await self.until(lambda: len(self.log(event)) >= times, within_s)

    async def until(self, true: Any, within_s: float = 60.0) -> None:
        """``true()`` has become true, and the process lives."""
        with trio.move_on_after(within_s) as scope:
            while not true():
                assert self.process.poll() is None, (
                    f"it ended with {self.process.returncode}: {self.errors()}"
                )
                await trio.sleep(0.01)
        assert not scope.cancelled_caught, f"not within {within_s} s; it said {self.said()}{self.errors()}"

    def tell(self, number: signal.Signals) -> None:
        """It gets the signal."""
        self.process.send_signal(number)

    async def ended(self, within_s: float = 60.0) -> int:
        """It has ended by itself; its exit code."""
        with trio.fail_after(within_s):
            while (code := self.process.poll()) is None:
                await trio.sleep(0.01)
        return code


@contextmanager
def daemon(*parts: str, kinds: str = "", under: Sequence[str] = (), **variables: str) -> Iterator[Daemon]:
    """A reactor with these ``parts`` and settings, not necessarily ready yet; killed at the end if it still runs.

    ``kinds`` is the source of a module with kinds of its own; ``under`` is a command that executes the rest of its words.
    """
    with tempfile.TemporaryDirectory(prefix="voxyz-daemon-") as scratch:
        folder = Path(scratch)
        if kinds:
            (folder / "kinds_of_its_own.py").write_text(kinds)
            variables["VOXYZ_KINDS"] = "kinds_of_its_own"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        settings = {"OPS_PORT": "0", "VOXYZ_LOG": "json", "VOXYZ_LLM": "mock", "TZ": "UTC", **variables}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [*under, sys.executable, "-m", "reactor.cli", "run", *parts],
                cwd=folder,
                env={**kept, "PYTHONPATH": f"{ROOT}:{folder}", **settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        try:
            yield Daemon(process, folder)
        finally:
            process.kill()
            process.wait(20)
