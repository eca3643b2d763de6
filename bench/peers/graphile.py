"""graphile-worker, where there is node: installed by npm into the run's own folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.contestants import Statements
from bench.process import Contender, contender
from bench.stage import Server, Stage

VERSION = "0.17.3"  # the last that runs on any node in use; 0.18 asks for node 22.18
INSTALL_WITHIN_S = 180.0
WORKER = Path(__file__).with_name("graphile.mjs")
_places: dict[str, Path] = {}

_SQL = Statements(
    insert="select graphile_worker.add_job('mark', json_build_object('at', (%s::bigint)::text))",
    fill="select graphile_worker.add_jobs((select array_agg("
    "('noop', '{}', null, null, null, null, null, null)::graphile_worker.job_spec) from generate_series(1, %s)))",
    last="select max(id) from graphile_worker._private_jobs",
    ended="select not exists (select from graphile_worker._private_jobs where id = %s)",
    unfinished="select count(*) from graphile_worker._private_jobs where id > %s",
)


@dataclass(frozen=True)
class Graphile:
    """A worker with its default options; ``tuned``: with its local queue and batched completion."""

    tuned: bool = False
    sql: Statements = _SQL

    @property
    def name(self) -> str:
        return "graphile-worker, tuned" if self.tuned else "graphile-worker"

    @property
    def rows_s(self) -> float:
        return 15_000 if self.tuned else 1_500

    def missing(self, stage: Stage) -> str | None:
        if "modules" in _places:
            return None
        if shutil.which("node") is None or shutil.which("npm") is None:
            return "there is no node here"
        folder = stage.folder / "node"
        folder.mkdir(exist_ok=True)
        shutil.copy(WORKER, folder / WORKER.name)
        (folder / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", f"graphile-worker@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_WITHIN_S,
        )
        if done.returncode != 0:
            return f"npm could not install it: {done.stderr.strip().splitlines()[-1:]}"
        _places["modules"] = folder
        return None

    def version(self) -> str:
        return VERSION

    def install(self, dsn: str) -> None:
        command = ["node", str(_places["modules"] / WORKER.name), "migrate"]
        subprocess.run(
            command, env={**os.environ, **_environment(dsn)}, check=True, capture_output=True, timeout=60
        )

    @contextmanager
    def works(self, server: Server, database: str) -> Iterator[Contender]:
        command = ["node", str(_places["modules"] / WORKER.name), "tuned" if self.tuned else "defaults"]
        with contender(self.name, command, _environment(server.dsn(database))) as running:
            yield running


def _environment(dsn: str) -> Mapping[str, str]:
    # Its driver does not read an address without a host; it does read these.
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    return {
        "PGHOST": query["host"][0],
        "PGPORT": query["port"][0],
        "PGUSER": parts.username or "",
        "PGDATABASE": parts.path.lstrip("/"),
    }


if __name__ == "__main__":
    sys.exit("the worker of this peer is graphile.mjs")
