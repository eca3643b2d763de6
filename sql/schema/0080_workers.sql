-- The fleet: one row a reactor process.

create table ops_workers (
  id uuid not null,
  hostname text not null,
  pid integer not null,
  version text not null,
  parts text[] not null,
  kinds text[] not null default '{}',
  agent_id text,
  liveness_key integer not null,
  state text not null default 'starting',
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  constraint ops_workers_pkey primary key (id),
  constraint worker_state_is_known check (state in ('starting', 'ready', 'stopping', 'stopped', 'dead'))
);

comment on table ops_workers is 'Reactor processes, present and recent. liveness_key names the advisory lock a living one holds.';
