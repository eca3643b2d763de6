-- Calls to the language model: reserved before, settled after, never more than the budgets and the provider allow.
--
-- Lock order: the key, then the calls, then the spending by (day, month, agent, mission). Both functions below are a
-- short transaction each: nobody holds a lock while the model thinks.

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
