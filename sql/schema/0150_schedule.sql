-- The schedule: when conversations come about by themselves.

create table ops_conversation_slots (
  id bigint generated always as identity,
  name text not null,
  cron text not null,
  timezone text,
  format text not null,
  topics text[] not null default '{}',
  participants text[],
  probability double precision not null default 1,
  enabled boolean not null default true,
  since timestamptz not null default now(),
  created_at timestamptz not null default now(),
  constraint ops_conversation_slots_pkey primary key (id),
  constraint slot_name_is_unique unique (name),
  constraint slot_format_is_known foreign key (format) references ops_conversation_formats (format),
  constraint slot_name_is_short check (length(name) between 1 and 100),
  constraint slot_cron_has_five_fields check (
    length(cron) <= 200
    and cron ~ '^\s*[0-9A-Za-z*/,#-]+(\s+[0-9A-Za-z*/,#-]+){4}\s*$'
  ),
  constraint slot_timezone_is_short check (length(timezone) between 1 and 64),
  constraint slot_topics_are_few check (cardinality(topics) <= 200 and pg_column_size(topics) <= 65536),
  constraint slot_participants_are_few check (cardinality(participants) <= 12),
  constraint slot_probability_is_0_to_1 check (probability between 0 and 1)
);

comment on table ops_conversation_slots is
  'When a conversation is due (cron: minute hour day month weekday), in which time zone, and how likely it takes place.';
comment on column ops_conversation_slots.timezone is 'Null: the company''s, else the server''s.';
comment on column ops_conversation_slots.topics is 'What to choose from when nothing more pressing is; none: the format''s own.';
comment on column ops_conversation_slots.participants is 'Who takes part; null: the hour chooses.';
comment on column ops_conversation_slots.since is 'Nothing before this is due: made, enabled, or given other times then.';

create table ops_slot_occurrences (
  slot_id bigint not null,
  due_at timestamptz not null,
  outcome text not null,
  rolled double precision,
  probability double precision not null,
  roundtable_id bigint,
  taken_at timestamptz not null,
  constraint ops_slot_occurrences_pkey primary key (slot_id, due_at),
  constraint occurrence_belongs_to_a_slot
    foreign key (slot_id) references ops_conversation_slots (id) on delete cascade,
  constraint occurrence_outcome_is_known
    check (outcome in ('queued', 'not_chosen', 'day_full', 'quiet_hours', 'missed')),
  constraint occurrence_roll_is_a_share check (rolled >= 0 and rolled < 1),
  constraint occurrence_follows_its_roll check (
    (outcome = 'not_chosen') = (rolled >= probability) or outcome in ('quiet_hours', 'missed')
  ),
  constraint occurrence_queued_has_a_roundtable check ((outcome = 'queued') = (roundtable_id is not null))
);

comment on table ops_slot_occurrences is
  'Every time a slot came due, once, whichever process was first: the roll made for it and what it led to.';

create index ops_slot_occurrences_due_idx on ops_slot_occurrences (due_at);
