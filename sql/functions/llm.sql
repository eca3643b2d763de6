-- Calls to the language model: reserved before, settled after, never more than the budgets and the provider allow.
--
-- Lock order: the key, then the calls, then the spending by (day, month, agent, mission). Both functions below are a
-- short transaction each: nobody holds a lock while the model thinks.

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

create or replace function ops_llm_by_human(purpose text, mission_id bigint)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select purpose like 'step:%' and not exists (
    select
    from ops_missions as mission
    left join ops_mission_proposals as proposal
      on proposal.id = mission.proposal_id
    where mission.id = ops_llm_by_human.mission_id
      and (
        proposal.source <> 'human'
        or (proposal.id is null and exists (select from ops_agents as agent where agent.id = mission.created_by))
      )
  );
$$;

comment on function ops_llm_by_human(text, bigint) is
  'Whether a person asked for that step: no proposal of an agent, a rule or a conversation stands behind its mission.';

create or replace function ops_llm_lapse()
returns void
language sql
set search_path = public, pg_temp
as $$
  update ops_llm_calls as call
  set
    outcome = 'lapsed',
    settled_at = call.lapses_at,
    would_cost_usd = greatest(call.would_cost_usd, call.cost_usd)
  where call.id in (
    select late.id
    from ops_llm_calls as late
    where late.outcome = 'reserved'
      and late.lapses_at <= ops_now()
    for update skip locked
  );
$$;

comment on function ops_llm_lapse() is 'Calls nobody settled in time have cost what was reserved for them.';

create or replace function ops_llm_rate_wait(service text, key_print text)
returns double precision
language sql
stable
set search_path = public, pg_temp
as $$
  -- The call that must be a minute old before another one fits; null: one fits now.
  select extract(epoch from recent.created_at + interval '1 minute' - ops_now())::float8
  from ops_llm_calls as recent
  where recent.created_at > ops_now() - interval '1 minute'
    -- One from a future that nobody has seen yet counts for nothing.
    and recent.created_at < ops_now() + interval '1 minute'
    and recent.service = ops_llm_rate_wait.service
    and recent.key_print = ops_llm_rate_wait.key_print
    and not recent.simulated
  order by recent.created_at desc
  offset (
    select greatest(coalesce((policy.value ->> 'requests_per_minute')::integer, 45), 1) - 1
    from ops_policy as policy
    where policy.key = 'llm_limits'
  )
  limit 1;
$$;

comment on function ops_llm_rate_wait(text, text) is
  'Seconds until the requests a minute of policy llm_limits, over all reactors, allow another call with that key; null: now.';

create or replace function ops_llm_key_is_full(service text, key_print text)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select coalesce(
    (
      select (
        select count(*)
        from ops_llm_calls as call
        where call.outcome = 'reserved'
          and call.service = ops_llm_key_is_full.service
          and call.key_print = ops_llm_key_is_full.key_print
          and not call.simulated
      ) >= (policy.value ->> 'concurrency_per_key')::integer
      from ops_policy as policy
      where policy.key = 'llm_limits'
        and policy.value ->> 'concurrency_per_key' is not null
    ),
    false
  );
$$;

comment on function ops_llm_key_is_full(text, text) is
  'Whether as many calls are under way with that key, over all reactors, as policy llm_limits allows; exact while the key is locked.';

create or replace function ops_llm_reserve(
  service text,
  provider text,
  key_print text,
  model text,
  purpose text,
  most_usd numeric,
  lapse_s double precision,
  agent_id text default null,
  mission_id bigint default null,
  work text default null,
  by_human boolean default false,
  simulated boolean default false,
  unpriced boolean default false
)
returns table (call_id bigint, verdict text, wait_s double precision, detail text, told boolean)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  used_key ops_llm_keys;
  today date := (ops_now() at time zone ops_company_timezone())::date;
  asked_by_human boolean := ops_llm_reserve.by_human or ops_llm_by_human(ops_llm_reserve.purpose, ops_llm_reserve.mission_id);
  free_in double precision;
  refusal record;
