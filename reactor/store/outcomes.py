"""What became of finished work out there. Twin of ``queries/outcomes.sql``."""

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("outcomes")


async def record(conn: Connection, step: int, metric: str, value: float) -> None:
    """The step's figure of that ``metric``; a far better or worse one than usual is a lesson. Raises OpsError."""
    await conn.run(_SQL["record"], {"step": step, "metric": metric, "value": value})
