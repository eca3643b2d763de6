-- name: propose
-- The one entry; returns proposal, status, mission and reason. The steps are read through said, so that the settings come first.
select
  told.proposal_id,
  told.status,
  told.mission_id,
  told.rejection_reason
from (
  select
    set_config('ops.cause_event', coalesce(%(cause)s::bigint::text, current_setting('ops.cause_event', true), ''), true),
    set_config('ops.simulated', case when %(simulated)s then 'on' else coalesce(current_setting('ops.simulated', true), '') end, true)
  offset 0
) as said
cross join lateral ops_propose(
  agent_id => %(agent)s,
  title => %(title)s,
  steps => case when said is not null then %(steps)s::jsonb end,
  source => %(source)s,
  description => %(description)s,
  dedupe_key => %(dedupe_key)s
) as told;

-- name: approve
-- The pending proposal becomes a mission; returns the mission's id.
select ops_approve(%(id)s, %(by)s);

-- name: edit
-- The pending proposal has that title and those steps (null: as they are); false: they were so.
select ops_edit_proposal(%(id)s, %(by)s, title => %(title)s, steps => %(steps)s::jsonb);

-- name: reject
-- The pending proposal is turned down for the reason.
select ops_reject(%(id)s, %(by)s, %(reason)s);

-- name: release
-- The held step goes on, with another payload when one is given.
select ops_release(%(id)s, %(by)s, %(payload)s::jsonb);

-- name: reject_step
-- The held step is cancelled for the reason.
select ops_reject_step(%(id)s, %(by)s, %(reason)s);

-- name: expire
-- What nobody decided about in time is turned down; returns how much that was.
select ops_expire_approvals();

-- name: proposal
-- One proposal whole.
select
  proposal.id,
  proposal.agent_id,
  proposal.title,
  proposal.description,
  proposal.steps,
  proposal.source,
  proposal.status,
  proposal.rejection_reason,
  proposal.decision,
  proposal.mission_id,
  proposal.decided_by,
  proposal.decided_at,
  proposal.expires_at,
  proposal.simulated,
  proposal.dedupe_key,
  proposal.root_id,
  proposal.depth,
  proposal.created_at,
  proposal.asked,
  proposal.edited_by,
  proposal.edited_at
from ops_mission_proposals as proposal
where proposal.id = %(id)s;

-- name: proposals
-- Up to %(limit)s proposals before %(after)s, the newest first, of that status and agent (null: any).
select
  proposal.id,
  proposal.agent_id,
  proposal.title,
  proposal.description,
  proposal.steps,
  proposal.source,
  proposal.status,
  proposal.rejection_reason,
  proposal.decision,
  proposal.mission_id,
  proposal.decided_by,
  proposal.decided_at,
  proposal.expires_at,
  proposal.simulated,
  proposal.dedupe_key,
  proposal.root_id,
  proposal.depth,
  proposal.created_at,
  proposal.asked,
  proposal.edited_by,
  proposal.edited_at
from ops_mission_proposals as proposal
where (%(after)s::bigint is null or proposal.id < %(after)s)
  and (%(status)s::text is null or proposal.status = %(status)s)
  and (%(agent)s::text is null or proposal.agent_id = %(agent)s)
order by proposal.id desc
limit %(limit)s;

-- name: held_steps
-- Steps that wait for a person's word, the longest waiting first; at most %(limit)s.
select
  held.id,
  held.mission_id,
  held.mission_title,
  held.proposal_id,
  held.seq,
  held.kind,
  held.agent_id,
  held.payload,
  held.simulated,
  held.held_at,
  held.expires_at
from v_held_steps as held
order by held.held_at, held.id
limit %(limit)s;

-- name: active_missions
-- Missions under way, the newest first; at most %(limit)s.
select
  active.id,
  active.title,
  active.status,
  active.priority,
  active.created_by,
  active.proposal_id,
  active.simulated,
  active.steps_total,
  active.steps_done,
  active.step_kind,
  active.step_agent_id,
  active.step_status,
  active.step_hold,
  null::text as failure_reason,
  active.created_at,
  null::timestamptz as completed_at
from v_active_missions as active
order by active.id desc
limit %(limit)s;

-- name: all_missions
-- The last %(limit)s missions, also those that have ended, the newest first.
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
  active.step_kind,
  active.step_agent_id,
  active.step_status,
  active.step_hold,
  mission.failure_reason,
  mission.created_at,
  mission.completed_at
from (
  select latest.*
  from ops_missions as latest
  order by latest.id desc
  limit %(limit)s
) as mission
cross join lateral (
  select
    count(*) as total,
    count(*) filter (where step.status = 'succeeded') as done
  from ops_mission_steps as step
  where step.mission_id = mission.id
) as steps
left join v_active_missions as active
  on active.id = mission.id
order by mission.id desc;
