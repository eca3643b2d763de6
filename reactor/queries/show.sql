-- name: step
-- One step whole.
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.mission_id,
  work.seq,
  work.kind,
  work.agent_id,
  work.hold,
  work.ended_by,
  work.payload
from ops_mission_steps as work
where work.id = %(id)s;

-- name: roundtable
-- One conversation whole.
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.format,
  work.topic,
  work.participants
from ops_roundtable_queue as work
where work.id = %(id)s;

-- name: initiative
-- One initiative whole.
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.agent_id,
  work.trigger_reason,
  work.memory_influenced,
  work.proposal_id
from ops_initiative_queue as work
where work.id = %(id)s;

-- name: mission
-- One mission whole, without its steps.
select
  mission.id,
  mission.title,
  mission.description,
  mission.status,
  mission.priority,
  mission.created_by,
  mission.proposal_id,
  mission.failure_reason,
  mission.started_at,
  mission.completed_at,
  mission.created_at
from ops_missions as mission
where mission.id = %(id)s;

-- name: steps_of_mission
-- The steps of a mission in the order in which they run.
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.mission_id,
  work.seq,
  work.kind,
  work.agent_id,
  work.hold,
  work.ended_by,
  work.payload
from ops_mission_steps as work
where work.mission_id = %(id)s
order by work.seq, work.id;

-- name: root_of
-- The event that the chain of a step, mission or initiative began with; null: nothing led to it.
select
  case %(what)s::text
    when 'mission' then (select mission.root_id from ops_missions as mission where mission.id = %(id)s)
    when 'step' then (select step.root_id from ops_mission_steps as step where step.id = %(id)s)
    when 'initiative' then (
      select proposal.root_id
      from ops_initiative_queue as idea
      join ops_mission_proposals as proposal
        on proposal.id = idea.proposal_id
      where idea.id = %(id)s
    )
  end;

-- name: now
-- The database's clock.
select ops_now();

-- name: state_of_step
-- Status, result and reason of a step.
select work.status, work.result, work.failure_reason
from ops_mission_steps as work
where work.id = %(id)s;

-- name: state_of_mission
-- Status, result (that of its last finished step) and reason of a mission.
select
  mission.status,
  (
    select step.result
    from ops_mission_steps as step
    where step.mission_id = mission.id
      and step.status = 'succeeded'
    order by step.seq desc, step.id desc
    limit 1
  ) as result,
  mission.failure_reason
from ops_missions as mission
where mission.id = %(id)s;

-- name: state_of_roundtable
-- Status, result and reason of a conversation.
select work.status, work.result, work.failure_reason
from ops_roundtable_queue as work
where work.id = %(id)s;

-- name: state_of_initiative
-- Status, result and reason of an initiative.
select work.status, work.result, work.failure_reason
from ops_initiative_queue as work
where work.id = %(id)s;

-- name: ahead_of_mission
-- Kind and agent of the step of a mission that runs now or next.
select work.kind, work.agent_id
from ops_mission_steps as work
where work.mission_id = %(id)s
  and work.status in ('waiting', 'queued', 'running')
order by work.seq, work.id
limit 1;
