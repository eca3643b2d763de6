"""A disk that is full soon, and databases on it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A directory on a disk of its own of that size; skipped, with the reason, where nothing may be mounted."""
    with scratch_directory(executable=True) as place:
        disk = place / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "voxyz-test", str(disk)],
            capture_output=True,
            text=True,
        )
        if mounted.returncode != 0:
            pytest.skip(f"a disk of our own cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def database_on(disk: Path, server: PrivateServer, template: str) -> Iterator[str]:
    """The DSN of a database made from ``template``, whose tables lie on ``disk``; the server's log lies elsewhere."""
    place = disk / "tables"
    place.mkdir(mode=0o700)
    owner = server.data_dir.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    server.run(f"create tablespace small location '{place}'")
    try:
        server.run(f"create database crowded template {template} strategy file_copy tablespace small")
        yield server.dsn_of("crowded")
    finally:
        server.run("drop database if exists crowded with (force)")
        server.run("drop tablespace small")


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Inside, there is no room on ``disk``."""
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(256 * 1024 * 1024))
    try:
        yield
    finally:
        ballast.unlink()
