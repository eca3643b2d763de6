-- name: lock_missions
-- The missions of the steps a dead process left running are locked, in the order of their ids; returns the ids.
select mission.id
from ops_missions as mission
where mission.id in (
  select step.mission_id
  from ops_mission_steps as step
  where step.status = 'running'
    and step.claimed_by = %(worker)s
)
order by mission.id
for no key update;

-- name: steps
-- Steps a dead process left running are queued again, or failed as poison at the third crash; returns id and status.
-- This reads the whole table: a fifth of a second behind a million finished steps, once a death. An index by who has
-- claimed a row, or over the running ones, would be written by every claim.
with given as (
  update ops_mission_steps as step
  set
    status = case when step.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(step.attempt - 1, 0),
    crashes = least(step.crashes, 32766) + 1,
    claimed_by = null,
    claim_token = null,
    started_at = null,
    completed_at = case when step.crashes >= 2 then ops_now() end,
    failure_reason = case
      when step.crashes >= 2 then 'poison: its process crashed 3 times while it was running'
      else 'its process crashed while it was running'
    end
  where step.status = 'running'
    and step.claimed_by = %(worker)s
  returning
    step.id,
    step.status,
    step.kind,
    step.agent_id,
    step.mission_id,
    step.failure_reason,
    step.crashes,
    step.root_id,
    step.depth
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  select
    case given.status when 'failed' then 'step_failed' else 'step_rescued' end,
    given.agent_id,
    given.kind,
    given.failure_reason,
    array['step', given.kind],
    jsonb_build_object('step_id', given.id, 'mission_id', given.mission_id, 'crashes', given.crashes),
    given.root_id,
    given.depth
  from given
)
select given.id, given.status
from given;

-- name: roundtables
-- As steps, for conversations.
with given as (
  update ops_roundtable_queue as talk
  set
    status = case when talk.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(talk.attempt - 1, 0),
    crashes = least(talk.crashes, 32766) + 1,
    claimed_by = null,
    claim_token = null,
    started_at = null,
    completed_at = case when talk.crashes >= 2 then ops_now() end,
    failure_reason = case
      when talk.crashes >= 2 then 'poison: its process crashed 3 times while it was running'
      else 'its process crashed while it was running'
    end
  where talk.status = 'running'
    and talk.claimed_by = %(worker)s
  returning talk.id, talk.status, talk.format, talk.failure_reason, talk.crashes
),
told as (
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    case given.status when 'failed' then 'roundtable_failed' else 'roundtable_rescued' end,
    given.format,
    given.failure_reason,
    array['roundtable'],
    jsonb_build_object('roundtable_id', given.id, 'crashes', given.crashes)
  from given
)
select given.id, given.status
from given;

-- name: initiatives
-- As steps, for initiatives.
with given as (
  update ops_initiative_queue as idea
  set
    status = case when idea.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(idea.attempt - 1, 0),
    crashes = least(idea.crashes, 32766) + 1,
    claimed_by = null,
    claim_token = null,
    started_at = null,
    completed_at = case when idea.crashes >= 2 then ops_now() end,
    failure_reason = case
      when idea.crashes >= 2 then 'poison: its process crashed 3 times while it was running'
      else 'its process crashed while it was running'
    end
  where idea.status = 'running'
    and idea.claimed_by = %(worker)s
  returning idea.id, idea.status, idea.agent_id, idea.failure_reason, idea.crashes
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  select
    case given.status when 'failed' then 'initiative_failed' else 'initiative_rescued' end,
    given.agent_id,
    'initiative',
    given.failure_reason,
    array['initiative'],
    jsonb_build_object('initiative_id', given.id, 'crashes', given.crashes)
  from given
)
select given.id, given.status
from given;

-- name: ring_all
-- All queues are rung, for every reactor.
select ops_ring_all();
