-- name: room
-- Every active agent: what it is at now, and the last thing it said. Looks at the last 400 turns at most, and of the steps
-- without a mission at the last 1,000.
with said as materialized (
  select latest.id, latest.conversation_id, latest.speaker, latest.dialogue, latest.tone, latest.created_at
  from ops_roundtable_turns as latest
  order by latest.id desc
  limit 400
),
singles as materialized (
  select step.id, step.kind, step.agent_id
  from ops_mission_steps as step
  where step.id > (select coalesce(max(newest.id), 0) - 1000 from ops_mission_steps as newest)
    and step.status = 'running'
    and step.mission_id is null
    and step.agent_id is not null
),
talks as materialized (
  select talk.id, talk.format, coalesce(talk.participants, '{}') as participants
  from ops_roundtable_queue as talk
  where talk.status = 'running'
    and talk.distils is null
)
select
  agent.id,
  agent.display_name,
  agent.role,
  talk.id as roundtable_id,
  talk.format,
  step.id as step_id,
  coalesce(step.kind, replace(call.purpose, 'step:', '')) as busy_with,
  coalesce(talk.speaker = agent.id, false) as has_the_word,
  call.agent_id is not null as asks_the_model,
  words.dialogue,
  words.tone,
  words.created_at as said_at
from ops_agents as agent
left join lateral (
  select
    talks.id,
    talks.format,
    (select said.speaker from said where said.conversation_id = talks.id order by said.id desc limit 1) as speaker
  from talks
  where agent.id = any (talks.participants)
  order by talks.id desc
  limit 1
) as talk on true
left join lateral (
  select at_work.id, at_work.kind
  from (
    select running.id, running.kind
    from ops_mission_steps as running
    where running.status = 'running'
      and running.agent_id = agent.id
      and running.mission_id in (select mission.id from ops_missions as mission where mission.status in ('approved', 'running'))
    union all
    select singles.id, singles.kind
    from singles
    where singles.agent_id = agent.id
  ) as at_work
  order by at_work.id desc
  limit 1
) as step on true
left join lateral (
  select open.agent_id, open.purpose
  from ops_llm_calls as open
  where open.outcome = 'reserved'
    and open.lapses_at > (select ops_now())
    and open.agent_id = agent.id
  order by open.id desc
  limit 1
) as call on true
left join lateral (
  select said.dialogue, said.tone, said.created_at
  from said
  where said.speaker = agent.id
    and said.dialogue <> ''
  order by said.id desc
  limit 1
) as words on true
where agent.active
order by agent.id;

-- name: budgets
-- What today's and this month's calls cost, would have cost, and may cost; null: no limit. The share kept for people is of the limit.
select
  today.day,
  spent.calls,
  spent.cost_usd,
  spent.would_usd,
  month.cost_usd as month_usd,
  month.would_usd as month_would_usd,
  ops_llm_limit('per_day_usd')::float8 as day_limit_usd,
  ops_llm_limit('per_month_usd')::float8 as month_limit_usd,
  coalesce(ops_llm_limit('reserve_for_human'), 0)::float8 as kept_for_people,
  (extract(epoch from ops_now() - ops_day_start()) / 86400)::float8 as day_share
from (select (ops_now() at time zone ops_company_timezone())::date as day) as today
cross join lateral (
  select
    count(*) as calls,
    coalesce(sum(call.cost_usd), 0)::float8 as cost_usd,
    coalesce(sum(call.would_cost_usd), 0)::float8 as would_usd
  from ops_llm_calls as call
  where call.created_at >= (select ops_day_start())
) as spent
cross join lateral (
  select
    coalesce(sum(call.cost_usd), 0)::float8 as cost_usd,
    coalesce(sum(call.would_cost_usd), 0)::float8 as would_usd
  from ops_llm_calls as call
  where call.created_at >= (select date_trunc('month', ops_day_start() at time zone ops_company_timezone()) at time zone ops_company_timezone())
) as month;

-- name: costs
-- What each agent's calls of each of the last %(days)s days cost and would have cost, the oldest day first.
select
  call.day,
  call.agent_id,
  count(*) as calls,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_usd
from ops_llm_calls as call
where call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.day, call.agent_id
order by call.day, call.agent_id;

-- name: mission_costs
-- What the calls for those of %(missions)s that had any cost and would have cost.
select
  call.mission_id,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_usd
from ops_llm_calls as call
where call.mission_id = any (%(missions)s)
group by call.mission_id;

-- name: usual_costs
-- What a step of each kind has lately cost on average, or would have.
select
  recent.kind,
  avg(recent.would_usd)::float8 as usd
from (
  select
    substr(call.purpose, 6) as kind,
    call.would_cost_usd as would_usd
  from ops_llm_calls as call
  where call.created_at > (select ops_now()) - interval '30 days'
    and call.purpose like 'step:%'
    and call.outcome = 'ok'
  order by call.id desc
  limit 2000
) as recent
group by recent.kind;

