"""Directories for servers of tests: in memory where there is room, since a database is a thousand small files."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3


@contextmanager
def scratch_directory(*, executable: bool = False) -> Iterator[Path]:
    """A new directory everybody may enter, removed at the end; ``executable`` when programs are to run from it."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    if in_memory and executable:
        in_memory = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    directory = Path(tempfile.mkdtemp(prefix="voxyz-test-", dir=MEMORY if in_memory else None))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
