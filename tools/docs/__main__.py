"""Write the pages and pictures made from code, from a database made for the purpose and thrown away."""

import shutil
import tempfile
from pathlib import Path

import trio

from reactor.pg.embedded import ensure_running
from reactor.pg.migrations import migrate
from tools.docs.making import made

ROOT = Path(__file__).resolve().parents[2]


async def write(home: Path) -> None:
    """All of them are current."""
    server = await ensure_running(home, create=True)
    try:
        await migrate(server.dsn)
        files = await made(server.dsn)
    finally:
        await server.leave()
    for name, text in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(prefix="voxyz-docs-"))
    try:
        home.chmod(0o755)  # the embedded server may run under an account of its own
        trio.run(write, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
