-- What the web part keeps: who watches, and which changes were made already.

alter table ops_workers
  add column viewers integer not null default 0,
  add constraint worker_viewers_are_not_negative check (viewers >= 0);

comment on column ops_workers.viewers is
  'How many people watch the event stream of this process; while nobody does, writers of events tell nobody.';

create table ops_idempotent_requests (
  key text not null,
  request text not null,
  status smallint,
  headers jsonb not null default '{}',
  body text,
  created_at timestamptz not null default now(),
  constraint ops_idempotent_requests_pkey primary key (key),
  constraint request_key_is_short check (length(key) between 1 and 200),
  constraint request_is_a_digest check (request ~ '^[0-9a-f]{64}$')
);

comment on table ops_idempotent_requests is
  'Changes asked for under an Idempotency-Key: the request''s digest and its answer, written with the change; kept for a day.';

create index ops_idempotent_requests_created_idx on ops_idempotent_requests (created_at);

-- What a row may be waiting for, said by those who would take it.
alter table ops_workers
  add column slots jsonb not null default '{}',
  add constraint worker_slots_are_an_object check (jsonb_typeof(slots) = 'object');

comment on column ops_workers.slots is 'How many rows of each queue it runs at once.';

alter table ops_step_kinds
  add column services text[] not null default '{}';

comment on column ops_step_kinds.services is 'The breakers that must let calls through for a step of this kind to be taken.';
