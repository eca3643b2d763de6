"""The two commands at the top of the README, as they stand there: a clone, and the first start that ever was in it."""

import os
import re
import shlex
import signal
import subprocess
import threading

import pytest

from tests.cli.conftest import ROOT, environment
from tests.support.scratch import scratch_directory

FIRST_START_WITHIN_S = 400.0


@pytest.mark.packaging
def test_a_clone_is_ready_after_one_command() -> None:
    if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode != 0:
        pytest.skip("this is no checkout: it could not be cloned")
    block = re.search(
        r"```console\n(git clone .*)\n(bin/voxyz-reactor)\n```", (ROOT / "README.md").read_text()
    )
    assert block is not None
    clone = block[1].replace("<this repository>", shlex.quote(str(ROOT)))
    with (
        scratch_directory(executable=True) as directory,
        subprocess.Popen(
            ["bash", "-ec", f"{clone}\nexec {block[2]}"],
            cwd=directory,
            env={**os.environ, **environment(OPS_PORT="0", VOXYZ_LOG="console"), "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        overdue = threading.Timer(FIRST_START_WITHIN_S, lambda: os.killpg(process.pid, signal.SIGKILL))
        overdue.start()
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("ready"):
                    break
            assert said, "it said nothing"
            assert said[-1].startswith("ready: database embedded"), "".join(said)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=90)
            assert process.returncode == 0
        finally:
            overdue.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
