"""What ``migrate`` made, what somebody changed by hand, triggers, rights."""

import re

from reactor.cli.doctor.finding import Finding
from reactor.cli.output import clean
from reactor.pg import Connection
from reactor.pg import drift as drifting
from reactor.pg.migrations import check, load_migrations
from reactor.store import doctor as questions

_TRIGGER = re.compile(r"^create or replace trigger (\w+)", re.MULTILINE)
_MADE_ONCE = re.compile(r"^create function (\w+)", re.MULTILINE)
_RINGS = "_ring_"  # in the names of the triggers that ring
NAMED = 5


async def current(conn: Connection) -> Finding:
    """The schema is the one this program wants."""
    found = await check(conn)
    if not found.ok:
        problem, _, advice = (found.problem or "it is not current: run `voxyz-reactor migrate`").partition(
            ": run "
        )
        return Finding("schema", "broken", problem, f"run {advice}" if advice else "")
    return Finding("schema", "ok", "current")


async def drift(conn: Connection) -> Finding:
    """Everything is as ``migrate`` left it; triggers are looked at for themselves."""
    if not await drifting.is_recorded(conn):
        return Finding(
            "drift", "warning", "nobody kept a list of what was made", "`voxyz-reactor migrate` makes one"
        )
    found = [one for one in await drifting.differences(conn) if one.kind != "trigger"]
    if not found:
        return Finding("drift", "ok", "nothing was changed by hand")
    named = "; ".join(
        f"{one.kind} {clean(one.name)} is {'missing' if one.missing else 'changed'}" for one in found[:NAMED]
    )
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return Finding("drift", "broken", named + more, _mended(found))


def _mended(found: list[drifting.Difference]) -> str:
    once = {
        name: one.name for one in load_migrations() if one.versioned for name in _MADE_ONCE.findall(one.text)
    }
    advice: list[str] = []
    for one in found:
        if one.kind not in ("function", "view"):
            advice.append(f"put back {one.kind} {clean(one.name)} as {clean(one.definition)}")
        elif file := once.get(one.name.partition("(")[0]):
            advice.append(f"put back function {clean(one.name)} as sql/{file} has it")
        else:
            advice.insert(0, "`voxyz-reactor migrate --again` makes functions and views again")
    return "; ".join(list(dict.fromkeys(advice))[: NAMED + 1])


async def triggers(conn: Connection) -> Finding:
    """Every trigger of ours is there and fires."""
    server = await questions.server(conn)
    wanted = {
        name
        for migration in load_migrations()
        if migration.name.startswith("triggers/")
        for name in _TRIGGER.findall(migration.text)
    }
    there = await questions.triggers(conn)
    gone = sorted(wanted - there.keys())
    off = sorted(name for name in wanted & there.keys() if not there[name].enabled)
    if gone:
        return Finding(
            "triggers",
            "broken",
            f"missing: {', '.join(gone)}",
            "`voxyz-reactor migrate --again` makes them again from sql/triggers",
        )
    if off:
        name = off[0]
        meanwhile = "only the sweeps find new rows" if _RINGS in name else "what it sees to is not seen to"
        return Finding(
            "triggers",
            "broken",
            f"disabled: {', '.join(off)}",
            f"`alter table {there[name].on_table} enable trigger {name}`; until then {meanwhile}",
        )
    changed = [one.name for one in await _changed_triggers(conn)]
    if changed:
        return Finding(
            "triggers",
            "broken",
            f"changed by hand: {', '.join(changed)}",
            "`voxyz-reactor migrate --again` makes them again from sql/triggers",
        )
    if server.replication_role == "replica":
        return Finding(
            "triggers",
            "broken",
            "session_replication_role is replica, which silences every trigger",
            "reset it for this role and database",
        )
    return Finding("triggers", "ok", f"{len(wanted)} there and enabled")


async def _changed_triggers(conn: Connection) -> list[drifting.Difference]:
    if not await drifting.is_recorded(conn):
        return []
    return [one for one in await drifting.differences(conn) if one.kind == "trigger" and not one.missing]


async def appliers(conn: Connection) -> Finding:
    """Nobody writes our tables past their triggers."""
    found = await questions.appliers(conn)
    if not found:
        return Finding("logical apply", "ok", "no subscription writes our tables")
    one = found[0]
    return Finding(
        "logical apply",
        "warning",
        f"subscription {clean(one.subscription)} of user {clean(one.owner)} writes {', '.join(one.tables)},"
        " and its rows ring for nobody",
        "only the sweeps find what it brings; `alter table … enable always trigger …` makes it ring",
    )


async def rights(conn: Connection) -> Finding:
    """This role may do what a reactor does."""
    missing = await questions.missing_rights(conn)
    if missing:
        return Finding(
            "rights",
            "broken",
            f"this role may not read and write {', '.join(missing)}",
            "grant select, insert, update, delete on them",
        )
    hidden = await questions.hidden_tables(conn)
    if hidden:
        return Finding(
            "rights",
            "broken",
            f"row-level security hides every row of {', '.join(hidden)} from this role",
            "make a policy for it, or give it bypassrls",
        )
    silent = await questions.missing_functions(conn)
    if silent:
        return Finding(
            "rights",
            "broken",
            f"this role may not call {', '.join(silent)}",
            "grant execute on them",
        )
    return Finding("rights", "ok", "this role may read and write every table and call every function")


async def security(conn: Connection) -> Finding:
    """Nobody sees what was not meant for him."""
    unlocked = await questions.open_tables(conn)
    if unlocked:
        return Finding(
            "row security",
            "warning",
            f"off for {', '.join(unlocked)}",
            "`alter table … enable row level security`, else other roles of this database may see them",
        )
    public = await questions.public_objects(conn)
    if public:
        return Finding(
            "row security",
            "warning",
            f"everybody in this database may use {', '.join(public[:NAMED])}",
            f"`revoke all on … from public`, such as that of {public[0]}",
        )
    return Finding("row security", "ok", "on for every table, and nothing is granted to everybody")
