-- The budgets of the language model: what a call draws on, when it is refused, and who is told.

create or replace function ops_llm_limit(key text)
returns numeric
language sql
stable
set search_path = public, pg_temp
as $$
  select (policy.value ->> ops_llm_limit.key)::numeric
  from ops_policy as policy
  where policy.key = 'llm_budget';
$$;

comment on function ops_llm_limit(text) is 'A number of policy llm_budget; null: no limit.';

create or replace function ops_llm_scopes(day date, agent_id text, mission_id bigint)
returns table (place integer, scope text, name text, since date, limit_usd numeric, ends_at timestamptz)
language sql
stable
set search_path = public, pg_temp
as $$
  select given.place, given.scope, given.name, given.since, ops_llm_limit(given.key), given.ends_on at time zone ops_company_timezone()
  from (
    values
      (1, 'day', '', day, 'per_day_usd', day + interval '1 day'),
      (2, 'month', '', date_trunc('month', day::timestamp)::date, 'per_month_usd', date_trunc('month', day::timestamp) + interval '1 month'),
      (3, 'agent', agent_id, day, 'per_agent_day_usd', day + interval '1 day'),
      (4, 'mission', mission_id::text, '2000-01-01'::date, 'per_mission_usd', day + interval '1 day')
  ) as given (place, scope, name, since, key, ends_on)
  where given.name is not null
  order by given.place;
$$;

comment on function ops_llm_scopes(date, text, bigint) is
  'The budgets a call of that day, agent and mission draws on, in the order they are locked, and when each is looked at again.';

create or replace function ops_llm_allowed(scope text, limit_usd numeric, by_human boolean)
returns numeric
language sql
stable
set search_path = public, pg_temp
as $$
  select limit_usd * case
    when scope in ('day', 'month') and not by_human then 1 - coalesce(ops_llm_limit('reserve_for_human'), 0)
    else 1
  end;
$$;

comment on function ops_llm_allowed(text, numeric, boolean) is
  'How much of a budget may be given out to whoever asks: a share of the day''s and the month''s is kept for people.';

create or replace function ops_llm_refusal(
  today date,
  agent_id text,
  mission_id bigint,
  most_usd numeric,
  by_human boolean
)
returns table (verdict text, wait_s double precision, detail text, told boolean)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  budget record;
  spending ops_llm_spending;
  allowed numeric;
  open_usd numeric;
begin
  insert into ops_llm_spending (scope, name, since)
  select given.scope, given.name, given.since
  from ops_llm_scopes(today, ops_llm_refusal.agent_id, ops_llm_refusal.mission_id) as given
  order by given.place
  on conflict on constraint ops_llm_spending_pkey do nothing;
  for budget in
    select given.*
    from ops_llm_scopes(today, ops_llm_refusal.agent_id, ops_llm_refusal.mission_id) as given
    order by given.place
  loop
    select known.*
    into spending
    from ops_llm_spending as known
    where (known.scope, known.name, known.since) = (budget.scope, budget.name, budget.since)
    for no key update;
    allowed := ops_llm_allowed(budget.scope, budget.limit_usd, ops_llm_refusal.by_human);
    continue when allowed is null or spending.usd + ops_llm_refusal.most_usd <= allowed;
    -- It may have been raised while its lock was waited for.
    budget.limit_usd := (
      select given.limit_usd
      from ops_llm_scopes(today, ops_llm_refusal.agent_id, ops_llm_refusal.mission_id) as given
      where given.place = budget.place
    );
    allowed := ops_llm_allowed(budget.scope, budget.limit_usd, ops_llm_refusal.by_human);
    continue when allowed is null or spending.usd + ops_llm_refusal.most_usd <= allowed;

    select coalesce(sum(call.reserved_usd), 0)
    into open_usd
    from ops_llm_calls as call
    where call.outcome = 'reserved'
      and not call.simulated
      and (budget.scope <> 'agent' or call.agent_id = budget.name)
      and (budget.scope <> 'mission' or call.mission_id = ops_llm_refusal.mission_id);
    if open_usd > 0 and spending.usd - open_usd + ops_llm_refusal.most_usd <= allowed then
      return query select 'busy', 1.0::float8, 'what is left of the budget is reserved by calls under way', false;
    else
      return query select
        'budget',
        greatest(extract(epoch from budget.ends_at - ops_now()), 1)::float8,
        ops_llm_spent_line(budget.scope, budget.name, budget.limit_usd, allowed),
        ops_llm_tell_spent(spending, budget.limit_usd, allowed, ops_llm_refusal.by_human);
    end if;
    return;
  end loop;
end
$$;

comment on function ops_llm_refusal(date, text, bigint, numeric, boolean) is
  'Why a call of that size may not be made now, with every budget it draws on locked; no row: it may.';

