-- What happened, in the past tense. A stream with gaps in commit order: readers order it by (xact, id).

create table ops_agent_events (
  id bigint generated always as identity,
  root_id bigint,
  depth smallint not null default 0,
  xact xid8 not null default pg_current_xact_id(),
  created_at timestamptz not null default now(),
  agent_id text,
  kind text not null,
  title text not null default '',
  summary text,
  tags text[] not null default '{}',
  metadata jsonb not null default '{}',
  constraint ops_agent_events_pkey primary key (id),
  constraint event_kind_is_short check (length(kind) between 1 and 63),
  constraint event_title_is_short check (length(title) <= 500),
  constraint event_summary_is_short check (length(summary) <= 4000),
  constraint event_depth_is_bounded check (depth between 0 and 100)
);

comment on table ops_agent_events is 'What happened. root_id is the event a chain began with (null: this one), depth its length so far.';
comment on column ops_agent_events.xact is 'The transaction that wrote it; rows below the snapshot horizon, by (xact, id), are final.';

create index ops_agent_events_stream_idx on ops_agent_events (xact, id);
