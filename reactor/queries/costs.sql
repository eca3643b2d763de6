-- name: standing
-- Today by the company's day, this month, and the last seven days: calls, USD, and USD had all been real; with the days that
-- the last seven count for, from the first call on (at least one), and the month's days that are left, today's rest included.
with today as materialized (
  select
    (ops_now() at time zone ops_company_timezone())::date as day,
    ops_company_timezone() as timezone
),
spans as materialized (
  select
    today.day,
    today.timezone,
    date_trunc('month', today.day::timestamp)::date as month,
    extract(epoch from (
      (date_trunc('month', today.day::timestamp) + interval '1 month') at time zone today.timezone - ops_now()
    ))::float8 / 86400 as days_left,
    extract(epoch from (
      select least(ops_now() - min(call.created_at), interval '7 days')
      from ops_llm_calls as call
      where call.created_at > (select ops_now()) - interval '7 days'
    ))::float8 / 86400 as days_seen
  from today
)
select
  spans.day,
  spans.timezone,
  greatest(coalesce(spans.days_seen, 0), 1) as days_seen,
  spans.days_left,
  (count(call.id) filter (where call.day = spans.day))::integer as day_calls,
  coalesce(sum(call.cost_usd) filter (where call.day = spans.day), 0)::float8 as day_usd,
  coalesce(sum(call.would_cost_usd) filter (where call.day = spans.day), 0)::float8 as day_would_usd,
  (count(call.id) filter (where call.day >= spans.month))::integer as month_calls,
  coalesce(sum(call.cost_usd) filter (where call.day >= spans.month), 0)::float8 as month_usd,
  coalesce(sum(call.would_cost_usd) filter (where call.day >= spans.month), 0)::float8 as month_would_usd,
  (count(call.id) filter (where call.created_at > (select ops_now()) - interval '7 days'))::integer as week_calls,
  coalesce(sum(call.cost_usd) filter (where call.created_at > (select ops_now()) - interval '7 days'), 0)::float8 as week_usd,
  coalesce(sum(call.would_cost_usd) filter (where call.created_at > (select ops_now()) - interval '7 days'), 0)::float8
    as week_would_usd
from spans
left join ops_llm_calls as call
  on call.created_at > least(spans.month::timestamp, spans.day - interval '8 days') - interval '1 day'
group by spans.day, spans.timezone, spans.month, spans.days_left, spans.days_seen;

-- name: by_day
-- The last %(days)s days by the company's calendar, newest first; days without a call are left out.
select
  call.day::text as name,
  null::text as title,
  count(*)::integer as calls,
  (count(*) filter (where call.outcome not in ('ok', 'reserved')))::integer as failed,
  (count(*) filter (where call.simulated))::integer as simulated,
  sum(call.input_tokens + call.cache_read_tokens + call.cache_write_tokens)::bigint as input_tokens,
  sum(call.output_tokens)::bigint as output_tokens,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_cost_usd
from ops_llm_calls as call
where call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.day
order by call.day desc;

-- name: by_agent
-- The same days by who asked, the dearest first; nobody's calls are the distilling ones.
select
  coalesce(call.agent_id, '') as name,
  agent.display_name as title,
  count(*)::integer as calls,
  (count(*) filter (where call.outcome not in ('ok', 'reserved')))::integer as failed,
  (count(*) filter (where call.simulated))::integer as simulated,
  sum(call.input_tokens + call.cache_read_tokens + call.cache_write_tokens)::bigint as input_tokens,
  sum(call.output_tokens)::bigint as output_tokens,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_cost_usd
from ops_llm_calls as call
left join ops_agents as agent
  on agent.id = call.agent_id
where call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.agent_id, agent.display_name
order by cost_usd desc, would_cost_usd desc, name;

