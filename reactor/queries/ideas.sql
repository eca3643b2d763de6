-- name: readiness
-- How many memories the agent may draw on, and how many are needed.
select
  status.ready_memories,
  status.min_memories,
  limits.min_confidence
from v_initiative_status as status
cross join (
  select coalesce((policy.value ->> 'min_confidence')::numeric, 0.6) as min_confidence
  from (values ('initiative_limits')) as wanted (key)
  left join ops_policy as policy
    on policy.key = wanted.key
) as limits
where status.agent_id = %(agent)s;

-- name: made_before
-- The proposal this initiative has led to already, when its handler was interrupted after it.
select
  proposal.id,
  proposal.title,
  proposal.status,
  proposal.mission_id,
  proposal.rejection_reason,
  proposal.simulated,
  exists (
    select
    from ops_memory_influences as roll
    where roll.agent_id = proposal.agent_id
      and roll.context_type = 'initiative'
      and roll.context_id = %(id)s
      and cardinality(roll.memory_ids) > 0
  ) as influenced
from ops_mission_proposals as proposal
where proposal.dedupe_key = %(key)s;

-- name: past_proposals
-- The agent's last %(limit)s proposals and their fate, the newest first.
select
  proposal.id,
  proposal.title,
  proposal.kinds,
  proposal.status,
  proposal.rejection_reason,
  mission.status,
  proposal.created_at
from ops_mission_proposals as proposal
left join ops_missions as mission
  on mission.id = proposal.mission_id
where proposal.agent_id = %(agent)s
  and not (proposal.simulated and ops_real_calls_began())
order by proposal.created_at desc, proposal.id desc
limit %(limit)s;

-- name: recent_events
-- The last %(limit)s events that tell how things go, the newest first; the house's own noise is left out.
select
  event.kind,
  event.agent_id,
  event.title,
  event.summary
from ops_agent_events as event
where event.kind in (
    'mission_succeeded', 'mission_failed', 'mission_cancelled', 'proposal_accepted', 'proposal_rejected',
    'roundtable_succeeded', 'memory_promoted', 'outcome_recorded'
  )
  and not (ops_real_calls_began() and ops_event_is_simulated(event.id))
order by event.id desc
limit %(limit)s;

-- name: kinds
-- The kinds of steps there are, with what they do; idle ones that do nothing are left out.
select
  known.kind,
  known.description,
  known.external
from ops_step_kinds as known
where known.kind <> 'noop'
order by known.external, known.kind;

-- name: propose
-- The proposal through the one entry, simulated or not; proposing again under the same key is the first proposal.
select
  proposal.proposal_id,
  proposal.status,
  proposal.mission_id,
  proposal.rejection_reason
from set_config('ops.simulated', %(simulated)s, true) as mark
cross join lateral ops_propose(
  -- In terms of the mark: else it might be made before the mark is set.
  case when mark is not null then %(agent)s::text end,
  %(title)s::text,
  %(steps)s::jsonb,
  'initiative',
  %(description)s::text,
  %(key)s::text
) as proposal;
