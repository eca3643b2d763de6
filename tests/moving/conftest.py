"""The command line, as in tests/cli."""

from tests.cli.conftest import anywhere, here, reactor, voxyz

__all__ = ["anywhere", "here", "reactor", "voxyz"]
