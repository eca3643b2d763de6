"""The files of the repository that are made from code; ``bin/generate`` writes them, a test compares them."""

import sys
from pathlib import Path

from reactor.cli.completion import SHELLS, script
from reactor.cli.manpage import manual
from reactor.cli.units import SPLIT, USUAL, WHOLE, unit

COMPLETIONS = {"bash": "voxyz-reactor", "zsh": "_voxyz-reactor", "fish": "voxyz-reactor.fish"}


def generated() -> dict[str, str]:
    """Every such file: its path in the repository, and its text."""
    return {
        **{f"deploy/systemd/{one.name}.service": unit(one, USUAL) for one in (*WHOLE, *SPLIT)},
        **{f"deploy/completions/{COMPLETIONS[shell]}": script(shell) for shell in SHELLS},
        "deploy/man/voxyz-reactor.1": manual(),
    }


def write(root: Path) -> None:
    """All of them are current under ``root``."""
    for name, text in generated().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
