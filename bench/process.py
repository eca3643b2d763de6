"""Contestants as processes: started, waited for, looked at, ended. Every wait has a deadline."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN_S = 60.0
END_WITHIN_S = 20.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TZDIR", "LD_LIBRARY_PATH")


class BenchError(Exception):
    """A contestant did not do its part; the message says which, and where its words are."""


def wait_until(true: Callable[[], bool], what: str, *, within_s: float, gap_s: float = 0.005) -> None:
    """``true()`` has become true. Raises: BenchError: not within ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {within_s:g} s")
        time.sleep(gap_s)


class Contender:
    """A running process with its output in files, and the file it marks its handlers' entries in."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name = name
        self.process = process
        self.folder = folder
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def said(self) -> str:
        """Its standard output so far."""
        return (self.folder / "out").read_text(errors="replace")

    def errors(self) -> str:
        """The end of its standard error."""
        return (self.folder / "err").read_text(errors="replace")[-2000:]

    def marks(self) -> list[list[int]]:
        """The marks that are complete, each a list of whole numbers as its handler wrote them."""
        path = self.folder / "marks"
        text = path.read_text() if path.exists() else ""
        return [[int(word) for word in line.split()] for line in text[: text.rfind("\n") + 1].splitlines()]

    def await_ready(self, within_s: float = START_WITHIN_S) -> None:
        """It has said that it is ready. Raises: BenchError: it ended, or took too long."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.process.returncode}: {self.errors()}")
            return any(line.startswith("ready") for line in self.said().splitlines())

        wait_until(ready, f"{self.name} ready", within_s=within_s, gap_s=0.002)

    def cpu_s(self) -> float:
        """Processor time it has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def rss_mb(self) -> float:
        """Resident memory now, in MB."""
        return memory_mb(self.pid, "VmRSS")

    def peak_mb(self) -> float:
        """The most resident memory it ever had, in MB."""
        return memory_mb(self.pid, "VmHWM")

    def stop(self) -> None:
        """It was asked to end and has ended; if it will not, it is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """It is gone at once."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(END_WITHIN_S)


@contextmanager
def contender(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path | None = None
) -> Iterator[Contender]:
    """A started process in an empty directory, with a clean environment and BENCH_MARKS; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-process-") as scratch:
        folder = Path(scratch)
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        given = {**kept, "PYTHONPATH": str(ROOT), "BENCH_MARKS": str(folder / "marks"), **environment}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                list(command),
                cwd=cwd or folder,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        running = Contender(name, process, folder)
        try:
            yield running
        finally:
            running.stop()


def memory_mb(pid: int, what: str) -> float:
    """A line such as VmRSS of the process's status, in MB; 0 when the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def proportional_mb(pid: int) -> float:
    """The process's share of the memory it uses, shared pages divided among their users, in MB."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
    return found
