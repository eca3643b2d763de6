"""Files made from code are what the code says now, and what they are for reads them."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from reactor.cli.generated import generated
from reactor.cli.units import SPLIT
from tests.cli.conftest import COMMAND, environment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", generated())
def test_a_generated_file_is_current(name: str) -> None:
    path = ROOT / name
    assert path.exists(), f"{name} is missing: run bin/generate"
    assert path.read_text(encoding="utf-8") == generated()[name], f"{name} is out of date: run bin/generate"


def test_the_manual_is_formatted_without_a_complaint_and_knows_every_command() -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed: the page was not formatted")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", ROOT / "deploy/man/voxyz-reactor.1"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(MANWIDTH="100", LC_ALL="C.UTF-8"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("service install", "memories", "OPS_GRACE_S", "EXIT STATUS"):
        assert word in done.stdout


def test_bash_completes_our_words(tmp_path: Path) -> None:
    program = tmp_path / "voxyz-reactor"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    script = (
        f'PATH={tmp_path}:$PATH; eval "$(voxyz-reactor completion bash)"\n'
        "complete -p voxyz-reactor; COMP_WORDS=(voxyz-reactor serv); COMP_CWORD=1\n"
        '_voxyz_reactor_completion voxyz-reactor; echo "${COMPREPLY[@]}"\n'
        "COMP_WORDS=(voxyz-reactor service u); COMP_CWORD=2; COMPREPLY=()\n"
        '_voxyz_reactor_completion voxyz-reactor; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment(), check=True
    )
    assert done.stdout.splitlines()[-2:] == ["service", "uninstall"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_find_their_script_well_written(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed: its completions were not read")
    script = subprocess.run(
        [*COMMAND, "completion", shell], capture_output=True, timeout=60, env=environment(), check=True
    )
    done = subprocess.run([program, "-n"], input=script.stdout, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Our command by its name, in a directory of its own."""
    path = tmp_path / "voxyz-reactor"
    path.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    path.chmod(0o755)
    return path


def test_fish_completes_our_words(program: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed: it completed nothing")
    done = subprocess.run(
        [fish, "-c", 'voxyz-reactor completion fish | source; complete -C "voxyz-reactor service un"'],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(PATH=f"{program.parent}:{os.environ['PATH']}", HOME=str(program.parent)),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "uninstall"


def test_zsh_completes_our_words(program: Path) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed: it completed nothing")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [zsh, "-f", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=environment(
            PATH=f"{program.parent}:{os.environ['PATH']}", HOME=str(program.parent), TERM="xterm", PS1="%% "
        ),
    ) as shell:
        try:
            os.close(theirs)
            type_in(ours, "autoload -Uz compinit; compinit -u -D; print loa''ded\n", "loaded")
            type_in(ours, "source <(voxyz-reactor completion zsh); print kno''wn\n", "known")
            type_in(ours, "voxyz-reactor service un\t", "uninstall")
        finally:
            shell.kill()
            os.close(ours)


def type_in(terminal: int, keys: str, until: str) -> None:
    """``keys`` are typed, and ``until`` has been shown."""
    os.write(terminal, keys.encode())
    shown, deadline = "", time.monotonic() + 60
    while until not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
        left = deadline - time.monotonic()
        assert left > 0, shown
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")


def test_the_split_services_run_every_part_once() -> None:
    from reactor.cli.run import PARTS

    assert [part for one in SPLIT for part in one.parts] == list(PARTS)
