-- name: claim
-- Due rows, one by one: the ids of those that are ours now, and of those that the database refuses, with the refusal.
select one.row_id, one.refusal
from ops_claim_singly(%(queue)s, %(worker)s, %(token)s, %(limit)s, %(kinds)s, %(agent)s) as one;

-- name: claimed_steps
-- The steps as a claim gives them, the most urgent first.
select
  step.id,
  step.priority,
  step.run_at,
  step.attempt,
  step.max_attempts,
  step.simulated,
  step.mission_id,
  step.seq,
  step.kind,
  step.agent_id,
  step.payload,
  step.root_id
from ops_mission_steps as step
where step.id = any (%(ids)s::bigint[])
order by step.priority desc, step.run_at, step.id;

-- name: claimed_roundtables
-- The conversations as a claim gives them, the most urgent first.
select
  talk.id,
  talk.priority,
  talk.run_at,
  talk.attempt,
  talk.max_attempts,
  talk.simulated,
  talk.format,
  talk.topic,
  talk.participants,
  talk.claim_token
from ops_roundtable_queue as talk
where talk.id = any (%(ids)s::bigint[])
order by talk.priority desc, talk.run_at, talk.id;

-- name: claimed_initiatives
-- The initiatives as a claim gives them, the most urgent first.
select
  idea.id,
  idea.priority,
  idea.run_at,
  idea.attempt,
  idea.max_attempts,
  idea.simulated,
  idea.agent_id,
  idea.trigger_reason
from ops_initiative_queue as idea
where idea.id = any (%(ids)s::bigint[])
order by idea.priority desc, idea.run_at, idea.id;

-- name: lock_mission_of
-- The mission of the step is locked; returns its id, and nothing when the step is a single job.
select mission.id
from ops_missions as mission
where mission.id = (select step.mission_id from ops_mission_steps as step where step.id = %(id)s)
for no key update;

-- name: fail_steps
-- The step, if it is still queued, has failed with its event; returns its id.
with given as (
  update ops_mission_steps as step
  set
    status = 'failed',
    completed_at = (select ops_now()),
    failure_reason = %(reason)s
  where step.id = %(id)s
    and step.status = 'queued'
  returning step
)
select
  (given.step).id,
  ops_tell_of_step('step_failed', given.step, %(reason)s)::text
from given;

-- name: fail_roundtables
-- As fail_steps, for conversations.
with given as (
  update ops_roundtable_queue as talk
  set
    status = 'failed',
    completed_at = ops_now(),
    failure_reason = %(reason)s
  where talk.id = %(id)s
    and talk.status = 'queued'
  returning talk.id, talk.format, talk.failure_reason
),
told as (
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    'roundtable_failed',
    given.format,
    given.failure_reason,
    array['roundtable', given.format],
    jsonb_build_object('roundtable_id', given.id)
  from given
)
select given.id
from given;

-- name: fail_initiatives
-- As fail_steps, for initiatives.
with given as (
  update ops_initiative_queue as idea
  set
    status = 'failed',
    completed_at = ops_now(),
    failure_reason = %(reason)s
  where idea.id = %(id)s
    and idea.status = 'queued'
  returning idea.id, idea.agent_id, idea.failure_reason
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  select
    'initiative_failed',
    given.agent_id,
    'initiative',
    given.failure_reason,
    array['initiative'],
    jsonb_build_object('initiative_id', given.id)
  from given
)
select given.id
from given;
