-- name: steps
-- The mission's steps, first to last: kind, who, status, what came of it, simulated.
select
  step.id,
  step.kind,
  coalesce(step.result ->> 'agent', step.agent_id, 'somebody'),
  step.status,
  coalesce(step.result ->> 'title', step.result ->> 'summary', step.result ->> 'text', step.result ->> 'would_have_sent', ''),
  step.simulated
from ops_mission_steps as step
where step.mission_id = %(id)s
order by step.seq, step.id;

-- name: memories_of
-- What a conversation left behind, or was remembered before it and came up again: who, type, content, confidence.
select
  memory.agent_id,
  memory.type,
  memory.content,
  memory.confidence
from ops_agent_memory as memory
where memory.source_trace_id like 'roundtable:' || %(id)s::bigint || ':%%'
  or exists (
    select
    from ops_memory_confirmations as confirmation
    where confirmation.memory_id = memory.id
      and confirmation.source_trace_id like 'roundtable:' || %(id)s::bigint || ':%%'
  )
order by memory.id;

-- name: drifts_of
-- Whom a conversation brought nearer or apart: the pair, before, after, reason.
select
  pair.agent_a,
  pair.agent_b,
  (entry.value ->> 'before')::numeric,
  (entry.value ->> 'after')::numeric,
  entry.value ->> 'reason'
from ops_agent_relationships as pair
cross join lateral jsonb_array_elements(pair.drift_log) as entry (value)
where entry.value ->> 'source' ~ ('^roundtable:' || %(id)s::bigint || '(:|$)')
order by pair.agent_a, pair.agent_b;

-- name: distilled
-- What came of distilling a conversation: why it could not be read, and how many memories and drifts named nobody in it.
select
  row.result ->> 'problem',
  coalesce((row.result ->> 'left_out')::integer, 0)
from ops_roundtable_queue as row
where row.id = %(id)s;

-- name: tell
-- The agent remembers what a person told it; returns the memory.
select ops_remember(
  %(agent)s,
  'insight',
  %(content)s,
  0.8,
  array['demo', 'customers'],
  %(trace)s,
  trust => 'human'
);

-- name: initiative
-- What became of an initiative: the proposal's title, status and reason; nothing when it proposed nothing.
select
  proposal.id,
  proposal.title,
  proposal.status,
  proposal.rejection_reason
from ops_initiative_queue as row
join ops_mission_proposals as proposal
  on proposal.id = row.proposal_id
where row.id = %(id)s;

-- name: proposal
-- A proposal as it stands: status, reason, the kinds wanted, the gate.
select
  proposal.status,
  proposal.rejection_reason,
  proposal.decided_by,
  proposal.decision ->> 'gate'
from ops_mission_proposals as proposal
where proposal.id = %(id)s;

-- name: set_company
-- Whom the work is for, where nobody has said.
select ops_set_policy('company', %(company)s::jsonb)
from ops_policy as policy
where policy.key = 'company'
  and policy.value = '{}';

-- name: held_step
-- The mission's step that waits for a person, and what it would send.
select
  step.id,
  step.payload ->> 'url'
from ops_mission_steps as step
where step.mission_id = %(id)s
  and step.hold is not null
  and step.status = 'waiting'
limit 1;

-- name: ceiling
-- What may be spent a day, in USD; null where nothing says so.
select (policy.value ->> 'per_day_usd')::float8
from ops_policy as policy
where policy.key = 'llm_budget';
