"""What goes out of the house. Twin of ``queries/outside.sql``."""

from typing import Any

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("outside")


async def signing_key(conn: Connection) -> str:
    """The secret, as ``whsec_`` and base64."""
    return str(await conn.fetch_value(_SQL["signing_key"]))


async def private_hosts(conn: Connection) -> list[str]:
    """Places (host:port) of the own network that a person has named."""
    found = await conn.fetch_value(_SQL["private_hosts"])
    return [str(place) for place in found] if isinstance(found, list) else []


async def released(conn: Connection, step_id: int) -> bool:
    """Whether a person has let the step go."""
    return bool(await conn.fetch_value(_SQL["released"], {"step_id": step_id}))


async def breaker_for(conn: Connection, service: str) -> None:
    """There is a breaker for ``service``."""
    await conn.run(_SQL["breaker_for"], {"service": service})


async def take_notices(conn: Connection, topic: str, step_id: int) -> dict[str, Any]:
    """The step's notices with url and format; or ``wait_s``; or ``off``. The same notices in every attempt."""
    taken: dict[str, Any] = await conn.fetch_value(_SQL["take_notices"], {"topic": topic, "step_id": step_id})
    return taken


async def notify_test(conn: Connection) -> int:
    """A test notice is on its way; returns its step. Raises: OpsError: policy notify has no url."""
    step_id: int = await conn.fetch_value(_SQL["notify_test"])
    return step_id


async def daily_digest(conn: Connection) -> float:
    """The day before is summed up once, if it is time; returns in how many seconds to ask again."""
    return float(await conn.fetch_value(_SQL["daily_digest"]))
