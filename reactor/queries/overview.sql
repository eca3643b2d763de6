-- name: queues
-- One row a queue: how many rows are in which state, and how long the oldest due one has waited (seconds).
select
  'mission' as queue,
  count(*) filter (where work.status = 'waiting') as waiting,
  count(*) filter (where work.status = 'queued') as queued,
  count(*) filter (where work.status = 'running') as running,
  count(*) filter (where work.status = 'succeeded') as succeeded,
  count(*) filter (where work.status = 'failed') as failed,
  count(*) filter (where work.status = 'cancelled') as cancelled,
  extract(epoch from (select ops_now()) - min(work.run_at) filter (
    where work.status = 'queued' and work.run_at <= (select ops_now())
  ))::double precision as oldest_due_s
from ops_mission_steps as work
union all
select
  'roundtable' as queue,
  count(*) filter (where work.status = 'waiting') as waiting,
  count(*) filter (where work.status = 'queued') as queued,
  count(*) filter (where work.status = 'running') as running,
  count(*) filter (where work.status = 'succeeded') as succeeded,
  count(*) filter (where work.status = 'failed') as failed,
  count(*) filter (where work.status = 'cancelled') as cancelled,
  extract(epoch from (select ops_now()) - min(work.run_at) filter (
    where work.status = 'queued' and work.run_at <= (select ops_now())
  ))::double precision as oldest_due_s
from ops_roundtable_queue as work
union all
select
  'initiative' as queue,
  count(*) filter (where work.status = 'waiting') as waiting,
  count(*) filter (where work.status = 'queued') as queued,
  count(*) filter (where work.status = 'running') as running,
  count(*) filter (where work.status = 'succeeded') as succeeded,
  count(*) filter (where work.status = 'failed') as failed,
  count(*) filter (where work.status = 'cancelled') as cancelled,
  extract(epoch from (select ops_now()) - min(work.run_at) filter (
    where work.status = 'queued' and work.run_at <= (select ops_now())
  ))::double precision as oldest_due_s
from ops_initiative_queue as work;

-- name: dead_letters
-- The last %(limit)s rows of any queue that failed for good, newest first.
(
  select
    'step' as what,
    work.id,
    work.kind as kind,
    work.agent_id as agent_id,
    work.failure_reason,
    work.completed_at
  from ops_mission_steps as work
  where work.status = 'failed'
  order by work.completed_at desc nulls last
  limit %(limit)s
)
union all
(
  select
    'roundtable' as what,
    work.id,
    work.format as kind,
    null as agent_id,
    work.failure_reason,
    work.completed_at
  from ops_roundtable_queue as work
  where work.status = 'failed'
  order by work.completed_at desc nulls last
  limit %(limit)s
)
union all
(
  select
    'initiative' as what,
    work.id,
    'initiative' as kind,
    work.agent_id as agent_id,
    work.failure_reason,
    work.completed_at
  from ops_initiative_queue as work
  where work.status = 'failed'
  order by work.completed_at desc nulls last
  limit %(limit)s
)
order by completed_at desc nulls last
limit %(limit)s;

-- name: facts
-- What the database is, what it holds, and what its clock says.
select
  (select ops_now()) as now,
  current_database() as database,
  current_setting('server_version') as server_version,
  pg_database_size(current_database()) as size_bytes,
  (select count(*) from ops_missions as mission where mission.status in ('approved', 'running')) as active_missions,
  coalesce(
    (select policy.value -> 'what' from ops_policy as policy where policy.key = 'company') not in ('null', '""'),
    false
  ) as company_known,
  coalesce(
    (
      select jsonb_array_length(policy.value)
      from ops_policy as policy
      where policy.key = 'sources'
        and jsonb_typeof(policy.value) = 'array'
    ),
    0
  ) as sources;

-- name: pauses
-- The queues that take no row now, with why, by whom and since when.
select
  pause.queue,
  pause.reason,
  pause.paused_by,
  pause.paused_at
from ops_pauses as pause
order by pause.queue;
