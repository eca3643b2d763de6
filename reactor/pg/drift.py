"""What somebody changed by hand: the schema as it is, beside the schema as ``migrate`` left it.

``migrate`` keeps a list of everything it made, with its definition. What changed while it ran becomes the definition that is
wanted; what had changed before and did not change in the run stays as wanted as it was, so that a later run does not take
somebody's accident for the truth. What people add is theirs: only what is missing or different is told.
"""

import re
from typing import Final, NamedTuple

from reactor.pg.connection import Connection

Objects = dict[tuple[str, str], str]

_RECORDED: Final = "select to_regclass('public.ops_schema_objects') is not null"

_OBJECTS: Final = """
with ours as (
  select class.oid, class.relname, class.relkind
  from pg_class as class
  where class.relnamespace = 'public'::regnamespace
    and class.relkind in ('r', 'p', 'v')
    and class.relname ~ '^(ops_|v_)'
)
select
  'column' as kind,
  ours.relname || '.' || attribute.attname as name,
  format_type(attribute.atttypid, attribute.atttypmod)
    || case when attribute.attnotnull then ' not null' else '' end
    || case attribute.attidentity when '' then '' else ' generated as identity' end
    || coalesce(' default ' || pg_get_expr(fallback.adbin, fallback.adrelid), '') as definition
from ours
join pg_attribute as attribute on attribute.attrelid = ours.oid
left join pg_attrdef as fallback on fallback.adrelid = ours.oid and fallback.adnum = attribute.attnum
where ours.relkind in ('r', 'p')
  and attribute.attnum > 0
  and not attribute.attisdropped
union all
select
  'index',
  index_class.relname,
  pg_get_indexdef(index.indexrelid) || case when index.indisvalid then '' else ' (invalid)' end
from ours
join pg_index as index on index.indrelid = ours.oid
join pg_class as index_class on index_class.oid = index.indexrelid
where not exists (select from pg_constraint as owner where owner.conindid = index.indexrelid and owner.conrelid = ours.oid)
union all
select
  'constraint',
  ours.relname || '.' || rule.conname,
  pg_get_constraintdef(rule.oid)
from ours
join pg_constraint as rule on rule.conrelid = ours.oid
where rule.contype in ('c', 'p', 'u', 'f', 'x')
union all
select
  'trigger',
  ours.relname || '.' || trigger.tgname,
  pg_get_triggerdef(trigger.oid)
from ours
join pg_trigger as trigger on trigger.tgrelid = ours.oid
where not trigger.tgisinternal
union all
select
  'view',
  ours.relname,
  md5(pg_get_viewdef(ours.oid))
from ours
where ours.relkind = 'v'
union all
select
  'function',
  function.oid::regprocedure::text,
  md5(concat_ws(
    ' ',
    function.prosrc,
    function.provolatile,
    function.prosecdef,
    function.proconfig,
    pg_get_function_result(function.oid)
  ))
from pg_proc as function
where function.pronamespace = 'public'::regnamespace
  and function.proname ~ '^ops_'
"""

_RECORD: Final = """
insert into public.ops_schema_objects (kind, name, definition, server)
select
  object.kind,
  object.name,
  object.definition,
  current_setting('server_version_num')::integer / 10000
from unnest(%(kinds)s::text[], %(names)s::text[], %(definitions)s::text[]) as object (kind, name, definition)
on conflict on constraint ops_schema_objects_pkey do update
set
  definition = excluded.definition,
  server = excluded.server,
  recorded_at = now()
"""

_FORGET: Final = """
delete from public.ops_schema_objects as object
using unnest(%(kinds)s::text[], %(names)s::text[]) as gone (kind, name)
where object.kind = gone.kind
  and object.name = gone.name
"""

_WANTED: Final = """
select
  object.kind,
  object.name,
  object.definition,
  object.server = current_setting('server_version_num')::integer / 10000
from public.ops_schema_objects as object
order by object.kind, object.name
"""


class Difference(NamedTuple):
    """An object that is not as ``migrate`` left it. ``definition``: as it was; a checksum for functions and views."""

    kind: str
    name: str
    missing: bool
    definition: str


async def look(conn: Connection) -> Objects:
    """The definitions of all objects of ours, by kind and name."""
    return {(kind, name): definition for kind, name, definition in await conn.fetch_all(_OBJECTS)}


async def is_recorded(conn: Connection) -> bool:
    """Whether it is known what the schema should be."""
    if not await conn.fetch_value(_RECORDED):
        return False
    return bool(await conn.fetch_value("select exists (select from public.ops_schema_objects)"))


async def record(conn: Connection, before: Objects) -> None:
    """What is different from ``before``, a look before the migration, is what is wanted from now on."""
    if not await conn.fetch_value(_RECORDED):
        return
    if not await is_recorded(conn):
        before = {}
    after = await look(conn)
    new = {key: definition for key, definition in after.items() if before.get(key) != definition}
    gone = before.keys() - after.keys()
    if new:
        await conn.run(
            _RECORD,
            {
                "kinds": [kind for kind, _ in new],
                "names": [name for _, name in new],
                "definitions": list(new.values()),
            },
        )
    if gone:
        await conn.run(_FORGET, {"kinds": [kind for kind, _ in gone], "names": [name for _, name in gone]})


async def differences(conn: Connection) -> list[Difference]:
    """Everything that ``migrate`` made and that is missing or different now.

    Another major version of the server writes definitions differently: after an upgrade only what is missing is told.
    """
    there = await look(conn)
    return [
        Difference(kind, name, (kind, name) not in there, definition)
        for kind, name, definition, same_server in await conn.fetch_all(_WANTED)
        if (kind, name) not in there or (same_server and _plain(there[kind, name]) != _plain(definition))
    ]


def _plain(definition: str) -> str:
    """A definition without what a dump and a restore change in it: how a chain of conditions is put into brackets."""
    return re.sub(r"[()\s]", "", definition)
