-- Conversations, the second queue.

create table ops_roundtable_queue (
  id bigint generated always as identity,
  format text not null,
  topic text,
  participants text[],
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
  constraint ops_roundtable_queue_pkey primary key (id),
  constraint roundtable_status_is_known
    check (status in ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  constraint roundtable_format_is_short check (length(format) between 1 and 100),
  constraint roundtable_topic_is_short check (length(topic) <= 2000),
  constraint roundtable_participants_are_few check (cardinality(participants) <= 50),
  constraint roundtable_priority_is_1_to_10 check (priority between 1 and 10),
  constraint roundtable_run_at_is_a_date check (run_at >= '2000-01-01' and run_at < '9999-01-01'),
  constraint roundtable_max_attempts_is_1_to_100 check (max_attempts between 1 and 100),
  constraint roundtable_attempt_is_within_its_maximum check (attempt between 0 and max_attempts),
  constraint roundtable_crashes_is_not_negative check (crashes >= 0),
  constraint roundtable_running_is_claimed
    check (status <> 'running' or (claimed_by is not null and claim_token is not null)),
  constraint roundtable_result_is_at_most_1_mib check (pg_column_size(result) <= 1049600)
);

comment on table ops_roundtable_queue is 'One conversation; without participants its format and the hour choose them.';

create index ops_roundtable_queue_claim_idx
  on ops_roundtable_queue (priority desc, run_at, id)
  where status = 'queued';

create index ops_roundtable_queue_due_idx
  on ops_roundtable_queue (run_at)
  where status = 'queued';
