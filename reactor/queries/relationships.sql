-- name: apply_drift
-- The pair's affinity after the drift, marked as simulated or not.
select ops_apply_drift(
  %(agent_a)s::text,
  %(agent_b)s::text,
  %(drift)s::numeric,
  %(reason)s::text,
  %(source)s::text
)
from set_config('ops.simulated', %(simulated)s, true) as mark;

-- name: relationship_map
-- Every pair with its label, the warmest first.
select
  pair.agent_a,
  pair.agent_b,
  pair.name_a,
  pair.name_b,
  pair.affinity,
  pair.label,
  pair.total_interactions,
  pair.positive_interactions,
  pair.negative_interactions,
  pair.recent_drift,
  pair.last_reason,
  pair.last_drift_at,
  pair.simulated
from v_relationship_map as pair
order by pair.affinity desc, pair.agent_a, pair.agent_b;

-- name: reset_simulated
-- How many pairs that only the mock had moved are where they began.
select ops_reset_simulated();
