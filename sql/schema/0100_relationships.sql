-- How much the agents like each other: one row a pair, its last changes beside it.

create table ops_agent_relationships (
  -- By bytes, so that the order within a pair is the same in every database and every client.
  agent_a text collate "C" not null,
  agent_b text collate "C" not null,
  affinity numeric(4,3) not null default 0.500,
  seed_affinity numeric(4,3) not null default 0.500,
  total_interactions integer not null default 0,
  positive_interactions integer not null default 0,
  negative_interactions integer not null default 0,
  drift_log jsonb not null default '[]',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ops_agent_relationships_pkey primary key (agent_a, agent_b),
  constraint relationship_first_agent_exists foreign key (agent_a) references ops_agents (id) on delete cascade,
  constraint relationship_second_agent_exists foreign key (agent_b) references ops_agents (id) on delete cascade,
  constraint relationship_agents_are_in_order check (agent_a < agent_b),
  constraint relationship_affinity_is_within_bounds check (affinity between 0.100 and 0.950),
  constraint relationship_seed_affinity_is_within_bounds check (seed_affinity between 0.100 and 0.950),
  constraint relationship_interactions_add_up
    check (
      positive_interactions >= 0
      and negative_interactions >= 0
      and positive_interactions + negative_interactions <= total_interactions
    ),
  constraint relationship_drift_log_is_at_most_20_entries
    check (
      case jsonb_typeof(drift_log)
        when 'array' then jsonb_array_length(drift_log) <= 20
        else false
      end
    )
);

comment on table ops_agent_relationships is 'Affinity of each pair, stored once with agent_a < agent_b; moved by ops_apply_drift.';
comment on column ops_agent_relationships.seed_affinity is 'Where the pair began.';
comment on column ops_agent_relationships.drift_log is
  'The last 20 drifts, oldest first: asked, applied, before, after, reason, source, simulated, at.';

create index ops_agent_relationships_second_idx on ops_agent_relationships (agent_b);

create table ops_relationship_sources (
  agent_a text collate "C" not null,
  agent_b text collate "C" not null,
  source text collate "C" not null,
  created_at timestamptz not null default now(),
  constraint ops_relationship_sources_pkey primary key (agent_a, agent_b, source),
  constraint source_first_agent_exists foreign key (agent_a) references ops_agents (id) on delete cascade,
  constraint source_second_agent_exists foreign key (agent_b) references ops_agents (id) on delete cascade,
  constraint source_agents_are_in_order check (agent_a < agent_b),
  constraint source_is_short check (length(source) <= 500)
);

comment on table ops_relationship_sources is 'What has moved a pair already; each source moves a pair once for ever.';

create index ops_relationship_sources_second_idx on ops_relationship_sources (agent_b);