-- name: by_purpose
-- The same days by what was asked for, the dearest first.
select
  call.purpose as name,
  null::text as title,
  count(*)::integer as calls,
  (count(*) filter (where call.outcome not in ('ok', 'reserved')))::integer as failed,
  (count(*) filter (where call.simulated))::integer as simulated,
  sum(call.input_tokens + call.cache_read_tokens + call.cache_write_tokens)::bigint as input_tokens,
  sum(call.output_tokens)::bigint as output_tokens,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_cost_usd
from ops_llm_calls as call
where call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.purpose
order by cost_usd desc, would_cost_usd desc, name;

-- name: by_model
-- The same days by who answered, the dearest first.
select
  call.model as name,
  null::text as title,
  count(*)::integer as calls,
  (count(*) filter (where call.outcome not in ('ok', 'reserved')))::integer as failed,
  (count(*) filter (where call.simulated))::integer as simulated,
  sum(call.input_tokens + call.cache_read_tokens + call.cache_write_tokens)::bigint as input_tokens,
  sum(call.output_tokens)::bigint as output_tokens,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_cost_usd
from ops_llm_calls as call
where call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.model
order by cost_usd desc, would_cost_usd desc, name;

-- name: by_mission
-- The dearest %(limit)s missions of the same days.
select
  call.mission_id::text as name,
  mission.title,
  count(*)::integer as calls,
  (count(*) filter (where call.outcome not in ('ok', 'reserved')))::integer as failed,
  (count(*) filter (where call.simulated))::integer as simulated,
  sum(call.input_tokens + call.cache_read_tokens + call.cache_write_tokens)::bigint as input_tokens,
  sum(call.output_tokens)::bigint as output_tokens,
  sum(call.cost_usd)::float8 as cost_usd,
  sum(call.would_cost_usd)::float8 as would_cost_usd
from ops_llm_calls as call
left join ops_missions as mission
  on mission.id = call.mission_id
where call.mission_id is not null
  and call.created_at > (select ops_now()) - make_interval(days => %(days)s::integer + 1)
  and call.day > (select (ops_now() at time zone ops_company_timezone())::date) - %(days)s::integer
group by call.mission_id, mission.title
order by cost_usd desc, would_cost_usd desc, call.mission_id desc
limit %(limit)s;

-- name: budgets
-- Each budget with a limit: of today, of the month, and of agents who spent today; USD spent, reservations included, and what
-- agents may spend of it when no person asked.
select
  budget.scope,
  budget.name,
  budget.limit_usd::float8 as limit_usd,
  (budget.limit_usd * case
    when budget.scope in ('day', 'month') then 1 - coalesce(ops_llm_limit('reserve_for_human'), 0)
    else 1
  end)::float8 as for_agents_usd,
  coalesce(spending.usd, 0)::float8 as spent_usd
from (select (ops_now() at time zone ops_company_timezone())::date as day) as today
cross join lateral (
  select place, scope, name, since, limit_usd from ops_llm_scopes(today.day, null, null)
  union all
  select 3, 'agent', active.name, active.since, ops_llm_limit('per_agent_day_usd')
  from ops_llm_spending as active
  where active.scope = 'agent'
    and active.since = today.day
) as budget
left join ops_llm_spending as spending
  on (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
where budget.limit_usd is not null
order by budget.place, budget.name;

-- name: keys
-- Keys that are paused now, why, and for how many seconds.
select
  used.service,
  used.reason,
  extract(epoch from used.paused_until - ops_now())::float8 as wait_s
from ops_llm_keys as used
where used.paused_until > ops_now()
order by used.service;

-- name: of_thing
-- What the calls for one thing came to: how many, USD, and USD had all been real. Of a mission, those of its steps.
select
  count(*)::integer as calls,
  coalesce(sum(call.cost_usd), 0)::float8 as cost_usd,
  coalesce(sum(call.would_cost_usd), 0)::float8 as would_cost_usd
from ops_llm_calls as call
where case %(what)s::text
  when 'mission' then call.mission_id = %(id)s
  else call.work = %(what)s::text || ':' || %(id)s::bigint
    or starts_with(call.work, %(what)s::text || ':' || %(id)s::bigint || ':')
end;
