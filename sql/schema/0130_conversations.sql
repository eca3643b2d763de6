-- Conversations: what the formats are, who is about when, what was said, and what it came to.

create table ops_conversation_formats (
  format text not null,
  description text not null default '',
  min_agents smallint not null,
  max_agents smallint not null,
  min_turns smallint not null,
  max_turns smallint not null,
  temperature numeric(3,2) not null,
  formal boolean not null default false,
  instruction text not null,
  ending text not null,
  topics text[] not null default '{}',
  constraint ops_conversation_formats_pkey primary key (format),
  constraint format_is_a_name check (format ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint format_agents_are_1_to_12 check (min_agents between 1 and max_agents and max_agents <= 12),
  constraint format_turns_are_1_to_40 check (min_turns between 1 and max_turns and max_turns <= 40),
  constraint format_temperature_is_0_to_1 check (temperature between 0 and 1),
  constraint format_instruction_is_short check (length(instruction) between 1 and 2000),
  constraint format_ending_is_short check (length(ending) between 1 and 1000),
  constraint format_topics_are_few check (cardinality(topics) <= 200)
);

comment on table ops_conversation_formats is
  'What a conversation can be: how many agents, how many turns, how loose, what it is for and how it ends.';
comment on column ops_conversation_formats.formal is
  'The coordinator opens it, and its action items become proposals.';
comment on column ops_conversation_formats.topics is 'What it is about when nothing more pressing is.';

create table ops_agent_schedules (
  agent_id text not null,
  hour smallint not null,
  activity_weight numeric(3,2) not null,
  preferred_formats text[] not null default '{}',
  constraint ops_agent_schedules_pkey primary key (agent_id, hour),
  constraint schedule_belongs_to_an_agent foreign key (agent_id) references ops_agents (id) on delete cascade,
  constraint schedule_hour_is_0_to_23 check (hour between 0 and 23),
  constraint schedule_weight_is_0_to_1 check (activity_weight between 0 and 1),
  constraint schedule_formats_are_few check (cardinality(preferred_formats) <= 50)
);

comment on table ops_agent_schedules is
  'How likely an agent is to join at an hour of the company''s day (0: never), and what it likes then.';

alter table ops_roundtable_queue
  add column source text not null default 'human',
  add column topics text[],
  add column plan jsonb,
  add column distils bigint,
  add constraint roundtable_source_is_known
    check (source in ('human', 'agent', 'schedule', 'trigger', 'reaction', 'heartbeat')),
  add constraint roundtable_topics_are_few check (cardinality(topics) <= 200),
  add constraint roundtable_distils_a_roundtable
    foreign key (distils) references ops_roundtable_queue (id) on delete cascade,
  add constraint roundtable_does_not_distil_itself check (distils <> id);

comment on column ops_roundtable_queue.source is 'Who wanted it; what people want has a budget of its own and knows no quiet hours.';
comment on column ops_roundtable_queue.topics is 'What to choose from when there is no topic, instead of the format''s own.';
comment on column ops_roundtable_queue.plan is
  'What was decided when it began, once: participants, turns, sides, voices, seed of its dice.';
comment on column ops_roundtable_queue.distils is 'This row holds no conversation: it distils that one again.';

create index ops_roundtable_queue_created_idx on ops_roundtable_queue (created_at);

create index ops_roundtable_queue_distils_idx
  on ops_roundtable_queue (distils)
  where distils is not null;

create table ops_roundtable_turns (
  id bigint generated always as identity,
  conversation_id bigint not null,
  turn integer not null,
  speaker text not null,
  dialogue text not null default '',
  tone text,
  simulated boolean not null default false,
  created_at timestamptz not null default now(),
  constraint ops_roundtable_turns_pkey primary key (id),
  constraint turn_is_unique_in_its_conversation unique (conversation_id, turn),
  constraint turn_belongs_to_a_conversation
    foreign key (conversation_id) references ops_roundtable_queue (id) on delete cascade,
  constraint turn_is_positive check (turn > 0),
  constraint turn_speaker_is_a_name check (speaker ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint turn_dialogue_is_at_most_2000_characters check (length(dialogue) <= 2000),
  constraint turn_tone_is_known
    check (tone in ('challenge', 'critical', 'supportive', 'agreement', 'neutral'))
);

comment on table ops_roundtable_turns is
  'What was said, turn by turn. speaker is an agent, or human; no dialogue: it was asked and said nothing.'
  ' An insert without a turn takes the next one.';

create table ops_roundtable_distillates (
  conversation_id bigint not null,
  status text not null,
  raw text,
  problem text,
  result jsonb not null default '{}',
  simulated boolean not null default false,
  created_at timestamptz not null default now(),
  constraint ops_roundtable_distillates_pkey primary key (conversation_id),
  constraint distillate_belongs_to_a_conversation
    foreign key (conversation_id) references ops_roundtable_queue (id) on delete cascade,
  constraint distillate_status_is_known check (status in ('landed', 'failed')),
  constraint distillate_failed_has_a_problem check (status <> 'failed' or problem is not null),
  constraint distillate_raw_is_short check (length(raw) <= 100000),
  constraint distillate_problem_is_short check (length(problem) <= 4000)
);

comment on table ops_roundtable_distillates is
  'What a conversation came to, once: landed with all its effects, or failed with the model''s words as they were (raw).';