begin
  -- A server that loses its power may forget a reservation of the last half second: its call is in flight still, and what
  -- settles it waits for the disk.
  perform set_config('synchronous_commit', 'off', true);
  insert into ops_llm_keys (service, key_print)
  values (ops_llm_reserve.service, ops_llm_reserve.key_print)
  on conflict on constraint ops_llm_keys_pkey do nothing;
  select known.*
  into used_key
  from ops_llm_keys as known
  where known.service = ops_llm_reserve.service
    and known.key_print = ops_llm_reserve.key_print
  for no key update;

  if (select count(*) from ops_pauses) = 3 then
    return query select null::bigint, 'held', null::float8, 'everything is paused', false;
    return;
  end if;
  if used_key.paused_until > ops_now() then
    return query select
      null::bigint,
      used_key.reason,
      extract(epoch from used_key.paused_until - ops_now())::float8,
      case used_key.reason when 'key_refused' then 'key refused' else 'the provider asks for fewer calls' end,
      false;
    return;
  end if;

  if not ops_llm_reserve.simulated then
    perform ops_llm_lapse();
    free_in := ops_llm_rate_wait(ops_llm_reserve.service, ops_llm_reserve.key_print);
    if free_in > 0 then
      return query select null::bigint, 'rate', free_in, 'the requests of this minute are used up', false;
      return;
    end if;
    if ops_llm_key_is_full(ops_llm_reserve.service, ops_llm_reserve.key_print) then
      return query select null::bigint, 'busy', 0.2::float8, 'as many calls as may be at once with this key are under way', false;
      return;
    end if;
    select *
    into refusal
    from ops_llm_refusal(today, ops_llm_reserve.agent_id, ops_llm_reserve.mission_id, ops_llm_reserve.most_usd, asked_by_human);
    if refusal.verdict is not null then
      return query select null::bigint, refusal.verdict, refusal.wait_s, refusal.detail, refusal.told;
      return;
    end if;
    update ops_llm_spending as spending
    set usd = spending.usd + ops_llm_reserve.most_usd
    from ops_llm_scopes(today, ops_llm_reserve.agent_id, ops_llm_reserve.mission_id) as budget
    where (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since);
  end if;

  return query
  insert into ops_llm_calls (
    created_at, lapses_at, day, service, provider, key_print, model, purpose, agent_id, mission_id, work, by_human,
    simulated, unpriced, reserved_usd, cost_usd, would_cost_usd
  )
  values (
    ops_now(),
    ops_now() + ops_llm_reserve.lapse_s * interval '1 second',
    today,
    ops_llm_reserve.service,
    ops_llm_reserve.provider,
    ops_llm_reserve.key_print,
    left(ops_llm_reserve.model, 200),
    left(ops_llm_reserve.purpose, 200),
    ops_llm_reserve.agent_id,
    ops_llm_reserve.mission_id,
    left(ops_llm_reserve.work, 300),
    asked_by_human,
    ops_llm_reserve.simulated,
    ops_llm_reserve.unpriced,
    case when ops_llm_reserve.simulated then 0 else ops_llm_reserve.most_usd end,
    case when ops_llm_reserve.simulated then 0 else ops_llm_reserve.most_usd end,
    0
  )
  returning ops_llm_calls.id, 'ok', null::float8, null::text, false;
end
$$;

comment on function ops_llm_reserve(text, text, text, text, text, numeric, double precision, text, bigint, text, boolean, boolean, boolean) is
  'A call is on the books and its amount set aside (ok), or nothing is: held (all is paused), rate_limited or key_refused (the'
  ' key is paused), rate (the minute is full), busy (calls under way must be settled first), budget. wait_s: when to ask'
  ' again. told: this is the first refusal of its kind, and an event says so.';

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

create or replace function ops_llm_settle(
  call_id bigint,
  outcome text,
  model text default null,
  cost_usd numeric default 0,
  would_cost_usd numeric default 0,
  input_tokens integer default 0,
  output_tokens integer default 0,
  cache_read_tokens integer default 0,
  cache_write_tokens integer default 0,
  latency_ms integer default null,
  made boolean default true,
  pause text default null,
  pause_s double precision default null
)
returns table (line text)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  call ops_llm_calls;
  difference numeric;
