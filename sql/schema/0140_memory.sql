-- What the agents remember, and which of it went into which piece of work.

-- Its meaning is stored in rows below: another way of splitting is another column.
create function ops_memory_words(content text)
returns text[]
language sql
immutable
parallel safe
set search_path = public, pg_temp
as $$
  select coalesce(array_agg(distinct part.word order by part.word), '{}')
  from regexp_split_to_table(lower(content), '[[:space:][:punct:]]+') as part (word)
  where part.word <> '';
$$;

comment on function ops_memory_words(text) is 'The different words of a text, sorted, without case and punctuation.';

create table ops_agent_memory (
  id bigint generated always as identity,
  agent_id text not null,
  type text not null,
  content text not null,
  confidence numeric(4,3) not null default 0.600,
  tags text[] not null default '{}',
  source_trace_id text,
  superseded_by bigint,
  pinned boolean not null default false,
  trust text not null default 'agent',
  used_count integer not null default 0,
  simulated boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  words text[] not null generated always as (ops_memory_words(content)) stored,
  constraint ops_agent_memory_pkey primary key (id),
  constraint memory_trace_is_unique_for_its_agent unique (agent_id, source_trace_id),
  constraint memory_belongs_to_an_agent foreign key (agent_id) references ops_agents (id) on delete cascade,
  constraint memory_superseded_by_a_memory
    foreign key (superseded_by) references ops_agent_memory (id) on delete set null,
  constraint memory_type_is_known check (type in ('insight', 'pattern', 'strategy', 'preference', 'lesson')),
  constraint memory_content_is_1_to_500_characters check (length(content) between 1 and 500 and content ~ '\S'),
  constraint memory_confidence_is_0_to_1 check (confidence between 0 and 1),
  constraint memory_tags_are_few check (cardinality(tags) <= 20 and pg_column_size(tags) <= 4000),
  constraint memory_trace_is_short check (length(source_trace_id) between 1 and 200),
  constraint memory_trust_is_known check (trust in ('human', 'agent', 'untrusted')),
  constraint memory_used_count_is_not_negative check (used_count >= 0),
  constraint memory_is_not_superseded_by_itself check (superseded_by <> id)
);

comment on table ops_agent_memory is
  'What an agent has learnt; active while superseded_by is null, at most 200 of an agent beside the pinned ones. Written by'
  ' ops_remember.';
comment on column ops_agent_memory.source_trace_id is
  'Where it comes from, such as roundtable:7:1, mission:3, promotion:12, rejection:5; an agent learns from a trace once.';
comment on column ops_agent_memory.trust is
  'human: a person said it; agent: an agent did; untrusted: it comes from a page or another stranger.';
comment on column ops_agent_memory.used_count is 'How often the same was met again.';

create index ops_agent_memory_active_idx
  on ops_agent_memory (agent_id, type)
  where superseded_by is null;

create index ops_agent_memory_superseded_by_idx
  on ops_agent_memory (superseded_by)
  where superseded_by is not null;

create index ops_agent_memory_created_idx on ops_agent_memory (agent_id, created_at);

create table ops_memory_confirmations (
  agent_id text not null,
  source_trace_id text not null,
  memory_id bigint not null,
  created_at timestamptz not null default now(),
  constraint ops_memory_confirmations_pkey primary key (agent_id, source_trace_id),
  constraint confirmation_belongs_to_an_agent foreign key (agent_id) references ops_agents (id) on delete cascade,
  constraint confirmation_is_of_a_memory
    foreign key (memory_id) references ops_agent_memory (id) on delete cascade,
  constraint confirmation_trace_is_short check (length(source_trace_id) between 1 and 200)
);

comment on table ops_memory_confirmations is
  'Traces that said what a memory says already: each raised its use count, once.';

create index ops_memory_confirmations_memory_idx on ops_memory_confirmations (memory_id);

create table ops_memory_keepers (
  agent_id text not null,
  changes bigint not null default 0,
  constraint ops_memory_keepers_pkey primary key (agent_id),
  constraint keeper_belongs_to_an_agent foreign key (agent_id) references ops_agents (id) on delete cascade
);

comment on table ops_memory_keepers is
  'One row an agent, written by whoever adds to its memory: so they go one after another, and a transaction with an old'
  ' snapshot is refused instead of miscounting.';

create table ops_memory_influences (
  agent_id text not null,
  context_type text not null,
  context_id bigint not null,
  rolled double precision not null,
  probability double precision not null,
  influenced boolean not null,
  memory_ids bigint[] not null default '{}',
  created_at timestamptz not null default now(),
  constraint ops_memory_influences_pkey primary key (agent_id, context_type, context_id),
  constraint influence_belongs_to_an_agent foreign key (agent_id) references ops_agents (id) on delete cascade,
  constraint influence_context_is_known check (context_type in ('roundtable', 'mission', 'initiative')),
  constraint influence_roll_is_a_share check (rolled >= 0 and rolled < 1 and probability between 0 and 1),
  constraint influence_follows_its_roll check (influenced = (rolled < probability)),
  constraint influence_without_luck_is_empty check (influenced or cardinality(memory_ids) = 0)
);

comment on table ops_memory_influences is
  'The roll of each (agent, context), made once for ever, and the memories it let in; none is kept, too.';

create table ops_outcomes (
  id bigint generated always as identity,
  step_id bigint not null,
  metric text not null,
  value double precision not null,
  agent_id text,
  simulated boolean not null default false,
  recorded_at timestamptz not null default now(),
  constraint ops_outcomes_pkey primary key (id),
  constraint outcome_of_a_step_is_unique_per_metric unique (step_id, metric),
  constraint outcome_belongs_to_a_step
    foreign key (step_id) references ops_mission_steps (id) on delete cascade,
  constraint outcome_metric_is_a_name check (metric ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint outcome_value_is_finite check (value > '-Infinity' and value < 'Infinity')
);

comment on table ops_outcomes is 'What became of finished work out there: one figure a step and metric, the latest.';

create index ops_outcomes_metric_idx on ops_outcomes (metric, simulated);

create table ops_firsts (
  what text not null,
  at timestamptz not null default now(),
  constraint ops_firsts_pkey primary key (what),
  constraint first_is_a_name check (what ~ '^[a-z][a-z0-9_]{0,62}$')
);

comment on table ops_firsts is
  'What has happened at least once. real_call: a model answered for real; from then on nothing simulated is learned from.';
