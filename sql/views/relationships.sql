create or replace view v_relationship_map
with (security_invoker = true)
as
select
  pair.agent_a,
  pair.agent_b,
  first_agent.display_name as name_a,
  second_agent.display_name as name_b,
  pair.affinity,
  case
    when pair.affinity >= 0.8 then 'strong'
    when pair.affinity >= 0.6 then 'friendly'
    when pair.affinity >= 0.4 then 'neutral'
    else 'tense'
  end as label,
  pair.total_interactions,
  pair.positive_interactions,
  pair.negative_interactions,
  coalesce(recent.moved, 0)::numeric(4,3) as recent_drift,
  pair.drift_log -> -1 ->> 'reason' as last_reason,
  (pair.drift_log -> -1 ->> 'at')::timestamptz as last_drift_at,
  coalesce(recent.simulated, false) as simulated,
  pair.seed_affinity
from ops_agent_relationships as pair
join ops_agents as first_agent
  on first_agent.id = pair.agent_a
join ops_agents as second_agent
  on second_agent.id = pair.agent_b
cross join lateral (
  select
    sum((entry.value ->> 'applied')::numeric) as moved,
    bool_or((entry.value ->> 'simulated')::boolean) as simulated
  from jsonb_array_elements(pair.drift_log) as entry (value)
) as recent;

comment on view v_relationship_map is
  'Every pair with its label: from .8 strong, from .6 friendly, from .4 neutral, else tense; recent_drift is the sum of the'
  ' log''s applied drifts, simulated says that some of them were.';