-- name: conversations
-- The last %(limit)s conversations, those under way first, then the newest.
select
  talk.id,
  talk.format,
  talk.topic,
  talk.participants,
  talk.status,
  talk.source,
  talk.simulated,
  talk.failure_reason,
  talk.created_at,
  talk.started_at,
  talk.completed_at,
  talk.run_at,
  (talk.plan ->> 'turns')::integer as turns_planned,
  (select count(*) from ops_roundtable_turns as said where said.conversation_id = talk.id) as turns_taken,
  kept.status as distillate,
  kept.result ->> 'summary' as summary
from (
  select latest.*
  from ops_roundtable_queue as latest
  where latest.distils is null
  order by latest.status = 'running' desc, latest.id desc
  limit %(limit)s
) as talk
left join ops_roundtable_distillates as kept
  on kept.conversation_id = talk.id
order by talk.status = 'running' desc, talk.id desc;

-- name: pair
-- Two agents: how they stand, and the last drifts between them, the oldest first.
select
  pair.agent_a,
  pair.agent_b,
  pair.affinity,
  pair.seed_affinity,
  pair.total_interactions,
  pair.positive_interactions,
  pair.negative_interactions,
  pair.drift_log,
  pair.created_at
from ops_agent_relationships as pair
where pair.agent_a = %(agent_a)s
  and pair.agent_b = %(agent_b)s;

-- name: drifts
-- Every pair's affinities as its log has them, the oldest first.
select
  pair.agent_a,
  pair.agent_b,
  array(
    select (entry.value ->> 'after')::float8
    from jsonb_array_elements(pair.drift_log) with ordinality as entry (value, place)
    order by entry.place
  ) as affinities,
  pair.seed_affinity::float8
from ops_agent_relationships as pair;

-- name: policy_history
-- Every value of the policy, the newest first; at most %(limit)s.
select
  past.version,
  past.value,
  past.changed_by,
  past.changed_at
from ops_policy_history as past
where past.key = %(key)s
order by past.version desc
limit %(limit)s;

-- name: rates
-- One row a queue: how many of its rows ended in the last minute and in the last five, of the last 20,000.
select
  'mission' as queue,
  count(*) filter (where step.completed_at > (select ops_now()) - interval '1 minute') as last_minute,
  count(*) filter (where step.completed_at > (select ops_now()) - interval '5 minutes') as last_five
from ops_mission_steps as step
where step.id > (select coalesce(max(newest.id), 0) - 20000 from ops_mission_steps as newest)
union all
select
  'roundtable' as queue,
  count(*) filter (where talk.completed_at > (select ops_now()) - interval '1 minute') as last_minute,
  count(*) filter (where talk.completed_at > (select ops_now()) - interval '5 minutes') as last_five
from ops_roundtable_queue as talk
where talk.id > (select coalesce(max(newest.id), 0) - 20000 from ops_roundtable_queue as newest)
union all
select
  'initiative' as queue,
  count(*) filter (where idea.completed_at > (select ops_now()) - interval '1 minute') as last_minute,
  count(*) filter (where idea.completed_at > (select ops_now()) - interval '5 minutes') as last_five
from ops_initiative_queue as idea
where idea.id > (select coalesce(max(newest.id), 0) - 20000 from ops_initiative_queue as newest);

-- name: digest
-- The last day that was summed up, and its figures.
select digest.day, digest.facts
from ops_digests as digest
order by digest.day desc
limit 1;

-- name: occurrences
-- What became of the timetable's occurrences of the last day, the latest first.
select slot.name, slot.format, taken.due_at, taken.outcome, taken.roundtable_id
from ops_slot_occurrences as taken
join ops_conversation_slots as slot
  on slot.id = taken.slot_id
where taken.due_at > (select ops_now()) - interval '1 day'
order by taken.due_at desc
limit 20;

-- name: for_you
-- How many proposals and held steps wait for a person's word; of each at most %(most)s are counted.
select
  (select count(*) from (select from ops_mission_proposals as proposal where proposal.status = 'pending' limit %(most)s) as pending)
  + (select count(*) from (select from v_held_steps limit %(most)s) as held);

-- name: horizon
-- For how long (seconds) the oldest open write transaction of the cluster holds back what is final; null: for none.
select extract(epoch from clock_timestamp() - min(activity.xact_start))::float8
from pg_stat_activity as activity
where activity.backend_xid is not null
  and activity.pid <> pg_backend_pid();

-- name: chain
-- The event a chain began with, and what followed from it; the first %(limit)s.
select
  event.id,
  event.created_at,
  event.kind,
  event.agent_id,
  event.title,
  event.summary,
  event.depth
from ops_agent_events as event
where event.id = %(root)s::bigint
  or event.root_id = %(root)s::bigint
order by event.id
limit %(limit)s;

-- name: slow_statements
-- Statements of reactors that run for over half a second by now, the longest first; a claim takes milliseconds.
select
  activity.pid,
  activity.application_name as application,
  extract(epoch from clock_timestamp() - activity.query_start)::float8 as running_s,
  activity.wait_event_type is not distinct from 'Lock' as waits_for_a_lock,
  left(regexp_replace(activity.query, '\s+', ' ', 'g'), 200) as statement
from pg_stat_activity as activity
where activity.state = 'active'
  and activity.datname = current_database()
  and activity.application_name like 'voxyz%'
  and activity.query_start < clock_timestamp() - interval '0.5 seconds'
  and activity.pid <> pg_backend_pid()
order by activity.query_start
limit 10;
