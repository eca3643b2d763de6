"""Traces as docs/operations.md says: the real SDK in an environment of its own, and a collector that takes what comes."""

import re
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, environment
from tests.support.queue_rows import new_step
from tests.support.scratch import scratch_directory
from tests.support.sessions import Session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.packaging

GUIDE = ROOT / "docs/operations.md"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """The address of a collector, and what it was sent: paths and bodies."""
    came: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_the_commands_of_the_guide_send_spans_to_a_collector(
    collector: tuple[str, list[tuple[str, bytes]]], database: str, sql: Session
) -> None:
    address, came = collector
    found = re.search(r"^pip install (.*)\n(OTEL\S+=.*)$", GUIDE.read_text(), re.MULTILINE)
    assert found is not None
    with scratch_directory(executable=True) as directory:
        venv.create(directory / "env", with_pip=True)
        python = directory / "env/bin/python"
        packages = [*found[1].split(), f"opentelemetry-api=={version('opentelemetry-api')}"]
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *packages],
            capture_output=True,
            timeout=300,
            check=True,
        )
        # What the reactor itself needs comes from here, after what was installed there.
        ours = Path(next(path for path in sys.path if path.endswith("site-packages")))
        (next((directory / "env/lib").glob("python*/site-packages")) / "ours.pth").write_text(
            f"{ours}\n{ROOT}\n"
        )
        program = directory / "env/bin/voxyz-reactor"
        program.write_text(f"#!{python}\nfrom reactor.cli import main\nmain()\n")
        program.chmod(0o755)
        command = (
            found[2]
            .replace("http://collector:4318", address)
            .replace(".venv/bin", str(directory / "env/bin"))
        )
        bin_first = f"{directory / 'env/bin'}:/usr/bin:/bin"
        with subprocess.Popen(
            [
                "bash",
                "-c",
                f"export {command.replace(' opentelemetry-instrument', '; exec opentelemetry-instrument', 1)}",
            ],
            cwd=directory,
            env={
                **environment(DATABASE_URL=database, OPS_PORT="0", VOXYZ_LLM="mock", PATH=bin_first),
                "PYTHONPATH": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            overdue = threading.Timer(120, process.kill)
            overdue.start()
            try:
                assert process.stdout is not None
                lines: list[str] = []
                for line in process.stdout:
                    lines.append(line)
                    if line.startswith("ready"):
                        break
                assert process.poll() is None, "".join(lines)
                new_step(sql)
                wait_until(lambda: any(path == "/v1/traces" and b"step noop" in body for path, body in came))
            finally:
                overdue.cancel()
                process.terminate()
                process.communicate(timeout=60)
