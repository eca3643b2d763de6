"""The units: read by systemd itself, and run by its user manager where a namespace for it can be had."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reactor.cli.units import USUAL, WHOLE, Place, unit
from tests.cli.conftest import COMMAND, Answer, Voxyz, environment
from tests.support.machine import NoMachineError, machine
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
LARGEST_EXPOSURE = 20  # tenths of systemd's scale from 0 to 10; above 20 it is no longer "OK"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed: its units were not read"
)


@pytest.fixture
def here() -> Iterator[Path]:
    with scratch_directory(executable=True) as directory:
        yield directory


@pytest.fixture
def units(here: Path, anywhere: Voxyz) -> list[Path]:
    """All units, for the program of this checkout."""
    texts = []
    for words in ((), ("--split",)):
        answer = anywhere("service", "print", "--run-as", "daemon", *words)
        assert answer.code == 0, answer
        texts += answer.out.split("# /etc/systemd/system/")[1:]
    found = []
    for text in texts:
        name, _, body = text.partition("\n")
        (here / name).write_text(body)
        found.append(here / name)
    assert len(found) == 5
    return found


@pytest.fixture
def anywhere(here: Path) -> Voxyz:
    def call(*words: str, stdin: str | None = None, **variables: str) -> Answer:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=here,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@needs_systemd
def test_systemd_finds_nothing_to_say_about_them(units: list[Path]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_they_are_exposed_as_little_as_can_be(units: list[Path]) -> None:
    for path in units:
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", f"--threshold={LARGEST_EXPOSURE}", path],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout[-600:]


def test_they_take_directory_grace_and_database_from_where_they_will_run(here: Path, anywhere: Voxyz) -> None:
    there = here / "with space"
    there.mkdir()
    (there / ".env").write_text("OPS_GRACE_S=90.5\n")
    text = anywhere("service", "print", "--user", "--directory", str(there)).out
    assert "TimeoutStopSec=121\n" in text
    assert f"WorkingDirectory={here}/with\\x20space\n" in text
    assert f"Environment=VOXYZ_HOME={here}/with\\x20space/.voxyz\n" in text
    assert "User=" not in text


def test_who_called_sudo_is_whom_they_run_as(here: Path, anywhere: Voxyz) -> None:
    text = anywhere("service", "print", SUDO_USER="nobody").out
    assert "User=nobody\n" in text
    assert f"WorkingDirectory={here}\n" in text
    assert "StateDirectory" not in text
    usual = anywhere("service", "print").out
    assert "User=voxyz-reactor\n" in usual
    assert "StateDirectory=voxyz-reactor\n" in usual


def test_what_cannot_work_is_refused_in_one_line(here: Path, anywhere: Voxyz) -> None:
    private = {"XDG_CONFIG_HOME": str(here / "config")}
    line = anywhere("service", "install", "--user", "--split", **private).complained(2)
    assert "DATABASE_URL" in line
    line = anywhere("service", "install", "--user", **private, DATABASE_URL="postgresql:///db").complained(2)
    assert f"does not see the DATABASE_URL of this shell: write it into {here}/.env" in line
    line = anywhere("service", "print", "--user", "--run-as", "nobody").complained(2)
    assert "--run-as" in line
    assert not (here / "config").exists()
    if os.geteuid() == 0:
        for words in (["--user"], ["--run-as", "root"]):
            line = anywhere("service", "install", *words, **private).complained(2)
            assert "root's embedded database" in line
        line = anywhere("service", "install", "--run-as", "nobody-at-all").complained(2)
        assert "no account nobody-at-all" in line
        here.chmod(0o700)
        line = anywhere(
            "service", "install", "--run-as", "nobody", "--directory", str(here / "in")
        ).complained(2)
        assert f"may not enter {here}" in line
        line = anywhere("service", "install", "--directory", str(here / "in")).complained(2)
        assert "voxyz-reactor may not enter" in line, "and it was not made before that was known"
    else:
        assert "needs root" in anywhere("service", "install").complained(2)


def test_without_systemd_they_are_written_and_the_next_step_is_said(here: Path, anywhere: Voxyz) -> None:
    private = {"XDG_CONFIG_HOME": str(here / "config")}
    (here / ".env").write_text("DATABASE_URL=postgresql:///somewhere\n")
    answer = anywhere("service", "install", "--user", "--no-start", **private)
    assert answer.code == 0, answer
    path = here / "config/systemd/user/voxyz-reactor.service"
    assert path.read_text() == anywhere("service", "print", "--user", **private).out.partition("\n")[2]
    assert "systemctl --user enable --now voxyz-reactor.service" in answer.out


BESIDE_THE_SYSTEM = """
    set -eu
    mount --make-rprivate /
    mount -t tmpfs tmpfs /etc/systemd/system
    $VOXYZ service install --run-as root --no-start
    cp /etc/systemd/system/voxyz-reactor.service .
    $VOXYZ service install --split --run-as root --no-start 2>&1 || echo "refused with $?"
    $VOXYZ service uninstall
    $VOXYZ service install --split --run-as root --no-start
    ls /etc/systemd/system
    $VOXYZ service uninstall
    ls /etc/systemd/system
