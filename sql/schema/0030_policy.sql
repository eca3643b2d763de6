-- What a person decides and may change while everything runs: one documented key each.

create table ops_policy (
  key text not null,
  value jsonb not null,
  description text not null default '',
  shape jsonb not null default '{}',
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  constraint ops_policy_pkey primary key (key),
  constraint policy_key_is_a_name check (key ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint policy_value_is_small check (pg_column_size(value) <= 65536)
);

comment on table ops_policy is 'Settings in force at once, each with the shape its value must have (a small JSON schema).';

create table ops_policy_history (
  id bigint generated always as identity,
  key text not null,
  version integer not null,
  value jsonb not null,
  changed_by text not null default session_user,
  changed_at timestamptz not null default now(),
  constraint ops_policy_history_pkey primary key (id),
  constraint policy_version_is_unique unique (key, version)
);

comment on table ops_policy_history is 'Every value a policy has ever had.';

create table ops_pauses (
  queue text not null,
  reason text,
  paused_by text not null default session_user,
  paused_at timestamptz not null default now(),
  constraint ops_pauses_pkey primary key (queue),
  constraint pause_names_a_queue check (queue in ('mission', 'roundtable', 'initiative'))
);

comment on table ops_pauses is 'The kill switch: a queue with a row here takes no row; with all three paused no LLM call begins.';
