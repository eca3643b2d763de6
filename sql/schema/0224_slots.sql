-- Which running rows count against a limit of policy queue_limits. Empty while no limit is set.

create table ops_queue_slots (
  queue text not null,
  row_id bigint not null,
  claim_token uuid not null,
  taken_at timestamptz not null default now(),
  constraint ops_queue_slots_pkey primary key (queue, row_id),
  constraint slot_queue_is_known check (queue in ('mission', 'roundtable', 'initiative'))
);

alter table ops_queue_slots enable row level security;

comment on table ops_queue_slots is
  'Slots of limited queues; one counts only while its row runs under its token, so that a crash leaves none behind.';
