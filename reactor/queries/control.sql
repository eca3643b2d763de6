-- name: retry
-- True when the row is due again.
select ops_retry(%(what)s, %(id)s);

-- name: cancel
-- True when the row is called off now.
select ops_cancel(%(what)s, %(id)s);

-- name: pause
-- The queue (or all) takes no row.
select ops_pause(%(queue)s, %(reason)s)
from set_config('ops.by', coalesce(%(by)s::text, ''), true) as said;

-- name: resume
-- The queue (or all) takes rows.
select ops_resume(%(queue)s)
from set_config('ops.by', coalesce(%(by)s::text, ''), true) as said;

-- name: in_hand
-- Every row of the paused queues that runs now: queue, id, what it is, and since how many seconds.
select
  'mission' as queue,
  step.id,
  step.kind as what,
  extract(epoch from ops_now() - step.started_at)::float8 as since_s
from ops_mission_steps as step
where step.status = 'running'
  and %(queue)s in ('mission', 'all')
union all
select
  'roundtable' as queue,
  talk.id,
  talk.format as what,
  extract(epoch from ops_now() - talk.started_at)::float8 as since_s
from ops_roundtable_queue as talk
where talk.status = 'running'
  and %(queue)s in ('roundtable', 'all')
union all
select
  'initiative' as queue,
  idea.id,
  idea.agent_id as what,
  extract(epoch from ops_now() - idea.started_at)::float8 as since_s
from ops_initiative_queue as idea
where idea.status = 'running'
  and %(queue)s in ('initiative', 'all')
order by queue, id;

-- name: given_back
-- Those of the rows that are queued again: queue and id.
select named.queue, named.id
from unnest(%(queues)s::text[], %(ids)s::bigint[]) as named (queue, id)
where exists (
    select from ops_mission_steps as step
    where named.queue = 'mission' and step.id = named.id and step.status = 'queued'
  )
  or exists (
    select from ops_roundtable_queue as talk
    where named.queue = 'roundtable' and talk.id = named.id and talk.status = 'queued'
  )
  or exists (
    select from ops_initiative_queue as idea
    where named.queue = 'initiative' and idea.id = named.id and idea.status = 'queued'
  )
order by named.queue, named.id;

-- name: held_back
-- How many rows of the paused queues wait, and how many calls to the language model are under way.
select
  (
    select count(*) from ops_mission_steps as step
    where step.status = 'queued' and %(queue)s in ('mission', 'all')
  )
  + (
    select count(*) from ops_roundtable_queue as talk
    where talk.status = 'queued' and %(queue)s in ('roundtable', 'all')
  )
  + (
    select count(*) from ops_initiative_queue as idea
    where idea.status = 'queued' and %(queue)s in ('initiative', 'all')
  ) as queued,
  (
    select count(*) from ops_llm_calls as call
    where call.outcome = 'reserved' and call.lapses_at > ops_now()
  ) as calls;

-- name: failed_since
-- What has failed by itself since the given number of seconds, oldest first.
select 'step' as what, step.id, step.completed_at
from ops_mission_steps as step
where step.status = 'failed'
  and step.completed_at >= ops_now() - make_interval(secs => %(since_s)s)
union all
select 'roundtable' as what, talk.id, talk.completed_at
from ops_roundtable_queue as talk
where talk.status = 'failed'
  and talk.completed_at >= ops_now() - make_interval(secs => %(since_s)s)
union all
select 'initiative' as what, idea.id, idea.completed_at
from ops_initiative_queue as idea
where idea.status = 'failed'
  and idea.completed_at >= ops_now() - make_interval(secs => %(since_s)s)
order by completed_at, what, id;

-- name: policies
-- Every policy, by key.
select
  policy.key,
  policy.value,
  policy.description,
  policy.version,
  policy.updated_at
from ops_policy as policy
order by policy.key;

-- name: set_policy
-- The policy's value with the patch merged in; returns it.
select ops_set_policy(%(key)s, %(patch)s::jsonb);

-- name: policy
-- One policy.
select
  policy.key,
  policy.value,
  policy.description,
  policy.version,
  policy.updated_at
from ops_policy as policy
where policy.key = %(key)s;

-- name: policy_to_change
-- One policy, which nobody else changes until the transaction ends.
select
  policy.key,
  policy.value,
  policy.description,
  policy.version,
  policy.updated_at
from ops_policy as policy
where policy.key = %(key)s
for no key update;
