"""The named statements of ``reactor/queries``: each ``<topic>.sql`` is a list of statements under ``-- name:`` lines."""

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "queries"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


@cache
def statements(topic: str) -> dict[str, str]:
    """All statements of one topic by name, without comments and the final semicolon. Read once a process."""
    parts = _NAME.split((_FOLDER / f"{topic}.sql").read_text(encoding="utf-8"))
    return {
        name: _COMMENT.sub("", body).strip().removesuffix(";")
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def topics() -> list[str]:
    """Every topic there is, in name order."""
    return sorted(path.stem for path in _FOLDER.glob("*.sql"))
