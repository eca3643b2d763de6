"""The houses of the handlers' tests."""

from tests.handlers.conftest import open_house

__all__ = ["open_house"]
