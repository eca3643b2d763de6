"""Directories for servers of tests: in memory where there is room, since a database is a thousand small files."""

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
    roomy = not executable and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    directory = Path(tempfile.mkdtemp(prefix="voxyz-test-", dir=MEMORY if roomy else None))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
