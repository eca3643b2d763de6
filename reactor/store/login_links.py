"""Links that sign in once. Twin of ``queries/login_links.sql``."""

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("login_links")


async def use(conn: Connection, digest: str, expires_at: float) -> bool:
    """The link of that SHA-256 is used, from now on everywhere; False: it was before."""
    return bool(await conn.fetch_value(_SQL["use"], {"digest": digest, "expires_at": expires_at}))
