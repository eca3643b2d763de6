-- name: mission_brief
-- Id, title and description of one mission.
select
  mission.id,
  mission.title,
  mission.description
from ops_missions as mission
where mission.id = %(mission_id)s;

-- name: earlier_results
-- The succeeded steps before (%(seq)s, %(step_id)s), first to last; the latest results up to 16 MiB as text, older ones left out.
with before as materialized (
  select
    step.seq,
    step.id,
    step.kind,
    step.agent_id,
    step.simulated,
    step.result,
    sum(octet_length(step.result::text)) over (order by step.seq desc, step.id desc) as bytes
  from ops_mission_steps as step
  where step.mission_id = %(mission_id)s
    and (step.seq, step.id) < (%(seq)s, %(step_id)s)
    and step.status = 'succeeded'
)
select
  before.seq,
  before.id,
  before.kind,
  before.agent_id,
  before.simulated,
  before.result
from before
where before.bytes <= 16777216
order by before.seq, before.id;
