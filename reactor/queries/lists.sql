-- name: missions
-- Up to %(limit)s missions before %(after)s, the newest first, of that status (null: any), and how far they are.
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
  where (%(after)s::bigint is null or latest.id < %(after)s)
    and (
      %(status)s::text is null
      or latest.status = %(status)s
      or (%(status)s = 'active' and latest.status in ('approved', 'running'))
    )
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

-- name: steps
-- Up to %(limit)s steps before %(after)s, the newest first, of that status, kind and mission (null: any), held ones only or any.
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.mission_id,
  work.seq,
  work.kind,
  work.agent_id,
  work.hold,
  work.ended_by,
  work.payload
from ops_mission_steps as work
where (%(after)s::bigint is null or work.id < %(after)s)
  and (%(status)s::text is null or work.status = %(status)s)
  and (%(kind)s::text is null or work.kind = %(kind)s)
  and (%(mission)s::bigint is null or work.mission_id = %(mission)s)
  and (not %(held)s or (work.hold is not null and work.status = 'waiting'))
order by work.id desc
limit %(limit)s;

-- name: roundtables
-- Up to %(limit)s conversations before %(after)s, the newest first, of that status (null: any).
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.format,
  work.topic,
  work.participants
from ops_roundtable_queue as work
where (%(after)s::bigint is null or work.id < %(after)s)
  and (%(status)s::text is null or work.status = %(status)s)
order by work.id desc
limit %(limit)s;

-- name: initiatives
-- Up to %(limit)s initiatives before %(after)s, the newest first, of that status (null: any).
select
  work.id,
  work.status,
  work.priority,
  work.run_at,
  work.attempt,
  work.max_attempts,
  work.crashes,
  work.simulated,
  work.claimed_by,
  work.started_at,
  work.completed_at,
  work.created_at,
  work.failure_reason,
  work.result,
  work.agent_id,
  work.trigger_reason,
  work.memory_influenced,
  work.proposal_id
from ops_initiative_queue as work
where (%(after)s::bigint is null or work.id < %(after)s)
  and (%(status)s::text is null or work.status = %(status)s)
order by work.id desc
limit %(limit)s;

-- name: memories
-- Up to %(limit)s memories before %(after)s, the newest first, of that agent and type (null: any), active ones only unless %(all)s.
select
  memory.id,
  memory.agent_id,
  memory.type,
  memory.content,
  memory.confidence,
  memory.tags,
  memory.source_trace_id,
  memory.superseded_by,
  memory.pinned,
  memory.trust,
  memory.used_count,
  memory.simulated,
  memory.created_at
from ops_agent_memory as memory
where (%(after)s::bigint is null or memory.id < %(after)s)
  and (%(agent)s::text is null or memory.agent_id = %(agent)s)
  and (%(type)s::text is null or memory.type = %(type)s)
  and (%(all)s or memory.superseded_by is null)
order by memory.id desc
limit %(limit)s;

-- name: rules
-- Up to %(limit)s trigger rules behind %(after)s, by id.
select
  rule.id,
  rule.name,
  rule.description,
  rule.enabled,
  rule.mode,
  rule.event_kind,
  rule.tags_all,
  rule.tags_any,
  rule.min_count,
  rule.window_s,
  rule.every_s,
  rule.probability,
  rule.cooldown_s,
  rule.agent_id,
  rule.title,
  rule.steps,
  rule.topics,
  rule.topics_from,
  rule.next_due_at,
  rule.last_fired_at,
  rule.fire_count,
  rule.created_at
from ops_trigger_rules as rule
where (%(after)s::bigint is null or rule.id > %(after)s)
order by rule.id
limit %(limit)s;

-- name: switch_rule
-- The rule is enabled or not; returns its id.
update ops_trigger_rules as rule
set enabled = %(enabled)s
where rule.id = %(id)s
returning rule.id;

-- name: firings
-- Up to %(limit)s occasions before %(after)s on which a rule was looked at, the newest first; of that rule (null: any).
select
  firing.id,
  firing.rule_id,
  rule.name as rule,
  firing.event_id,
  firing.due_at,
  firing.subject,
  firing.rolled,
  firing.probability,
  firing.outcome,
  firing.reason,
  firing.proposal_id,
  firing.created_at
from ops_trigger_firings as firing
join ops_trigger_rules as rule
  on rule.id = firing.rule_id
where (%(after)s::bigint is null or firing.id < %(after)s)
  and (%(rule)s::bigint is null or firing.rule_id = %(rule)s)
order by firing.id desc
limit %(limit)s;

-- name: runs
-- Up to %(limit)s runs of the heartbeat's parts before %(after)s, the newest first, of that part (null: any).
select
  run.id,
  run.part,
  run.status,
  run.result,
  run.failure_reason,
  run.started_at,
  run.completed_at
from ops_action_runs as run
where (%(after)s::bigint is null or run.id < %(after)s)
  and (%(part)s::text is null or run.part = %(part)s)
order by run.id desc
limit %(limit)s;

-- name: parts
-- Every part of the heartbeat: when it is due next, and what its last run that left a trace came to.
select
  part.part,
  part.next_at,
  last.status,
  last.failure_reason,
  last.completed_at
from ops_heartbeat_parts as part
left join lateral (
  select run.status, run.failure_reason, run.completed_at
  from ops_action_runs as run
  where run.part = part.part
  order by run.id desc
  limit 1
) as last
  on true
order by part.part;

-- name: calls
-- Up to %(limit)s calls to a language model before %(after)s, the newest first, of that agent (null: any).
select
  call.id,
  call.created_at,
  call.settled_at,
  call.service,
  call.model,
  call.purpose,
  call.agent_id,
  call.mission_id,
  call.work,
  call.by_human,
  call.simulated,
  call.outcome,
  call.cost_usd,
  call.would_cost_usd,
  call.input_tokens,
  call.output_tokens,
  call.cache_read_tokens,
  call.cache_write_tokens,
  call.latency_ms
from ops_llm_calls as call
where (%(after)s::bigint is null or call.id < %(after)s)
  and (%(agent)s::text is null or call.agent_id = %(agent)s)
order by call.id desc
limit %(limit)s;

-- name: hours
-- The hours of an agent's day.
select
  schedule.hour,
  schedule.activity_weight,
  schedule.preferred_formats
from ops_agent_schedules as schedule
where schedule.agent_id = %(agent)s
order by schedule.hour;

-- name: policy_history
-- Up to %(limit)s values of a policy before version %(after)s, the newest first.
select
  had.version,
  had.value,
  had.changed_by,
  had.changed_at
from ops_policy_history as had
where had.key = %(key)s
  and (%(after)s::bigint is null or had.version < %(after)s)
order by had.version desc
limit %(limit)s;

-- name: drift_log
-- The last drifts of a pair, oldest first; no row when the two have never met.
select pair.drift_log
from ops_agent_relationships as pair
where pair.agent_a = least(%(one)s::text collate "C", %(other)s::text collate "C")
  and pair.agent_b = greatest(%(one)s::text collate "C", %(other)s::text collate "C");
