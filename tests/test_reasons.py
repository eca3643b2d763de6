"""Whoever tells a tool to look away says why, on the same line."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOOKS_AWAY = re.compile(
    r"#\s*(?:ruff: )?(?:type: ignore|noqa|pragma: no)(?:\[[\w, -]+\]|: [A-Z]\w*\d+(?:, [A-Z]\w*\d+)*)?(?P<why>.*)"
)
FILES = sorted(
    path
    for folder in ("reactor", "tests", "bench", "tools", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)


def without_reason(text: str) -> list[str]:
    return [
        line.strip()
        for line in text.splitlines()
        if (found := LOOKS_AWAY.search(line)) and len(re.findall(r"\w+", found["why"])) < 1
    ]


@pytest.mark.parametrize("folder", ["reactor", "tests", "bench", "tools", "examples"])
def test_every_exception_has_its_reason(folder: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / folder)]
    assert files
    bare = [
        f"{path.relative_to(ROOT)}: {line}" for path in files for line in without_reason(path.read_text())
    ]
    assert bare == []


def test_one_without_is_found() -> None:
    assert without_reason("x = f()  # type: ignore[arg-type]") != []
    assert without_reason("x = f()  # noqa: S101, S102") != []
    assert without_reason("x = f()  # type: ignore") != []
    assert without_reason("x = f()  # type: ignore[arg-type]  # they know only integers") == []
    assert without_reason("# ruff: noqa: ASYNC240 - nothing else runs") == []
