"""File locks that die with their process, also by kill -9: ``flock`` on a descriptor no child inherits."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self


class FileLock:
    """A lock file, open; unlocked until asked for. Never waits; closing it lets go."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> Self:
        """Open ``path``, made when missing; without ``create`` the file system may be read-only."""
        flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
        return cls(path, os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    def try_shared(self) -> bool:
        """True when we hold it shared now; false while somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """True when we alone hold it now; when false, a shared hold of ours may be lost."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def note(self, text: str) -> None:
        """Tell those who wait what the holder does; a disk without space for it does not matter."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def noted(self) -> str:
        """What the holder last noted."""
        return os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another command"

    def close(self) -> None:
        """Let go. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
