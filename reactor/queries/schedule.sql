-- name: slots
-- Every slot by its id, its time zone resolved.
select
  slot.id,
  slot.name,
  slot.cron,
  coalesce(slot.timezone, ops_company_timezone()),
  slot.format,
  slot.probability,
  slot.enabled,
  -- Within what a calendar can reckon with.
  least(greatest(slot.since, ops_now() - interval '10 years'), ops_now() + interval '10 years')
from ops_conversation_slots as slot
order by slot.id;

-- name: rules
-- The database's time, how to catch up and how far back, and whether conversations may be queued.
select
  ops_now(),
  coalesce(policy.value ->> 'catch_up', 'latest'),
  least(coalesce((policy.value ->> 'catch_up_s')::float8, 3600), 604800),
  exists (select from ops_pauses as pause where pause.queue = 'roundtable')
from (values ('schedule')) as wanted (key)
left join ops_policy as policy
  on policy.key = wanted.key;

-- name: taken
-- What has been taken of what was due since %(since)s.
select
  occurrence.slot_id,
  occurrence.due_at
from ops_slot_occurrences as occurrence
where occurrence.due_at >= %(since)s;

-- name: take
-- The occurrence is taken with this roll; no row when somebody had it.
select
  taken.outcome,
  taken.roundtable_id
from ops_take_occurrence(%(slot)s, %(due_at)s, %(roll)s, %(missed)s) as taken;

-- name: last
-- The last occurrence of every slot that had one.
select distinct on (occurrence.slot_id)
  occurrence.slot_id,
  occurrence.due_at,
  occurrence.outcome,
  occurrence.roundtable_id
from ops_slot_occurrences as occurrence
order by occurrence.slot_id, occurrence.due_at desc;

-- name: formats
-- Calls a conversation of each format takes by its figures: its turns, and one that distils it.
select
  known.format,
  (known.min_turns + known.max_turns) / 2.0 as turns
from ops_conversation_formats as known;

-- name: timed_work
-- What timed rules bring about a day: name, proposals, and calls to the model by kind of step.
select
  rule.name,
  86400 / (rule.every_s + (rule.jitter_from_s + rule.jitter_to_s) / 2) * rule.probability as proposals,
  (
    select count(*)
    from jsonb_array_elements(rule.steps) as step (value)
    where step.value ->> 'kind' <> 'crawl'
  )::float8 as calls
from ops_trigger_rules as rule
where rule.enabled
  and rule.mode = 'timed'
  and (
    rule.topics_from <> 'sources'
    or exists (
      select
      from ops_policy as policy
      where policy.key = 'sources'
        and jsonb_typeof(policy.value) = 'array'
        and jsonb_array_length(policy.value) > 0
    )
  )
order by rule.id;

-- name: limits
-- How many conversations a day, how many ideas a day all agents together, and the quiet hours as seconds of silence a day.
select
  ops_roundtable_setting('max_per_day', 10)::integer,
  (select count(*) from ops_agents as agent where agent.active)::float8
    * coalesce(
      (select (policy.value ->> 'per_agent_day')::float8 from ops_policy as policy where policy.key = 'initiative_limits'),
      1
    ),
  coalesce(
    (
      select extract(
        epoch from (nullif(policy.value ->> 'to', '')::time - nullif(policy.value ->> 'from', '')::time)
      )::float8
      from ops_policy as policy
      where policy.key = 'quiet_hours'
    ),
    0
  );

-- name: quiet
-- Which of these times lie in the quiet hours.
select moment.at
from unnest(%(moments)s::timestamptz[]) as moment (at)
where ops_is_quiet(moment.at);
