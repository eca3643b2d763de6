"""Where voxyz keeps what is its own: the directory ``VOXYZ_HOME``."""

from collections.abc import Mapping
from pathlib import Path

HOME_NAME = ".voxyz"


def find_home(cwd: Path, env: Mapping[str, str]) -> Path:
    """The home that holds for a command started in ``cwd`` (absolute) with environment ``env``.

    ``VOXYZ_HOME`` wins (an empty one counts as unset, a relative one starts at ``cwd``); else it is the
    nearest existing ``.voxyz/`` from ``cwd`` upwards; else ``.voxyz`` in ``cwd``. Nothing is created.
    """
    if wanted := env.get("VOXYZ_HOME"):
        return cwd / Path(wanted).expanduser()
    for directory in (cwd, *cwd.parents):
        if (directory / HOME_NAME).is_dir():
            return directory / HOME_NAME
    return cwd / HOME_NAME
