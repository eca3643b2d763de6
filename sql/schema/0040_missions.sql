-- Missions and their steps, the first of the three queues.

create table ops_step_kinds (
  kind text not null,
  description text not null default '',
  external boolean not null default false,
  timeout_s double precision not null default 300,
  input_schema jsonb not null default '{}',
  created_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  constraint ops_step_kinds_pkey primary key (kind),
  constraint kind_is_short check (length(kind) between 1 and 100),
  constraint kind_timeout_is_sane check (timeout_s > 0 and timeout_s <= 86400)
);

comment on table ops_step_kinds is 'Every kind of step a reactor has ever offered; reactors register theirs at start.';

create table ops_missions (
  id bigint generated always as identity,
  title text not null,
  description text,
  status text not null default 'approved',
  priority smallint not null default 5,
  created_by text,
  proposal_id bigint,
  failure_reason text,
  started_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz not null default now(),
  constraint ops_missions_pkey primary key (id),
  constraint mission_status_is_known
    check (status in ('approved', 'running', 'succeeded', 'failed', 'cancelled')),
  constraint mission_title_is_short check (length(title) between 1 and 500),
  constraint mission_description_is_short check (length(description) <= 10000),
  constraint mission_created_by_is_short check (length(created_by) <= 200),
  constraint mission_priority_is_1_to_10 check (priority between 1 and 10)
);

comment on table ops_missions is 'A piece of work made of steps that run one after another.';

create index ops_missions_active_idx
  on ops_missions (id)
  where status in ('approved', 'running');

create table ops_mission_steps (
  id bigint generated always as identity,
  mission_id bigint,
  seq integer not null default 1,
  kind text not null,
  agent_id text,
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
  hold text,
  ended_by bigint,
  failure_reason text,
  payload jsonb not null default '{}',
  result jsonb,
  constraint ops_mission_steps_pkey primary key (id),
  constraint step_belongs_to_a_mission foreign key (mission_id) references ops_missions (id) on delete cascade,
  constraint step_status_is_known
    check (status in ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  constraint step_kind_is_short check (length(kind) between 1 and 100),
  constraint step_agent_is_short check (length(agent_id) between 1 and 63),
  constraint step_priority_is_1_to_10 check (priority between 1 and 10),
  constraint step_run_at_is_a_date check (run_at >= '2000-01-01' and run_at < '9999-01-01'),
  constraint step_max_attempts_is_1_to_100 check (max_attempts between 1 and 100),
  constraint step_attempt_is_within_its_maximum check (attempt between 0 and max_attempts),
  constraint step_crashes_is_not_negative check (crashes >= 0),
  constraint step_hold_is_known check (hold = 'approval'),
  constraint step_running_is_claimed
    check (status <> 'running' or (claimed_by is not null and claim_token is not null)),
  constraint step_payload_is_an_object check (jsonb_typeof(payload) = 'object'),
  constraint step_payload_is_at_most_1_mib check (pg_column_size(payload) <= 1048576),
  constraint step_result_is_at_most_1_mib check (pg_column_size(result) <= 1049600)
);

comment on table ops_mission_steps is 'One step of work; without a mission a single job.';
comment on column ops_mission_steps.ended_by is 'The step of the same mission whose failure or cancellation cancelled this one.';

-- Claims read from the left end of this one; rows that cannot be claimed are not in it.
create index ops_mission_steps_claim_idx
  on ops_mission_steps (priority desc, run_at, id)
  where status = 'queued';

-- "When is the next row due" is the left end of this one.
create index ops_mission_steps_due_idx
  on ops_mission_steps (run_at)
  where status = 'queued';

create index ops_mission_steps_mission_idx
  on ops_mission_steps (mission_id, seq, id)
  where mission_id is not null;
