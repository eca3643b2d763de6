-- name: retry
-- True when the row is due again.
select ops_retry(%(what)s, %(id)s);

-- name: cancel
-- True when the row is called off now.
select ops_cancel(%(what)s, %(id)s);

-- name: pause
-- The queue (or all) takes no row.
select ops_pause(%(queue)s, %(reason)s);

-- name: resume
-- The queue (or all) takes rows.
select ops_resume(%(queue)s);

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
