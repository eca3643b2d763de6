-- name: due
-- One row a queue: how many rows are queued, for how long the oldest due one has waited (seconds, 0: none), whether it is paused.
select
  'mission' as queue,
  count(*) as queued,
  coalesce(extract(epoch from (select ops_now()) - min(step.run_at)), 0)::float8 as oldest_s,
  exists (select from ops_pauses as pause where pause.queue = 'mission') as paused
from ops_mission_steps as step
where step.status = 'queued'
union all
select
  'roundtable' as queue,
  count(*) as queued,
  coalesce(extract(epoch from (select ops_now()) - min(talk.run_at)), 0)::float8 as oldest_s,
  exists (select from ops_pauses as pause where pause.queue = 'roundtable') as paused
from ops_roundtable_queue as talk
where talk.status = 'queued'
union all
select
  'initiative' as queue,
  count(*) as queued,
  coalesce(extract(epoch from (select ops_now()) - min(idea.run_at)), 0)::float8 as oldest_s,
  exists (select from ops_pauses as pause where pause.queue = 'initiative') as paused
from ops_initiative_queue as idea
where idea.status = 'queued';

-- name: allow_scans
-- For this transaction the planner may read tables from end to end.
select set_config('enable_seqscan', 'on', true);

-- name: statuses
-- How many rows of each queue are in each state, but for the queued ones. Reads the queues whole.
select
  'mission' as queue,
  step.status,
  count(*) as rows
from ops_mission_steps as step
where step.status <> 'queued'
group by step.status
union all
select
  'roundtable' as queue,
  talk.status,
  count(*) as rows
from ops_roundtable_queue as talk
where talk.status <> 'queued'
group by talk.status
union all
select
  'initiative' as queue,
  idea.status,
  count(*) as rows
from ops_initiative_queue as idea
where idea.status <> 'queued'
group by idea.status;

-- name: breakers
-- The state of every breaker, by service.
select
  breaker.service,
  breaker.state
from ops_circuit_breaker as breaker
order by breaker.service;

-- name: readiness
-- Which of the schema files in %(schema)s were never applied here, which queues are paused, which breakers are not closed.
select
  array(
    select wanted.name
    from unnest(%(schema)s::text[]) as wanted (name)
    where not exists (select from ops_migrations as done where done.name = wanted.name)
    order by wanted.name
  ) as missing,
  array(
    select pause.queue
    from ops_pauses as pause
    order by pause.queue
  ) as paused,
  coalesce(
    (
      select jsonb_object_agg(breaker.service, breaker.state)
      from ops_circuit_breaker as breaker
      where breaker.state <> 'closed'
    ),
    '{}'
  ) as breakers;
