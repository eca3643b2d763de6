-- name: stats
-- Every agent with what it remembers, did and proposed, by id.
select
  stats.agent_id,
  stats.display_name,
  stats.role,
  stats.model,
  stats.active,
  stats.active_memories,
  stats.average_confidence,
  stats.steps_succeeded,
  stats.steps_failed,
  stats.proposals_pending,
  stats.proposals_accepted,
  stats.proposals_rejected,
  stats.average_affinity,
  stats.last_event_at,
  status.not_now_because
from v_agent_stats as stats
join v_initiative_status as status
  on status.agent_id = stats.agent_id
order by stats.agent_id;

-- name: add
-- A new agent; returns its id.
insert into ops_agents (id, display_name, role, tone, quirk, directive, model)
values (
  %(id)s,
  %(display_name)s,
  coalesce(%(role)s::text, ''),
  coalesce(%(tone)s::text, ''),
  coalesce(%(quirk)s::text, ''),
  coalesce(%(directive)s::text, ''),
  nullif(%(model)s::text, '')
)
on conflict on constraint ops_agents_pkey do nothing
returning id;

-- name: edit
-- The agent has the values given; null leaves one as it is, an empty model is the default one. Returns its id.
update ops_agents as agent
set
  display_name = coalesce(%(display_name)s::text, agent.display_name),
  role = coalesce(%(role)s::text, agent.role),
  tone = coalesce(%(tone)s::text, agent.tone),
  quirk = coalesce(%(quirk)s::text, agent.quirk),
  directive = coalesce(%(directive)s::text, agent.directive),
  model = case
    when %(model)s::text is null then agent.model
    else nullif(%(model)s::text, '')
  end,
  updated_at = ops_now()
where agent.id = %(id)s
returning agent.id;

-- name: switch
-- The agent is active or not; returns whether that is a change.
update ops_agents as agent
set
  active = %(active)s::boolean,
  updated_at = ops_now()
from (
  select present.id, present.active
  from ops_agents as present
  where present.id = %(id)s
  for no key update
) as before
where agent.id = before.id
returning before.active <> agent.active;
