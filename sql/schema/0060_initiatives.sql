-- Agents asked to propose something, the third queue.

create table ops_initiative_queue (
  id bigint generated always as identity,
  agent_id text not null,
  trigger_reason text,
  memory_influenced boolean not null default false,
  proposal_id bigint,
  status text not null default 'queued',
  priority smallint not null default 5,
  run_at timestamptz not null default now(),
  attempt smallint not null default 0,
  max_attempts smallint not null default 3,
  crashes smallint not null default 0,
  simulated boolean not null default false,
  claimed_by uuid,
  claim_token uuid,
  started_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz not null default now(),
  failure_reason text,
  result jsonb,
  constraint ops_initiative_queue_pkey primary key (id),
  constraint initiative_status_is_known
    check (status in ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  constraint initiative_agent_is_short check (length(agent_id) between 1 and 63),
  constraint initiative_trigger_reason_is_short check (length(trigger_reason) <= 2000),
  constraint initiative_priority_is_1_to_10 check (priority between 1 and 10),
  constraint initiative_run_at_is_a_date check (run_at >= '2000-01-01' and run_at < '9999-01-01'),
  constraint initiative_max_attempts_is_1_to_100 check (max_attempts between 1 and 100),
  constraint initiative_attempt_is_within_its_maximum check (attempt between 0 and max_attempts),
  constraint initiative_crashes_is_not_negative check (crashes >= 0),
  constraint initiative_running_is_claimed
    check (status <> 'running' or (claimed_by is not null and claim_token is not null)),
  constraint initiative_result_is_at_most_1_mib check (pg_column_size(result) <= 1049600)
);

comment on table ops_initiative_queue is 'One agent asked to propose something.';

create index ops_initiative_queue_claim_idx
  on ops_initiative_queue (priority desc, run_at, id)
  where status = 'queued';

create index ops_initiative_queue_due_idx
  on ops_initiative_queue (run_at)
  where status = 'queued';
