-- The people of the company.

create table ops_agents (
  id text not null,
  display_name text not null,
  role text not null default '',
  tone text not null default '',
  quirk text not null default '',
  directive text not null default '',
  model text,
  active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ops_agents_pkey primary key (id),
  constraint agent_id_is_a_name check (id ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint display_name_is_short check (length(display_name) between 1 and 100),
  constraint role_is_short check (length(role) <= 500),
  constraint tone_is_short check (length(tone) <= 500),
  constraint quirk_is_short check (length(quirk) <= 500),
  constraint directive_is_short check (length(directive) <= 4000),
  constraint model_is_short check (length(model) between 1 and 200)
);

comment on table ops_agents is 'Who works here. The id is the natural key; a null model means the default one.';
