"""From ``bin/voxyz-reactor`` to ``ready``, and what the whole product weighs when it has nothing to do."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.process import ROOT, BenchError, Contender, contender, family, memory_mb, proportional_mb
from bench.stage import Stage

ROUNDS = 5
SETTLE_S = 3.0
CLONE_WITHIN_S = 60.0
FIRST_WITHIN_S = 900.0
_NETWORK = ("PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    new: list[float] = []
    existing: list[float] = []
    joining: list[float] = []
    shares: list[float] = []
    rss: list[float] = []
    with stage.progress("start", rounds * 3 + (0 if stage.quick else 1)) as part:
        with _home(stage) as home, _product(ROOT, home) as warm_up:
            warm_up.await_ready(FIRST_WITHIN_S)  # the environment is in place, and in the page cache
        for _ in range(rounds):
            with _home(stage) as home:
                part("new database")
                with _product(ROOT, home) as first:
                    new.append(_ready_s(first))
                part("existing database")
                with _product(ROOT, home) as second:
                    existing.append(_ready_s(second))
                    part("running database")
                    with _product(ROOT, home) as third:
                        joining.append(_ready_s(third))
                    time.sleep(SETTLE_S if not stage.quick else 0.5)
                    everything = [*family(second.pid), *_server_processes(home)]
                    shares.append(sum(proportional_mb(pid) for pid in everything))
                    rss.append(sum(memory_mb(pid, "VmRSS") for pid in everything))
        if not stage.quick:
            part("a clean checkout")
            _first_ever(stage)
    _tell(stage, new, existing, joining, shares, rss)


def _tell(
    stage: Stage,
    new: list[float],
    existing: list[float],
    joining: list[float],
    shares: list[float],
    rss: list[float],
) -> None:
    for what, values, bar in (
        ("new database", new, 4.0),
        ("existing database", existing, 2.0),
        ("running database", joining, 1.0),
    ):
        stage.run.add("start", what, "s", values, better="less", bar=bar)
    stage.run.add("start", "memory of reactor and server", "MB", shares, better="less", bar=350,
                  note="shared pages counted once")  # fmt: skip
    stage.run.add("start", "sum of resident memory", "MB", rss, better="less",
                  note="shared pages counted in every process")  # fmt: skip


@contextmanager
def _home(stage: Stage) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=stage.folder))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _product(root: Path, home: Path, more: Mapping[str, str] | None = None) -> Iterator[Contender]:
    """The command of a checkout with its embedded database in ``home``."""
    command = [sys.executable, str(root / "bin" / "voxyz-reactor")]
    environment = {
        "VOXYZ_HOME": str(home / "voxyz"),
        "OPS_PORT": "0",
        "VOXYZ_LLM": "mock",
        "PYTHONPATH": "",
        **(more or {}),
    }
    with contender("bin/voxyz-reactor", command, environment) as running:
        yield running


def _ready_s(product: Contender, within_s: float = 60.0) -> float:
    product.await_ready(within_s)
    return time.monotonic() - product.began


def _server_processes(home: Path) -> list[int]:
    pid_files = list(home.rglob("postmaster.pid"))
    if not pid_files:
        raise BenchError(f"no embedded server in {home}")
    return family(int(pid_files[0].read_text().splitlines()[0]))


def _first_ever(stage: Stage) -> None:
    """The first start of a fresh clone, which makes its environment, downloads included."""
    with _home(stage) as home:
        clone = home / "checkout"
        command = ["git", "clone", "--quiet", str(ROOT), str(clone)]
        if subprocess.run(command, capture_output=True, timeout=CLONE_WITHIN_S).returncode != 0:
            stage.run.missing["first start ever"] = "this is no git checkout"
            return
        network = {name: os.environ[name] for name in os.environ if name.upper().startswith(_NETWORK)}
        try:
            with _product(clone, home, network) as product:
                seconds = _ready_s(product, FIRST_WITHIN_S)
        except BenchError as error:
            stage.run.missing["first start ever"] = str(error).strip().splitlines()[-1]
            return
    stage.run.add(
        "start", "first ever, in a clean checkout", "s", [seconds], better="less", bar=90,
        note="depends on the network and on pip's cache",
    )  # fmt: skip
