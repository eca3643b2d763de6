"""Pages made of what the database says of itself: functions, tables, policies, kinds of step."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reactor.pg import Connection, connect
from tools.docs.words import mono, page, plain, table

# What programs may lean on: names and arguments stay. Everything else may change with a version.
PROMISED = (
    "ops_enqueue_mission", "ops_propose", "ops_approve", "ops_reject", "ops_release", "ops_reject_step", "ops_retry",
    "ops_cancel", "ops_pause", "ops_resume", "ops_why", "ops_breaker_allow", "ops_breaker_record", "ops_apply_drift",
    "ops_memory_influence",
)  # fmt: skip

FUNCTIONS = """
select
  procedure.proname as name,
  pg_get_function_arguments(procedure.oid) as arguments,
  pg_get_function_result(procedure.oid) as result,
  obj_description(procedure.oid, 'pg_proc') as comment
from pg_proc as procedure
where procedure.pronamespace = 'public'::regnamespace
  and procedure.prorettype <> 'trigger'::regtype
order by procedure.proname
"""
RELATIONS = """
select
  relation.relname as name,
  relation.relkind = 'v' as is_view,
  obj_description(relation.oid, 'pg_class') as comment,
  (
    select
      jsonb_agg(
        jsonb_build_object(
          'name', part.attname,
          'type', format_type(part.atttypid, part.atttypmod),
          'needed', part.attnotnull,
          'default', case
            when part.attidentity <> '' then 'the next number'
            else pg_get_expr(preset.adbin, preset.adrelid)
          end,
          'comment', col_description(relation.oid, part.attnum)
        )
        order by part.attnum
      )
    from pg_attribute as part
    left join pg_attrdef as preset
      on preset.adrelid = part.attrelid
      and preset.adnum = part.attnum
    where part.attrelid = relation.oid
      and part.attnum > 0
      and not part.attisdropped
  ) as columns
from pg_class as relation
where relation.relnamespace = 'public'::regnamespace
  and relation.relkind in ('r', 'p', 'v')
  and not relation.relispartition
order by relation.relname
"""
POLICIES = """
select policy.key, policy.description, policy.value
from ops_policy as policy
order by policy.key
"""
KINDS = """
select kind.kind, kind.description, kind.external, kind.timeout_s
from ops_step_kinds as kind
order by kind.kind
"""


async def files(dsn: str) -> dict[str, str]:
    """Every such page."""
    conn = await connect(dsn, name="docs")
    try:
        return {
            "docs/reference/sql.md": await _sql(conn),
            "docs/reference/policies.md": await _policies(conn),
        }
    finally:
        await conn.aclose()


async def _sql(conn: Connection) -> str:
    functions = {name: _function(name, *rest) for name, *rest in await conn.fetch_all(FUNCTIONS)}
    relations = await conn.fetch_all(RELATIONS)
    return page(
        "SQL",
        "What the database says of itself. A refusal is an error of the class `OP`: see [errors](../errors.md).",
        "## Functions to call",
        "Their names, and those of their arguments, stay.",
        *(functions[name] for name in PROMISED),
        "## Tables",
        *(_relation(*row) for row in relations if not row[1]),
        "## Views",
        *(_relation(*row) for row in relations if row[1]),
        "## Functions behind them",
        "The reactor and the triggers call these. They may change with a version.",
        *(text for name, text in functions.items() if name not in PROMISED),
    )


def _function(name: str, arguments: str, result: str, comment: str) -> str:
    listed = f"({arguments})" if len(arguments) < 60 else "(\n  " + arguments.replace(", ", ",\n  ") + "\n)"
    return f"### {name}\n\n{plain(comment or '')}\n\n```text\n{name}{listed}\nreturns {result}\n```"


def _relation(name: str, is_view: bool, comment: str, columns: Sequence[Mapping[str, Any]]) -> str:
    rows = (
        (mono(one["name"]), mono(one["type"]), mono(one["default"] or ""), plain(one["comment"] or ""))
        for one in columns
    )
    return (
        f"### {name}\n\n{plain(comment or '')}\n\n{table(('column', 'type', 'default', 'what it is'), rows)}"
    )


async def _policies(conn: Connection) -> str:
    policies = [
        f"### {key}\n\n{plain(description)}\n\n```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"
        for key, description, value in await conn.fetch_all(POLICIES)
    ]
    kinds = [
        (mono(kind), plain(description), "yes" if external else "no", f"{float(timeout_s):g}")
        for kind, description, external, timeout_s in await conn.fetch_all(KINDS)
    ]
    return page(
        "Policies and kinds of step",
        "What a running team goes by, without a restart: `voxyz-reactor policy KEY` reads one,"
        " `voxyz-reactor policy KEY JSON` merges into it,"
        " the page of the reactor has a form. Below each is what it begins with.",
        "## Policies",
        *policies,
        "## Kinds of step",
        "A kind that is external leaves the house: it is held until a person lets it go. Your own kinds come beside these.",
        table(("kind", "what it does", "external", "time limit in s"), kinds),
    )