create or replace function ops_llm_spent_line(scope text, name text, limit_usd numeric, allowed numeric)
returns text
language sql
immutable
set search_path = public, pg_temp
as $$
  select format(
    'out of budget: %s; raise %s in policy llm_budget, or wait for %s',
    case scope
      when 'day' then format('%s of the %s USD a day are spent', case when allowed < limit_usd then 'the agents'' ' || round(allowed, 4) else 'all' end, round(limit_usd, 4))
      when 'month' then format('%s of the %s USD a month are spent', case when allowed < limit_usd then 'the agents'' ' || round(allowed, 4) else 'all' end, round(limit_usd, 4))
      when 'agent' then format('%s has spent its %s USD a day', name, round(limit_usd, 4))
      else format('mission %s has spent its %s USD', name, round(limit_usd, 4))
    end,
    case scope
      when 'day' then 'per_day_usd'
      when 'month' then 'per_month_usd'
      when 'agent' then 'per_agent_day_usd'
      else 'per_mission_usd'
    end,
    case scope when 'month' then 'next month' when 'mission' then 'somebody to look at it' else 'tomorrow' end
  );
$$;

comment on function ops_llm_spent_line(text, text, numeric, numeric) is 'One line that says which budget is spent, and what to do.';

create or replace function ops_llm_tell_spent(spending ops_llm_spending, limit_usd numeric, allowed numeric, by_human boolean)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  everybody boolean := by_human or allowed = limit_usd;
begin
  if (everybody and spending.closed_at is not null) or (not everybody and spending.spent_at is not null) then
    return false;
  end if;
  update ops_llm_spending as known
  set
    spent_at = coalesce(known.spent_at, ops_now()),
    closed_at = case when everybody then ops_now() else known.closed_at end
  where (known.scope, known.name, known.since) = (spending.scope, spending.name, spending.since);
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  values (
    'budget_spent',
    case spending.scope when 'agent' then spending.name end,
    trim(spending.scope || ' ' || spending.name),
    ops_llm_spent_line(spending.scope, spending.name, limit_usd, allowed),
    array['llm', 'budget', spending.scope],
    jsonb_build_object(
      'scope', spending.scope,
      'name', spending.name,
      'spent_usd', round(spending.usd, 6),
      'limit_usd', limit_usd,
      'for_agents_usd', allowed,
      'everybody', everybody
    )
  );
  perform pg_notify('ops_control', 'breaker');
  return true;
end
$$;

comment on function ops_llm_tell_spent(ops_llm_spending, numeric, numeric, boolean) is
  'The budget is marked as spent, with one event for the agents'' share and one for the whole; true when this was it.';

create or replace function ops_llm_warn(today date)
returns table (line text)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  warned record;
begin
  for warned in
    update ops_llm_spending as spending
    set warned_at = ops_now()
    from ops_llm_scopes(today, null, null) as budget
    where (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
      and spending.warned_at is null
      and spending.usd >= 0.8 * budget.limit_usd
    returning spending.scope, spending.usd, budget.limit_usd
  loop
    insert into ops_agent_events (kind, title, summary, tags, metadata)
    values (
      'budget_warned',
      warned.scope,
      format('80 %% of the %s USD a %s are spent.', round(warned.limit_usd, 4), warned.scope),
      array['llm', 'budget', warned.scope],
      jsonb_build_object('scope', warned.scope, 'spent_usd', round(warned.usd, 6), 'limit_usd', warned.limit_usd)
    );
    return query select format('80 %% of the %s USD a %s are spent', round(warned.limit_usd, 4), warned.scope);
  end loop;
end
$$;

comment on function ops_llm_warn(date) is 'Where 80 % of a day''s or month''s budget are spent, one event says so, once.';

create or replace function ops_llm_budget_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  update ops_llm_spending as spending
  set warned_at = null, spent_at = null, closed_at = null
  where spending.since >= date_trunc('month', ops_day_start() at time zone ops_company_timezone())::date
    or spending.scope = 'mission';
  update ops_mission_steps as step
  set run_at = ops_now()
  where step.status = 'queued'
    and step.run_at > ops_now()
    and step.failure_reason like 'out of budget:%';
  update ops_roundtable_queue as roundtable
  set run_at = ops_now()
  where roundtable.status = 'queued'
    and roundtable.run_at > ops_now()
    and roundtable.failure_reason like 'out of budget:%';
  update ops_initiative_queue as initiative
  set run_at = ops_now()
  where initiative.status = 'queued'
    and initiative.run_at > ops_now()
    and initiative.failure_reason like 'out of budget:%';
  perform pg_notify('ops_control', 'breaker');
  return null;
end
$$;

comment on function ops_llm_budget_changed() is
  'Trigger: another budget is looked at afresh; what waited for tomorrow because of the old one is due now.';

create or replace function ops_llm_waits_for_budget()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  -- The lock makes this row and a new budget see each other, whichever comes first: a change under way is waited for here, and
  -- one that comes later waits for this row.
  perform
  from ops_policy as policy
  where policy.key = 'llm_budget'
  for share;
  if exists (
    select
    from ops_policy as policy
    where policy.key = 'llm_budget'
      and policy.updated_at >= old.started_at
  ) then
    new.run_at := ops_now();
  end if;
  return new;
end
$$;

comment on function ops_llm_waits_for_budget() is
  'Trigger: a row that was refused because of the budget does not wait for tomorrow when the budget has changed since it began.';