"""


def test_the_units_of_the_machine_are_written_where_it_looks_and_taken_away_again(
    here: Path, anywhere: Voxyz
) -> None:
    """In a mount namespace with a directory of units that is gone afterwards; nothing is started."""
    if (
        os.geteuid() != 0
        or not Path("/etc/systemd/system").is_dir()
        or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0
    ):
        pytest.skip("no mount namespace or no systemd here: the machine's units were not installed")
    (here / ".env").write_text("DATABASE_URL=postgresql:///somewhere\n")
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", textwrap.dedent(BESIDE_THE_SYSTEM)],
        cwd=here,
        env=environment(VOXYZ=f"{sys.executable} -m reactor.cli"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    folder = "/etc/systemd/system"
    split = [
        f"ops-{name}.service"
        for name in ("mission-worker", "roundtable-worker", "initiative-worker", "schedule-conversations")
    ]
    assert done.stdout.splitlines() == [
        f"written: {folder}/voxyz-reactor.service",
        "start with: systemctl daemon-reload && systemctl enable --now voxyz-reactor.service",
        "voxyz-reactor: voxyz-reactor.service is installed: take that away first with `voxyz-reactor service uninstall`",
        "refused with 2",
        f"removed: {folder}/voxyz-reactor.service",
        *(f"written: {folder}/{name}" for name in split),
        f"start with: systemctl daemon-reload && systemctl enable --now {' '.join(split)}",
        *sorted(split),
        *(f"removed: {folder}/{name}" for name in split),
    ]
    printed = anywhere("service", "print", "--run-as", "root").out.partition("\n")[2]
    assert (here / "voxyz-reactor.service").read_text() == printed


def test_they_see_homes_and_temporary_files_only_where_they_live_there() -> None:
    def said(place: Place = USUAL) -> list[str]:
        text = unit(WHOLE[0], place)
        return re.findall(r"^(?:ProtectHome|PrivateTmp)=(\S+)$", text, re.MULTILINE)

    assert said() == ["yes", "yes"]
    assert said(replace(USUAL, python=Path(pwd.getpwuid(0).pw_dir, "python/bin/python3"))) == [
        "yes",
        "read-only",
    ]
    assert said(replace(USUAL, program=Path("/home/me/voxyz-reactor/bin/voxyz-reactor"))) == [
        "yes",
        "read-only",
    ]
    assert said(replace(USUAL, directory=Path("/tmp/tried"))) == ["no", "yes"]


AT_WORK = """
    set -eu
    cd /
    $VOXYZ service install
    show() { systemctl show -p "$1" --value voxyz-reactor.service; }
    main=$(show MainPID)
    echo "$(show ActiveState), $(show StatusText), as $(stat -c %U /proc/$main)"
    grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/$main/status
    for place in /usr /etc /home /var/lib; do
        nsenter -t $main --mount touch $place/tried 2> /dev/null && echo "wrote to $place"
    done
    nsenter -t $main --mount touch /var/lib/voxyz-reactor/tried && echo "writes to its own"
    cd /var/lib/voxyz-reactor
    as() { setpriv --reuid voxyz-reactor --regid voxyz-reactor --clear-groups env HOME="$PWD" "$@"; }
    as $VOXYZ enqueue step noop --wait > /dev/null && echo "worked"
    kill -9 $main
    until [ "$(show MainPID)" != "$main" ] && [ "$(show ActiveState)" = active ]; do sleep 0.1; done
    as $VOXYZ enqueue step noop --wait > /dev/null && echo "worked after a crash"
    $VOXYZ service uninstall
    test "$(pgrep -c postgres)" = 0 && echo "its database has ended too"
    getent passwd voxyz-reactor | cut -d: -f6-
