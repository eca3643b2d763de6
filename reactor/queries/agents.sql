-- name: roster
-- Every agent, active or not, by id.
select
  agent.id,
  agent.display_name,
  agent.role,
  agent.tone,
  agent.quirk,
  agent.directive,
  agent.model,
  agent.active
from ops_agents as agent
order by agent.id;

-- name: policies
-- Key and value of those policies of %(keys)s that exist.
select
  policy.key,
  policy.value
from ops_policy as policy
where policy.key = any (%(keys)s);
