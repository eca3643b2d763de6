"""The real pm2, from the registry."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.scratch import scratch_directory

VERSION = "7.0.4"
INSTALL_WITHIN_S = 240


@contextmanager
def installed_pm2() -> Iterator[Path]:
    """The program; gone at the end. There must be an npm: ``has_npm`` says whether there is."""
    with scratch_directory(executable=True) as directory:
        subprocess.run(
            ["npm", "install", "--prefix", directory, "--no-audit", "--no-fund", f"pm2@{VERSION}"],
            capture_output=True,
            timeout=INSTALL_WITHIN_S,
            check=True,
        )
        yield directory / "node_modules" / ".bin" / "pm2"


def has_npm() -> bool:
    return shutil.which("npm") is not None
