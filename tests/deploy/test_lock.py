"""The lock files name everything that is installed, each by hash, and agree with pyproject.toml and each other."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {"requirements.lock": [], "requirements-test.lock": ["test"]}
DOCS = "requirements-docs.lock"
ADVICE = "run bin/lock"


def pins(name: str) -> dict[str, str]:
    """The version of each package; one that differs by platform or Python has its last."""
    found = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE
    )
    return {canonicalize_name(package): version for package, version in found}


def wanted(extras: list[str]) -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [
        *project["dependencies"],
        *(one for e in extras for one in project["optional-dependencies"][e]),
    ]:
        yield Requirement(line)


@pytest.mark.parametrize("name", [*LOCKS, DOCS])
def test_every_file_of_every_package_is_named_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 20
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==\S+ ", block), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]
    assert "://" not in text, "a lock must do with any index"


@pytest.mark.parametrize("name", LOCKS)
def test_it_names_all_that_pyproject_asks_for_and_what_that_needs(name: str) -> None:
    locked = pins(name)
    todo, seen = list(wanted(LOCKS[name])), set()
    while todo:
        one = todo.pop()
        package = canonicalize_name(one.name)
        assert package in locked, f"{one} is not in {name}: {ADVICE}"
        assert one.specifier.contains(locked[package], prereleases=True), (
            f"{one} against {locked[package]}: {ADVICE}"
        )
        for extra in one.extras or {""}:
            if (package, extra) not in seen:
                seen.add((package, extra))
                needs = [Requirement(line) for line in requires(package) or []]
                todo += [
                    need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})
                ]


def test_the_site_is_built_with_what_its_lock_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = pins(DOCS)
    for one in map(Requirement, project["optional-dependencies"]["docs"]):
        assert one.specifier.contains(locked[canonicalize_name(one.name)]), f"{one}: {ADVICE}"


def test_what_is_tested_is_what_is_run() -> None:
    run, tested = (pins(name) for name in LOCKS)
    assert {package: tested.get(package) for package in run} == run
    assert {"hatchling", "editables"} <= run.keys(), "the project is built without anything else"
