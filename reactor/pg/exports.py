"""The directory of an export: one gzipped CSV a table, and a manifest of columns, rows and checksums."""

import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from reactor import __version__
from reactor.errors import ConfigurationError, UsageError

Session = psycopg.Connection[tuple[Any, ...]]

MANIFEST: Final = "manifest.json"

# Tables with an age, and the column that tells it: what an archive is made of.
AGES: Final = {
    "ops_action_runs": "completed_at",
    "ops_agent_events": "created_at",
    "ops_initiative_queue": "completed_at",
    "ops_llm_calls": "created_at",
    "ops_mission_proposals": "decided_at",
    "ops_mission_steps": "completed_at",
    "ops_missions": "completed_at",
    "ops_roundtable_queue": "completed_at",
    "ops_roundtable_turns": "created_at",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and those of its columns that are moved."""

    name: str
    columns: Sequence[str]

    def reading(self, before: datetime | None) -> sql.Composed:
        """The COPY that reads it; ``before``: only what was over by then."""
        query = sql.SQL("select {} from {}").format(self._list(), sql.Identifier(self.name))
        if before is not None:
            query += sql.SQL(" where {} < {}").format(
                sql.Identifier(AGES[self.name]), sql.Literal(before.isoformat())
            )
        return sql.SQL("copy ({}) to stdout (format csv, header true)").format(query)

    def writing(self) -> sql.Composed:
        """The COPY that fills it."""
        return sql.SQL("copy {} ({}) from stdin (format csv, header true)").format(
            sql.Identifier(self.name), self._list()
        )

    def _list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


def begun(directory: Path, before: datetime | None, schema: list[str]) -> dict[str, Any]:
    """The manifest of an export begun earlier, or a new one."""
    asked = before.isoformat() if before else None
    try:
        found: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    except FileNotFoundError:
        if any(directory.iterdir()):
            raise UsageError(f"{directory} holds something else: name a new directory") from None
        return {
            "voxyz": __version__,
            "schema": schema,
            "before": asked,
            "complete": False,
            "tables": {},
        }
    if found["complete"]:
        raise UsageError(f"{directory} holds a finished export: name a new directory")
    if (found["before"], found["schema"]) != (asked, schema):
        raise UsageError(f"{directory} holds the beginning of another export: name a new directory")
    return found


def keep(directory: Path, manifest: dict[str, Any]) -> None:
    """The manifest is on disk, as it was or as it is now."""
    half = directory / f"{MANIFEST}.new"
    half.write_text(json.dumps(manifest, indent=1) + "\n")
    half.rename(directory / MANIFEST)


def whole(directory: Path) -> dict[str, Any]:
    """The manifest of a finished export of a whole voxyz; UsageError when there is none."""
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{directory} holds no export: it has no {MANIFEST}") from None
    except ValueError:
        raise UsageError(f"{directory / MANIFEST} is no manifest of an export") from None
    if not manifest["complete"]:
        raise UsageError(f"the export in {directory} is not finished: run `export` with it again")
    if manifest["before"] is not None:
        raise UsageError(f"{directory} holds an archive of old rows, which is no whole database")
    return manifest


def write_table(source: Session, table: Table, directory: Path, before: datetime | None) -> tuple[int, str]:
    """The table is in its file, complete or not at all; returns its rows and the checksum of the text."""
    half = directory / f"{table.name}.csv.gz.new"
    checksum = hashlib.sha256()
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(handle, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        source.cursor() as reader,
    ):
        with reader.copy(table.reading(before)) as out:
            for block in out:
                checksum.update(block)
                packed.write(block)
        rows = reader.rowcount
    half.rename(directory / f"{table.name}.csv.gz")
    return rows, checksum.hexdigest()


def read_table(target: Session, table: Table, directory: Path, wanted: str) -> None:
    """The table holds the rows of its file; UsageError when its checksum is not the ``wanted`` one."""
    path = directory / f"{table.name}.csv.gz"
    checksum = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as packed, target.cursor() as writer, writer.copy(table.writing()) as into:
            while block := packed.read(1 << 20):
                checksum.update(block)
                into.write(block)
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: the export is not whole") from None
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if checksum.hexdigest() != wanted:
        raise UsageError(f"{path} is not what was exported: its checksum differs")
