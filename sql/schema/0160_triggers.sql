-- Rules: what leads to proposals by itself, as the event arrives or when its time has come; and the heartbeat's book.

create table ops_trigger_rules (
  id bigint generated always as identity,
  name text not null,
  description text not null default '',
  enabled boolean not null default true,
  mode text not null,
  event_kind text,
  tags_all text[] not null default '{}',
  tags_any text[] not null default '{}',
  min_count integer not null default 1,
  window_s double precision not null default 86400,
  every_s double precision,
  jitter_from_s double precision not null default 0,
  jitter_to_s double precision not null default 0,
  probability double precision not null default 1,
  cooldown_s double precision not null default 0,
  agent_id text not null,
  title text not null,
  description_text text,
  steps jsonb not null,
  topics text[] not null default '{}',
  topics_from text not null default 'list',
  topic_place integer not null default 0,
  next_due_at timestamptz,
  last_fired_at timestamptz,
  fire_count bigint not null default 0,
  created_at timestamptz not null default now(),
  constraint ops_trigger_rules_pkey primary key (id),
  constraint rule_name_is_unique unique (name),
  constraint rule_name_is_a_name check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint rule_mode_is_known check (mode in ('event', 'absence', 'timed')),
  constraint rule_waits_for_an_event check ((mode = 'timed') = (event_kind is null)),
  constraint rule_event_kind_is_short check (length(event_kind) between 1 and 63),
  constraint rule_has_its_interval check ((mode = 'event') = (every_s is null)),
  constraint rule_every_is_a_minute_to_a_year check (every_s between 60 and 31536000),
  constraint rule_window_is_sane check (window_s between 1 and 2592000),
  constraint rule_min_count_is_sane check (min_count between 1 and 10000),
  constraint rule_jitter_is_a_span check (jitter_from_s between 0 and jitter_to_s and jitter_to_s <= 86400),
  constraint rule_probability_is_0_to_1 check (probability between 0 and 1),
  constraint rule_cooldown_is_sane check (cooldown_s between 0 and 31536000),
  constraint rule_agent_is_short check (length(agent_id) between 1 and 63),
  constraint rule_title_is_short check (length(title) between 1 and 300),
  constraint rule_steps_are_an_array check (jsonb_typeof(steps) = 'array' and pg_column_size(steps) <= 65536),
  constraint rule_tags_are_few check (cardinality(tags_all) <= 20 and cardinality(tags_any) <= 20),
  constraint rule_topics_are_few check (cardinality(topics) <= 200 and pg_column_size(topics) <= 65536),
  constraint rule_topics_come_from_somewhere check (topics_from in ('list', 'goals', 'sources')),
  constraint rule_counts_are_not_negative check (topic_place >= 0 and fire_count >= 0)
);

comment on table ops_trigger_rules is
  'What the house does by itself: on an event (or the min_count-th of its kind within window_s), on its absence over window_s,'
  ' or every_s seconds and a jitter. Conditions are data; title and payloads may name {facts} of the event.';
comment on column ops_trigger_rules.tags_any is 'One of them is enough; none: any. A review''s verdict counts as tag verdict:<word>.';
comment on column ops_trigger_rules.probability is 'One roll for each event or time, stored with the firing.';
comment on column ops_trigger_rules.last_fired_at is 'Moves, with fire_count, only when a proposal was made.';

create table ops_trigger_firings (
  id bigint generated always as identity,
  rule_id bigint not null,
  event_id bigint,
  due_at timestamptz,
  subject text not null default '',
  rolled double precision not null,
  probability double precision not null,
  outcome text not null default 'seen',
  reason text,
  proposal_id bigint,
  created_at timestamptz not null,
  constraint ops_trigger_firings_pkey primary key (id),
  constraint firing_belongs_to_a_rule foreign key (rule_id) references ops_trigger_rules (id) on delete cascade,
  constraint firing_is_once_per_event unique (rule_id, event_id),
  constraint firing_is_once_per_time unique (rule_id, due_at, subject),
  constraint firing_has_one_occasion check (num_nonnulls(event_id, due_at) = 1),
  constraint firing_outcome_is_known
    check (outcome in ('seen', 'skipped', 'cooling', 'proposed', 'refused', 'failed')),
  constraint firing_roll_is_a_share check (rolled >= 0 and rolled < 1),
  constraint firing_follows_its_roll check ((outcome = 'skipped') <= (rolled >= probability)),
  constraint firing_subject_is_short check (length(subject) <= 2000)
);

comment on table ops_trigger_firings is 'Every occasion on which a rule was looked at, once: its roll and what came of it.';

create index ops_trigger_firings_rule_idx on ops_trigger_firings (rule_id, created_at);

create table ops_agent_reactions (
  id bigint generated always as identity,
  reaction text not null,
  event_id bigint not null,
  agent_id text not null,
  source_agent_id text,
  rolled double precision not null,
  probability double precision not null,
  outcome text not null default 'seen',
  reason text,
  proposal_id bigint,
  created_at timestamptz not null,
  constraint ops_agent_reactions_pkey primary key (id),
  constraint reaction_is_once_per_event unique (reaction, event_id),
  constraint reaction_outcome_is_known
    check (outcome in ('seen', 'skipped', 'cooling', 'proposed', 'refused', 'failed')),
  constraint reaction_roll_is_a_share check (rolled >= 0 and rolled < 1),
  constraint reaction_follows_its_roll check ((outcome = 'skipped') <= (rolled >= probability))
);

comment on table ops_agent_reactions is
  'Agents on what others did, by policy reaction_matrix: one row for each event that concerned a reaction, its roll and what came of it.';

create index ops_agent_reactions_proposed_idx
  on ops_agent_reactions (reaction, created_at)
  where outcome = 'proposed';

create index ops_agent_reactions_created_idx on ops_agent_reactions (created_at);

-- What makes an event worth the rules' attention; written by triggers from the rules and the reaction matrix.
create table ops_trigger_watches (
  event_kind text not null,
  every_tag boolean not null,
  tags text[] not null default '{}',
  constraint ops_trigger_watches_pkey primary key (event_kind)
);

comment on table ops_trigger_watches is 'The kinds of events that rules and reactions wait for, and the tags of which one has to be there.';

create table ops_trigger_inbox (
  event_id bigint not null,
  tries smallint not null default 0,
  run_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  constraint ops_trigger_inbox_pkey primary key (event_id)
);

comment on table ops_trigger_inbox is 'Events that no rule has looked at yet: a queue, emptied with skip locked.';

create table ops_heartbeat_parts (
  part text not null,
  next_at timestamptz not null,
  constraint ops_heartbeat_parts_pkey primary key (part)
);

comment on table ops_heartbeat_parts is 'When each part of the heartbeat is due; whichever process moves it on does it.';

create table ops_action_runs (
  id bigint generated always as identity,
  part text not null,
  status text not null,
  result jsonb not null default '{}',
  failure_reason text,
  started_at timestamptz not null,
  completed_at timestamptz not null default now(),
  constraint ops_action_runs_pkey primary key (id),
  constraint action_run_part_is_short check (length(part) between 1 and 63),
  constraint action_run_status_is_known check (status in ('succeeded', 'failed')),
  constraint action_run_failed_has_a_reason check ((status = 'failed') = (failure_reason is not null))
);

comment on table ops_action_runs is 'What the heartbeat''s parts did, or failed at; a part that had nothing to do leaves no row.';

create index ops_action_runs_completed_idx on ops_action_runs (completed_at);
