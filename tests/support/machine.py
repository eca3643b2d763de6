"""A machine of one's own under a real systemd: namespaces of this one, gone at the end with all that was changed there.

Its manager is process 1 with nothing to do at first: /etc is a copy, /var/lib and root's home keep what is written to them
in memory (and anybody may enter that home, where Python may live), there is no unit but our targets, and no init script. A
manager for root as a user is up too, for ``systemctl --user``. The network, /tmp and the programs are this machine's.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.scratch import scratch_directory
from tests.support.waiting import wait_until

BOOT = r"""
    set -eu
    mount --make-rprivate /
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/lock /run/user/0 /run/etc /run/var/up /run/var/work /run/home/up /run/home/work
    chmod 700 /run/user/0
    cp -a /etc/. /run/etc/
    rm -rf /run/etc/init.d /run/etc/rc?.d
    mount --bind /run/etc /etc
    mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/var/up,workdir=/run/var/work /var/lib
    home=$(getent passwd 0 | cut -d: -f6)
    mount -t overlay overlay -o lowerdir="$home",upperdir=/run/home/up,workdir=/run/home/work "$home"
    chmod 711 "$home"
    mount -t tmpfs tmpfs /etc/systemd/system
    mount -t tmpfs tmpfs /lib/systemd/system
    for name in sysinit basic shutdown umount local-fs network-online multi-user sockets timers paths slices; do
        printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$name" > /lib/systemd/system/$name.target
    done
    printf '%s\n' '[Unit]' 'DefaultDependencies=no' '[Service]' 'Type=notify' 'ExecStart=/lib/systemd/systemd --user' \
        "Environment=XDG_RUNTIME_DIR=/run/user/0 HOME=$home" 'Delegate=yes' > /lib/systemd/system/for-root.service
    printf '%s\n' '[Unit]' 'Wants=multi-user.target for-root.service' 'DefaultDependencies=no' \
        > /lib/systemd/system/all.target
    mount --make-rshared /
    export container=other
    exec /lib/systemd/systemd --system --unit=all.target --log-target=console --show-status=no
"""
APART = [
    "unshare",
    "--cgroup",
    "--mount",
    "--pid",
    "--uts",
    "--ipc",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
WITHIN_S = 180.0


class NoMachineError(Exception):
    """None can be had here; the message says why."""


class Machine:
    """Processes are started in it by ``run``; ``inside`` is what stands before their words."""

    def __init__(self, manager: int, log: Path) -> None:
        self.inside = ["nsenter", "-t", str(manager), "--mount", "--pid", "--uts", "--ipc"]
        self.log = log

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What a process said that has ended; nsenter would forget the directory, and env sets it again."""
        return subprocess.run(
            [*self.inside, "env", f"--chdir={cwd}", *words],
            env={**env, "XDG_RUNTIME_DIR": "/run/user/0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )


@contextmanager
def machine() -> Iterator[Machine]:
    """A machine that has started; at the end all its processes are gone. Raises NoMachineError."""
    if os.geteuid() != 0 or shutil.which("systemctl") is None:
        raise NoMachineError("it takes root and systemd")
    with scratch_directory() as folder, _group() as group:
        log = folder / "systemd.log"
        begun = f"echo $$ > {group}/cgroup.procs && exec {shlex.join(APART)} bash -c {shlex.quote(BOOT)}"
        with (
            log.open("wb") as said,
            subprocess.Popen(
                ["bash", "-c", begun], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                yield _started(process, log)
            finally:
                process.kill()


@contextmanager
def _group() -> Iterator[Path]:
    """A control group, so that its manager finds itself alone in one; gone at the end with all below."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for place in (words[1] for words in mounts if words[2] == "cgroup2"):
        group = Path(place, f"voxyz-test-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
            break
    else:
        raise NoMachineError("no control group can be had")
    try:
        yield group
    finally:
        wait_until(lambda: _removed(group))


def _removed(group: Path) -> bool:
    """Whether it is gone with all below; a group that looks empty is busy until its last process is buried."""
    with suppress(OSError):
        for below in reversed(_all(group)):
            below.rmdir()
    return not group.exists()


def _all(group: Path) -> list[Path]:
    """It and every group below it, parents first."""
    return [Path(path) for path, _, _ in os.walk(group)]


def _started(process: subprocess.Popen[bytes], log: Path) -> Machine:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: process.poll() is not None or bool(children.read_text().strip()))
    if process.poll() is None:
        found = Machine(int(children.read_text().split()[0]), log)

        def up() -> bool:
            asked = [*found.inside, "systemctl", "is-system-running"]
            said = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
            return process.poll() is not None or said in ("running", "degraded")

        wait_until(up)
    if process.poll() is not None:
        raise NoMachineError(f"systemd does not start in namespaces: {log.read_text()[-500:]}")
    return found
