"""Homes for embedded servers: empty, or with a complete database."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from reactor.pg.embedded import ensure_running
from tests.support.embedded import User, kill_everything_on
from tests.support.scratch import scratch_directory


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory the server's account can enter; at the end no server runs below it and it is gone."""
    with scratch_directory() as directory:
        yield directory
        for data in directory.rglob("data"):
            kill_everything_on(data)


@pytest.fixture
def home(place: Path) -> Path:
    return place / ".voxyz"


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A home whose server was set up and stopped again."""
    with scratch_directory() as directory:

        async def make() -> None:
            await (await ensure_running(directory / ".voxyz", create=True)).leave()

        trio.run(make)
        yield directory / ".voxyz"


@pytest.fixture
def made(home: Path, made_once: Path) -> Path:
    """A home with a complete database, stopped: what a start calls existing."""
    subprocess.run(["cp", "-a", made_once, home], check=True)
    return home


@pytest.fixture
def user(home: Path) -> Iterator[Callable[..., User]]:
    """Starts other commands; none of them is left at the end."""
    users: list[User] = []

    def start(*account: str) -> User:
        users.append(User(home, *account))
        return users[-1]

    yield start
    for each in users:
        each.close()
