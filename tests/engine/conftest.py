"""Engine tests log as a reactor does by default: no debugging, and no drawing of tracebacks."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(repr_native_str=False),
        ],
    )
    yield
    structlog.reset_defaults()