"""


@needs_systemd
def test_the_manager_of_a_machine_runs_it_with_all_that_the_unit_forbids(here: Path) -> None:
    """On a machine of its own: the account is made there, and the embedded server lives in its directory."""
    try:
        with machine() as own:
            done = own.run(
                ["bash", "-c", textwrap.dedent(AT_WORK)],
                cwd=here,
                env=environment(VOXYZ=f"{sys.executable} -m reactor.cli"),
            )
            log = own.log.read_text()[-3000:]
    except NoMachineError as error:
        pytest.skip(f"the machine's units were not run by systemd: {error}")
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:], log)
    assert done.stdout.splitlines() == [
        "made: the account voxyz-reactor",
        "written: /etc/systemd/system/voxyz-reactor.service",
        "started: voxyz-reactor.service",
        "active, 0 running, as voxyz-reactor",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "writes to its own",
        "worked",
        "worked after a crash",
        "removed: /etc/systemd/system/voxyz-reactor.service",
        "its database has ended too",
        "/var/lib/voxyz-reactor:/usr/sbin/nologin",
    ]


IN_A_NAMESPACE = """
    set -eu
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/user/0
    chmod 700 /run/user/0
    export XDG_RUNTIME_DIR=/run/user/0 HOME="$PWD/home" XDG_CONFIG_HOME="$PWD/home/.config"
    mkdir -p "$XDG_CONFIG_HOME"
    /lib/systemd/systemd --user --log-target=console --log-level=info > systemd.log 2>&1 &
    until systemctl --user is-system-running 2> /dev/null | grep -qE 'running|degraded'; do sleep 0.1; done

    say() { echo "$@"; }
    show() { systemctl --user show -p "$1" --value voxyz-reactor.service; }
    until_shown() { until [ "$(show "$1")" = "$2" ]; do sleep 0.1; done; say "$1 $2"; }
    work() { $VOXYZ enqueue step noop --wait > /dev/null && say "$1"; }

    $VOXYZ service install --user
    until_shown ActiveState active
    until_shown StatusText "0 running"
    work "worked"

    first=$(show MainPID)
    kill -9 "$first"
    until [ "$(show MainPID)" != "$first" ] && [ "$(show ActiveState)" = active ]; do sleep 0.1; done
    work "worked after a crash"

    mkdir -p "$XDG_CONFIG_HOME/systemd/user/voxyz-reactor.service.d"
    printf '[Service]\\nWatchdogSec=3\\n' > "$XDG_CONFIG_HOME/systemd/user/voxyz-reactor.service.d/test.conf"
    $VOXYZ service install --user > /dev/null
    until_shown ActiveState active
    first=$(show MainPID)
    kill -STOP "$first"
    until [ "$(show MainPID)" != "$first" ] && [ "$(show ActiveState)" = active ]; do sleep 0.1; done
    work "worked after standing still"

    systemctl --user stop voxyz-reactor.service
    until_shown ActiveState inactive
    until_shown Result success
    printf 'POOL_MAX=none\\n' >> .env
    systemctl --user start voxyz-reactor.service || say "a wrong setting does not start"
    until_shown ExecMainStatus 2
    until_shown NRestarts 0
    $VOXYZ service uninstall --user
    $VOXYZ service uninstall --user
"""


@needs_systemd
def test_its_user_manager_starts_watches_restarts_and_stops_the_reactor(
    here: Path, server: PrivateServer, database: str
) -> None:
    namespace = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0 or subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no namespace of our own here: the units were not run by systemd")
    (here / ".env").write_text(f"DATABASE_URL={database}\nVOXYZ_LLM=mock\nOPS_PORT=0\n")
    program = here / "voxyz-reactor"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m reactor.cli "$@"\n')
    program.chmod(0o755)
    bin_first = f"{here}:{os.environ['PATH']}"
    done = subprocess.run(
        [*namespace, "bash", "-c", textwrap.dedent(IN_A_NAMESPACE)],
        cwd=here,
        env=environment(PATH=bin_first, VOXYZ=f"{sys.executable} -m reactor.cli"),
        capture_output=True,
        text=True,
        timeout=240,
    )
    log = (here / "systemd.log").read_text()[-3000:]
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:], log)
    unit = here / "home/.config/systemd/user/voxyz-reactor.service"
    assert done.stdout.splitlines() == [
        f"written: {unit}",
        "started: voxyz-reactor.service",
        "it stops when you log out, unless you say once: loginctl enable-linger",
        "ActiveState active",
        "StatusText 0 running",
        "worked",
        "worked after a crash",
        "ActiveState active",
        "worked after standing still",
        "ActiveState inactive",
        "Result success",
        "a wrong setting does not start",
        "ExecMainStatus 2",
        "NRestarts 0",
        f"removed: {unit}",
        "nothing to do: no unit of ours is installed",
    ]
    assert not unit.exists()
