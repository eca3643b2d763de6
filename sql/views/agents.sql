create or replace view v_initiative_status
with (security_invoker = true)
as
select
  agent.id as agent_id,
  agent.display_name,
  agent.active,
  memories.ready as ready_memories,
  limits.min_memories,
  ideas.open as open_initiatives,
  ideas.today as initiatives_today,
  limits.per_agent_day,
  last_idea.id as last_id,
  last_idea.status as last_status,
  last_idea.created_at as last_at,
  last_idea.memory_influenced as last_memory_influenced,
  last_idea.proposal_id as last_proposal_id,
  last_idea.failure_reason as last_failure_reason,
  ideas.last_at + limits.cooldown_s * interval '1 second' as next_at,
  case
    when not agent.active then 'not active'
    when memories.ready < limits.min_memories
      then format('%s of %s memories of confidence %s or more', memories.ready, limits.min_memories, limits.min_confidence)
    when ideas.open > 0 then 'asked already'
    when ideas.last_at + limits.cooldown_s * interval '1 second' > ops_now() then 'asked not long ago'
    when ideas.today >= limits.per_agent_day then format('asked %s times today', ideas.today)
  end as not_now_because
from ops_agents as agent
cross join (
  select
    coalesce((policy.value ->> 'min_memories')::integer, 5) as min_memories,
    coalesce((policy.value ->> 'min_confidence')::numeric, 0.6) as min_confidence,
    coalesce((policy.value ->> 'cooldown_s')::float8, 14400) as cooldown_s,
    coalesce((policy.value ->> 'per_agent_day')::integer, 1) as per_agent_day
  from (values ('initiative_limits')) as wanted (key)
  left join ops_policy as policy
    on policy.key = wanted.key
) as limits
cross join lateral (
  select count(*) as ready
  from ops_agent_memory as memory
  where memory.agent_id = agent.id
    and memory.superseded_by is null
    and memory.confidence >= limits.min_confidence
    and not (memory.simulated and ops_real_calls_began())
) as memories
cross join lateral (
  select
    count(*) filter (where idea.status in ('waiting', 'queued', 'running')) as open,
    count(*) filter (where idea.created_at >= ops_day_start() and counts.yes) as today,
    max(idea.created_at) filter (where counts.yes) as last_at
  from ops_initiative_queue as idea
  -- What the mock was asked is no reason not to ask for real.
  cross join lateral (select not (idea.simulated and ops_real_calls_began()) as yes offset 0) as counts
  where idea.agent_id = agent.id
) as ideas
left join lateral (
  select idea.id, idea.status, idea.created_at, idea.memory_influenced, idea.proposal_id, idea.failure_reason
  from ops_initiative_queue as idea
  where idea.agent_id = agent.id
  order by idea.created_at desc, idea.id desc
  limit 1
) as last_idea
  on true;

comment on view v_initiative_status is
  'Every agent: whether it may be asked now to propose something of its own (not_now_because is null), by policy'
  ' initiative_limits, and what came of the last time.';

create or replace view v_agent_stats
with (security_invoker = true)
as
select
  agent.id as agent_id,
  agent.display_name,
  agent.role,
  agent.model,
  agent.active,
  memories.active_memories,
  memories.pinned_memories,
  memories.insights,
  memories.patterns,
  memories.strategies,
  memories.preferences,
  memories.lessons,
  memories.average_confidence,
  memories.simulated_memories,
  influence.contexts as contexts_rolled,
  influence.influenced as contexts_influenced,
  steps.succeeded as steps_succeeded,
  steps.failed as steps_failed,
  proposals.pending as proposals_pending,
  proposals.accepted as proposals_accepted,
  proposals.rejected as proposals_rejected,
  liking.average_affinity,
  events.last_event_at
from ops_agents as agent
cross join lateral (
  select
    count(*) as active_memories,
    count(*) filter (where memory.pinned) as pinned_memories,
    count(*) filter (where memory.type = 'insight') as insights,
    count(*) filter (where memory.type = 'pattern') as patterns,
    count(*) filter (where memory.type = 'strategy') as strategies,
    count(*) filter (where memory.type = 'preference') as preferences,
    count(*) filter (where memory.type = 'lesson') as lessons,
    round(avg(memory.confidence), 3) as average_confidence,
    count(*) filter (where memory.simulated) as simulated_memories
  from ops_agent_memory as memory
  where memory.agent_id = agent.id
    and memory.superseded_by is null
) as memories
cross join lateral (
  select
    count(*) as contexts,
    count(*) filter (where roll.influenced) as influenced
  from ops_memory_influences as roll
  where roll.agent_id = agent.id
) as influence
cross join lateral (
  select
    count(*) filter (where proposal.status = 'pending') as pending,
    count(*) filter (where proposal.status = 'accepted') as accepted,
    count(*) filter (where proposal.status = 'rejected') as rejected
  from ops_mission_proposals as proposal
  where proposal.agent_id = agent.id
) as proposals
cross join lateral (
  select round(avg(pair.affinity), 3) as average_affinity
  from ops_agent_relationships as pair
  where agent.id in (pair.agent_a, pair.agent_b)
) as liking
left join (
  select
    coalesce(step.agent_id, step.result ->> 'agent') as agent_id,
    count(*) filter (where step.status = 'succeeded') as succeeded,
    count(*) filter (where step.status = 'failed') as failed
  from ops_mission_steps as step
  where step.status in ('succeeded', 'failed')
  group by coalesce(step.agent_id, step.result ->> 'agent')
) as steps
  on steps.agent_id = agent.id
left join (
  select event.agent_id, max(event.created_at) as last_event_at
  from ops_agent_events as event
  where event.agent_id is not null
  group by event.agent_id
) as events
  on events.agent_id = agent.id;

comment on view v_agent_stats is
  'Every agent with what it remembers (active memories), did, proposed, and how it is liked.';
