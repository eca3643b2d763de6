-- name: reserve
-- Puts a call on the books and its amount aside, or says why not and when to ask again.
select reserved.call_id, reserved.verdict, reserved.wait_s, reserved.detail, reserved.told
from ops_llm_reserve(
  service => %(service)s,
  provider => %(provider)s,
  key_print => %(key_print)s,
  model => %(model)s,
  purpose => %(purpose)s,
  most_usd => %(most_usd)s::numeric,
  lapse_s => %(lapse_s)s::float8,
  agent_id => %(agent_id)s,
  mission_id => %(mission_id)s::bigint,
  work => %(work)s,
  by_human => %(by_human)s,
  simulated => %(simulated)s,
  unpriced => %(unpriced)s
) as reserved;

-- name: reserve_together
-- As reserve, for each call of a list, by its place in it.
select reserved.place, reserved.call_id, reserved.verdict, reserved.wait_s, reserved.detail, reserved.told
from ops_llm_reserve_together(
  service => %(service)s,
  provider => %(provider)s,
  key_print => %(key_print)s,
  simulated => %(simulated)s,
  calls => %(calls)s::jsonb
) as reserved;

-- name: settle_together
-- As settle, for each call of a list.
select settled.line
from ops_llm_settle_together(%(calls)s::jsonb) as settled;

-- name: settle
-- What was set aside is what the call came to; the lines are worth telling.
select settled.line
from ops_llm_settle(
  call_id => %(call_id)s::bigint,
  outcome => %(outcome)s,
  model => %(model)s,
  cost_usd => %(cost_usd)s::numeric,
  would_cost_usd => %(would_cost_usd)s::numeric,
  input_tokens => %(input_tokens)s::integer,
  output_tokens => %(output_tokens)s::integer,
  cache_read_tokens => %(cache_read_tokens)s::integer,
  cache_write_tokens => %(cache_write_tokens)s::integer,
  latency_ms => %(latency_ms)s::integer,
  made => %(made)s,
  pause => %(pause)s,
  pause_s => %(pause_s)s::float8
) as settled;

-- name: note_real_call
-- True for the first real call ever: relationships begin again, nothing simulated is learned from.
select ops_note_real_call();

-- name: remaining
-- What each budget of today has left, in USD, over none when it is overdrawn; budgets without a limit are left out.
select
  trim(budget.scope || ' ' || budget.name) as scope,
  greatest(budget.limit_usd - coalesce(spending.usd, 0), 0)::float8 as left_usd
from (select (ops_now() at time zone ops_company_timezone())::date as day) as today
cross join lateral (
  select scope, name, since, limit_usd from ops_llm_scopes(today.day, null, null)
  union all
  select 'agent', active.name, active.since, ops_llm_limit('per_agent_day_usd')
  from ops_llm_spending as active
  where active.scope = 'agent'
    and active.since = today.day
) as budget
left join ops_llm_spending as spending
  on (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
where budget.limit_usd is not null
order by 1;
