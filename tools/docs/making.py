"""All pages and pictures that are made from code."""

from collections.abc import Mapping

from tools.docs import catalogue, charts, code


async def made(dsn: str) -> Mapping[str, str]:
    """Every file by its path in the repository; ``dsn``: a database with the whole schema and nothing else."""
    return {**charts.files(), **code.files(), **await catalogue.files(dsn)}
