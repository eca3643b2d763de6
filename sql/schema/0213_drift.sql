-- What migrate made of the schema, object by object, so that doctor can say what somebody changed by hand.

create table ops_schema_objects (
  kind text not null,
  name text not null,
  definition text not null,
  server integer not null,
  recorded_at timestamptz not null default now(),
  constraint ops_schema_objects_pkey primary key (kind, name),
  constraint schema_object_kind_is_known
    check (kind in ('column', 'index', 'constraint', 'function', 'trigger', 'view'))
);

comment on table ops_schema_objects is
  'The columns, indexes, constraints, functions, triggers and views of ours, as migrate left them on that major version.';