begin
  select known.*
  into call
  from ops_llm_calls as known
  where known.id = ops_llm_settle.call_id;
  if not found then
    return;
  end if;
  -- Before the call's own lock, by the order above.
  return query select * from ops_llm_key_heard(call, ops_llm_settle.outcome = 'ok', ops_llm_settle.pause, ops_llm_settle.pause_s);
  select known.*
  into call
  from ops_llm_calls as known
  where known.id = ops_llm_settle.call_id
    and known.outcome in ('reserved', 'lapsed')
  for update;
  if not found then
    return;
  end if;
  if ops_llm_settle.made then
    update ops_llm_calls as known
    set
      outcome = left(ops_llm_settle.outcome, 63),
      settled_at = ops_now(),
      model = left(coalesce(ops_llm_settle.model, known.model), 200),
      cost_usd = case when call.simulated then 0 else ops_llm_settle.cost_usd end,
      would_cost_usd = ops_llm_settle.would_cost_usd,
      input_tokens = ops_llm_settle.input_tokens,
      output_tokens = ops_llm_settle.output_tokens,
      cache_read_tokens = ops_llm_settle.cache_read_tokens,
      cache_write_tokens = ops_llm_settle.cache_write_tokens,
      latency_ms = ops_llm_settle.latency_ms
    where known.id = call.id;
  else
    delete from ops_llm_calls as known where known.id = call.id;
  end if;
  if call.simulated then
    return;
  end if;
  difference := case when ops_llm_settle.made then ops_llm_settle.cost_usd else 0 end - call.cost_usd;
  perform
  from ops_llm_scopes(call.day, call.agent_id, call.mission_id) as budget
  join ops_llm_spending as spending
    on (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
  order by budget.place
  for no key update of spending;
  update ops_llm_spending as spending
  set usd = greatest(spending.usd + difference, 0)
  from ops_llm_scopes(call.day, call.agent_id, call.mission_id) as budget
  where (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
    and difference <> 0;
  return query select * from ops_llm_warn(call.day);
end
$$;

comment on function ops_llm_settle(bigint, text, text, numeric, numeric, integer, integer, integer, integer, integer, boolean, text, double precision) is
  'What was set aside is replaced by what the call cost; one that was not made is off the books. A call is settled once, also'
  ' after it lapsed. pause: rate_limited or key_refused, for pause_s or as long as seems right. Returns what is worth a line.';

create or replace function ops_llm_key_heard(call ops_llm_calls, went_well boolean, pause text, pause_s double precision)
returns table (line text)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  used_key ops_llm_keys;
  already_paused boolean;
  resumes_at timestamptz;
begin
  if pause is null and not (
    went_well
    and exists (
      select
      from ops_llm_keys as known
      where (known.service, known.key_print) = (call.service, call.key_print)
        and (known.times > 0 or known.told_at is not null)
    )
  ) then
    return;
  end if;
  select known.*
  into used_key
  from ops_llm_keys as known
  where (known.service, known.key_print) = (call.service, call.key_print)
  for no key update;
  if pause is null then
    -- An answer that left before the others were refused does not lift their pause.
    if used_key.paused_until is null or used_key.paused_until <= ops_now() then
      update ops_llm_keys as known
      set paused_until = null, reason = null, times = 0, told_at = null
      where (known.service, known.key_print) = (call.service, call.key_print);
    end if;
    return;
  end if;
  -- Those in flight together are refused together: that is one pause.
  already_paused := coalesce(used_key.paused_until > ops_now(), false);
  resumes_at := ops_now() + least(
    greatest(
      coalesce(
        pause_s,
        case pause
          when 'key_refused' then 600
          else least(60, 5 * 2 ^ least(used_key.times - already_paused::integer, 4))
        end
      ),
      0.1
    ),
    3600
  ) * interval '1 second';
  update ops_llm_keys as known
  set
    paused_until = greatest(known.paused_until, resumes_at),
    reason = ops_llm_key_heard.pause,
    times = known.times + (not already_paused)::integer,
    told_at = case pause when 'key_refused' then coalesce(known.told_at, ops_now()) else known.told_at end
  where (known.service, known.key_print) = (call.service, call.key_print);
  perform pg_notify('ops_control', 'breaker');
  if pause = 'key_refused' and used_key.told_at is null then
    insert into ops_agent_events (kind, title, summary, tags, metadata)
    values (
      'key_refused',
      call.service,
      'The provider refuses the key: set another ANTHROPIC_API_KEY and start the reactor again. It is tried now and then.',
      array['llm', 'key'],
      jsonb_build_object('service', call.service, 'key_print', call.key_print)
    );
    return query select 'key refused: set another ANTHROPIC_API_KEY and start the reactor again';
  end if;
end
$$;

comment on function ops_llm_key_heard(ops_llm_calls, boolean, text, double precision) is
  'The key is paused on all reactors, or free again after a call that went well. That it is refused is said once.';

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

create or replace function ops_closed_services(key_print text default '')
returns table (service text, wait_s double precision)
language sql
stable
set search_path = public, pg_temp
as $$
  select shut.service, max(shut.wait_s)
  from (
    select
      breaker.service,
      case breaker.state
        when 'open' then
          extract(epoch from breaker.opened_at + breaker.open_seconds * interval '1 second' - ops_now())::float8
        else 1.0::float8
      end as wait_s
    from ops_circuit_breaker as breaker
    where breaker.state <> 'closed'
      and ops_breaker_refuses(breaker)
    union all
    select used.service, extract(epoch from used.paused_until - ops_now())::float8
    from ops_llm_keys as used
    where used.key_print = ops_closed_services.key_print
      and used.paused_until > ops_now()
    union all
    -- Minutes are short, and calls that were not made after all make room early: looked at again soon.
    select used.service, least(ops_llm_rate_wait(used.service, used.key_print), 5.0::float8)
    from ops_llm_keys as used
    where used.key_print = ops_closed_services.key_print
      and ops_llm_rate_wait(used.service, used.key_print) > 0
    union all
    select used.service, extract(epoch from budget.ends_at - ops_now())::float8
    from ops_llm_keys as used
    cross join ops_llm_scopes((ops_now() at time zone ops_company_timezone())::date, null, null) as budget
    join ops_llm_spending as spending
      on (spending.scope, spending.name, spending.since) = (budget.scope, budget.name, budget.since)
    where used.key_print = ops_closed_services.key_print
      and used.key_print <> 'mock'
      and spending.closed_at is not null
  ) as shut
  group by shut.service;
$$;

comment on function ops_closed_services(text) is
  'Services that may not be called now with that key, each with the seconds until a try may be allowed: the breaker refuses,'
  ' the key is paused, the minute is full, or the budget is spent to the last. Half open with every permit given: 1.';

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
