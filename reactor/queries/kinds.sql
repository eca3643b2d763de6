-- name: register
-- The kinds are as given, seen now; rows are locked in the order given.
insert into ops_step_kinds (kind, description, external, timeout_s, input_schema, services)
select
  offered.kind,
  offered.description,
  offered.external,
  offered.timeout_s,
  offered.input_schema,
  array(select jsonb_array_elements_text(offered.services))
from unnest(
  %(kinds)s::text[],
  %(descriptions)s::text[],
  %(externals)s::boolean[],
  %(timeouts_s)s::double precision[],
  %(input_schemas)s::jsonb[],
  %(services)s::jsonb[]
) with ordinality as offered (kind, description, external, timeout_s, input_schema, services, place)
order by offered.place
on conflict (kind) do update
set
  description = excluded.description,
  external = excluded.external,
  timeout_s = excluded.timeout_s,
  input_schema = excluded.input_schema,
  services = excluded.services,
  seen_at = ops_now();

-- name: known
-- Every kind ever offered.
select known.kind
from ops_step_kinds as known
order by known.kind;

-- name: schemas
-- What the payloads of every kind ever offered look like.
select
  known.kind,
  known.input_schema
from ops_step_kinds as known;

-- name: offered
-- Every kind ever offered, as its reactors told of it; those that leave the house last.
select
  known.kind,
  known.description,
  known.external,
  known.timeout_s,
  known.input_schema,
  known.services
from ops_step_kinds as known
order by known.external, known.kind;
