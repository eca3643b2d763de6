create or replace view v_pending_proposals
with (security_invoker = true)
as
select
  proposal.id,
  proposal.agent_id,
  agent.display_name as agent_name,
  proposal.title,
  proposal.description,
  proposal.source,
  proposal.steps,
  proposal.kinds,
  array(select jsonb_array_elements_text(coalesce(proposal.decision -> 'to_approve', '[]'))) as to_approve,
  proposal.simulated,
  proposal.created_at,
  proposal.expires_at
from ops_mission_proposals as proposal
left join ops_agents as agent
  on agent.id = proposal.agent_id
where proposal.status = 'pending';

comment on view v_pending_proposals is
  'What waits for a person''s yes or no; to_approve are the kinds for which it is wanted.';

create or replace view v_held_steps
with (security_invoker = true)
as
select
  step.id,
  step.mission_id,
  mission.title as mission_title,
  mission.proposal_id,
  step.seq,
  step.kind,
  step.agent_id,
  step.payload,
  step.simulated,
  step.held_at,
  step.held_at + ops_approval_time() as expires_at
from ops_mission_steps as step
left join ops_missions as mission
  on mission.id = step.mission_id
where step.status = 'waiting'
  and step.hold is not null;

comment on view v_held_steps is 'Steps that wait for ops_release or ops_reject_step.';

create or replace view v_active_missions
with (security_invoker = true)
as
select
  mission.id,
  mission.title,
  mission.status,
  mission.priority,
  mission.created_by,
  mission.proposal_id,
  mission.simulated,
  steps.total as steps_total,
  steps.done as steps_done,
  head.id as step_id,
  head.kind as step_kind,
  head.agent_id as step_agent_id,
  head.status as step_status,
  head.hold as step_hold,
  mission.created_at,
  mission.started_at
from ops_missions as mission
cross join lateral (
  select
    count(*) as total,
    count(*) filter (where step.status = 'succeeded') as done
  from ops_mission_steps as step
  where step.mission_id = mission.id
) as steps
left join lateral (
  select step.id, step.kind, step.agent_id, step.status, step.hold
  from ops_mission_steps as step
  where step.mission_id = mission.id
    and step.status in ('waiting', 'queued', 'running')
  order by step.seq, step.id
  limit 1
) as head on true
where mission.status in ('approved', 'running');

comment on view v_active_missions is 'Missions under way, with how far they are and the step they are at.';
