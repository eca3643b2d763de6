-- Calls to the language model that begin or end together: one statement for all of them.
--
-- What ops_llm_reserve and ops_llm_settle promise for one call holds for each. Lock order as there: the key, then the calls by
-- id, then the spending of days, months, agents, missions, each by name.

create or replace function ops_llm_draws(days date[], agent_ids text[], mission_ids bigint[], amounts numeric[])
returns table (place integer, scope text, name text, since date, limit_usd numeric, usd numeric)
language sql
stable
set search_path = public, pg_temp
as $$
  select budget.place, budget.scope, budget.name, budget.since, budget.limit_usd, sum(given.usd)
  from (
    select call.day, call.agent_id, call.mission_id, sum(call.usd) as usd
    from unnest(days, agent_ids, mission_ids, amounts) as call (day, agent_id, mission_id, usd)
    group by call.day, call.agent_id, call.mission_id
  ) as given
  cross join lateral ops_llm_scopes(given.day, given.agent_id, given.mission_id) as budget
  group by budget.place, budget.scope, budget.name, budget.since, budget.limit_usd;
$$;

comment on function ops_llm_draws(date[], text[], bigint[], numeric[]) is
  'What calls with those days, agents, missions and amounts draw from each budget together.';

create or replace function ops_llm_lock_spending(days date[], agent_ids text[], mission_ids bigint[], amounts numeric[])
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into ops_llm_spending (scope, name, since)
  select draw.scope, draw.name, draw.since
  from ops_llm_draws(days, agent_ids, mission_ids, amounts) as draw
  order by draw.place, draw.name, draw.since
  on conflict on constraint ops_llm_spending_pkey do nothing;
  perform
  from ops_llm_spending as spending
  join ops_llm_draws(days, agent_ids, mission_ids, amounts) as draw
    on (spending.scope, spending.name, spending.since) = (draw.scope, draw.name, draw.since)
  order by draw.place, draw.name, draw.since
  for no key update of spending;
end
$$;

comment on function ops_llm_lock_spending(date[], text[], bigint[], numeric[]) is
  'The budgets such calls draw on are there and locked, in the order of all.';

create or replace function ops_llm_spend(days date[], agent_ids text[], mission_ids bigint[], amounts numeric[])
returns void
language sql
set search_path = public, pg_temp
as $$
  update ops_llm_spending as spending
  set usd = greatest(spending.usd + draw.usd, 0)
  from ops_llm_draws(days, agent_ids, mission_ids, amounts) as draw
  where (spending.scope, spending.name, spending.since) = (draw.scope, draw.name, draw.since)
    and draw.usd <> 0;
$$;

comment on function ops_llm_spend(date[], text[], bigint[], numeric[]) is
  'The budgets have given out those amounts, or got them back. The caller holds their locks.';

create or replace function ops_llm_calls_of(calls jsonb)
returns table (
  model text,
  purpose text,
  most_usd numeric,
  lapse_s double precision,
  agent_id text,
  mission_id bigint,
  work text,
  by_human boolean,
  unpriced boolean,
  place bigint
)
language sql
immutable
set search_path = public, pg_temp
as $$
  select
    call.model,
    call.purpose,
    round(call.most_usd, 8),
    call.lapse_s,
    call.agent_id,
    call.mission_id,
    call.work,
    call.by_human,
    call.unpriced,
    call.place
  from rows from (
    jsonb_to_recordset(calls) as (
      model text,
      purpose text,
      most_usd numeric,
      lapse_s double precision,
      agent_id text,
      mission_id bigint,
      work text,
      by_human boolean,
      unpriced boolean
    )
  ) with ordinality as call (model, purpose, most_usd, lapse_s, agent_id, mission_id, work, by_human, unpriced, place);
$$;

comment on function ops_llm_calls_of(jsonb) is
  'The calls of a list for ops_llm_reserve_together, each with its place; amounts as the books hold them.';

create or replace function ops_llm_endings_of(calls jsonb)
returns table (
  call_id bigint,
  outcome text,
  model text,
  cost_usd numeric,
  would_cost_usd numeric,
  input_tokens integer,
  output_tokens integer,
  cache_read_tokens integer,
  cache_write_tokens integer,
  latency_ms integer,
  made boolean
)
language sql
immutable
set search_path = public, pg_temp
as $$
  select
    ending.call_id,
    ending.outcome,
    ending.model,
    round(ending.cost_usd, 8),
    round(ending.would_cost_usd, 8),
    ending.input_tokens,
    ending.output_tokens,
    ending.cache_read_tokens,
    ending.cache_write_tokens,
    ending.latency_ms,
    ending.made
  from jsonb_to_recordset(calls) as ending (
    call_id bigint,
    outcome text,
    model text,
    cost_usd numeric,
    would_cost_usd numeric,
    input_tokens integer,
    output_tokens integer,
    cache_read_tokens integer,
    cache_write_tokens integer,
    latency_ms integer,
    made boolean
  );
$$;

comment on function ops_llm_endings_of(jsonb) is 'The calls of a list for ops_llm_settle_together; amounts as the books hold them.';

create or replace function ops_llm_room_for_all(
  used_key ops_llm_keys,
  today date,
  agent_ids text[],
  mission_ids bigint[],
  amounts numeric[],
  by_humans boolean
)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  asked integer := cardinality(amounts);
  days date[] := array_fill(today, array[asked]);
  limits jsonb := (select policy.value from ops_policy as policy where policy.key = 'llm_limits');
begin
  perform ops_llm_lapse();
  if asked + (
    select count(*)
    from ops_llm_calls as recent
    where recent.created_at > ops_now() - interval '1 minute'
      and (recent.service, recent.key_print) = (used_key.service, used_key.key_print)
      and not recent.simulated
  ) > greatest(coalesce((limits ->> 'requests_per_minute')::integer, 45), 1) then
    return false;
  end if;
  if asked + (
    select count(*)
    from ops_llm_calls as open
    where open.outcome = 'reserved'
      and (open.service, open.key_print) = (used_key.service, used_key.key_print)
      and not open.simulated
  ) > (limits ->> 'concurrency_per_key')::integer then
    return false;
  end if;
  perform ops_llm_lock_spending(days, agent_ids, mission_ids, amounts);
  return not exists (
    select
    from ops_llm_draws(days, agent_ids, mission_ids, amounts) as draw
    join ops_llm_spending as spending
      on (spending.scope, spending.name, spending.since) = (draw.scope, draw.name, draw.since)
    where spending.usd + draw.usd > ops_llm_allowed(draw.scope, draw.limit_usd, by_humans)
  );
end
$$;

comment on function ops_llm_room_for_all(ops_llm_keys, date, text[], bigint[], numeric[], boolean) is
  'Whether calls for those agents, missions and amounts all fit into the minute, the places of the key, and every budget,'
  ' which are locked then. The caller holds the key''s lock. False also where some of them would fit.';

create or replace function ops_llm_reserve_together(
  service text,
  provider text,
  key_print text,
  simulated boolean,
  calls jsonb
)
returns table (place bigint, call_id bigint, verdict text, wait_s double precision, detail text, told boolean)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  today date := (ops_now() at time zone ops_company_timezone())::date;
  used_key ops_llm_keys;
  agent_ids text[];
  mission_ids bigint[];
  amounts numeric[];
  by_humans boolean[];
begin
  perform set_config('synchronous_commit', 'off', true);  -- as in ops_llm_reserve
  insert into ops_llm_keys (service, key_print)
  values (ops_llm_reserve_together.service, ops_llm_reserve_together.key_print)
  on conflict on constraint ops_llm_keys_pkey do nothing;
  select known.*
  into used_key
  from ops_llm_keys as known
  where known.service = ops_llm_reserve_together.service
    and known.key_print = ops_llm_reserve_together.key_print
  for no key update;
  select
    array_agg(call.agent_id order by call.place),
    array_agg(call.mission_id order by call.place),
    array_agg(call.most_usd order by call.place),
    array_agg(call.by_human or ops_llm_by_human(call.purpose, call.mission_id) order by call.place)
  into agent_ids, mission_ids, amounts, by_humans
  from ops_llm_calls_of(calls) as call;

  if (select count(*) from ops_pauses) = 3
    or used_key.paused_until > ops_now()
    or not (ops_llm_reserve_together.simulated or ops_llm_room_for_all(used_key, today, agent_ids, mission_ids, amounts, true = all(by_humans)))
  then
    return query
    select call.place, reserved.call_id, reserved.verdict, reserved.wait_s, reserved.detail, reserved.told
    from ops_llm_calls_of(calls) as call
    cross join lateral ops_llm_reserve(
      ops_llm_reserve_together.service,
      ops_llm_reserve_together.provider,
      ops_llm_reserve_together.key_print,
      call.model,
      call.purpose,
      call.most_usd,
      call.lapse_s,
      call.agent_id,
      call.mission_id,
      call.work,
      call.by_human,
      ops_llm_reserve_together.simulated,
      call.unpriced
    ) as reserved;
    return;
  end if;

  if not ops_llm_reserve_together.simulated then
    perform ops_llm_spend(array_fill(today, array[cardinality(amounts)]), agent_ids, mission_ids, amounts);
  end if;
  return query
  with booked as (
    insert into ops_llm_calls (
      created_at, lapses_at, day, service, provider, key_print, model, purpose, agent_id, mission_id, work, by_human,
      simulated, unpriced, reserved_usd, cost_usd, would_cost_usd
    )
    select
      ops_now(),
      ops_now() + call.lapse_s * interval '1 second',
      today,
      ops_llm_reserve_together.service,
      ops_llm_reserve_together.provider,
      ops_llm_reserve_together.key_print,
      left(call.model, 200),
      left(call.purpose, 200),
      call.agent_id,
      call.mission_id,
      left(call.work, 300),
      by_humans[call.place],
      ops_llm_reserve_together.simulated,
      call.unpriced,
      case when ops_llm_reserve_together.simulated then 0 else call.most_usd end,
      case when ops_llm_reserve_together.simulated then 0 else call.most_usd end,
      0
    from ops_llm_calls_of(calls) as call
    order by call.place
    returning id
  )
  -- Ids are given out in the order of the insert's own select.
  select row_number() over (order by booked.id), booked.id, 'ok', null::float8, null::text, false
  from booked;
end
$$;

comment on function ops_llm_reserve_together(text, text, text, boolean, jsonb) is
  'ops_llm_reserve for each of the calls, a list of objects with its other arguments; place: of the call in that list, from 1.'
  ' All at once where there is room for all; else one after the other, as far as there is.';

create or replace function ops_llm_settle_together(calls jsonb)
returns table (line text)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  ids bigint[];
  days date[];
  agent_ids text[];
  mission_ids bigint[];
  amounts numeric[];
begin
  perform ops_llm_key_heard(well, true, null, null)
  from (
    select distinct on (known.service, known.key_print) known
    from ops_llm_endings_of(calls) as ending
    join ops_llm_calls as known
      on known.id = ending.call_id
    where ending.outcome = 'ok'
    order by known.service, known.key_print
  ) as one (well);
  perform
  from ops_llm_calls as known
  where known.id in (select ending.call_id from ops_llm_endings_of(calls) as ending)
  order by known.id
  for update;
  select
    array_agg(known.id),
    array_agg(known.day) filter (where not known.simulated),
    array_agg(known.agent_id) filter (where not known.simulated),
    array_agg(known.mission_id) filter (where not known.simulated),
    array_agg(case when ending.made then ending.cost_usd else 0 end - known.cost_usd) filter (where not known.simulated)
  into ids, days, agent_ids, mission_ids, amounts
  from ops_llm_endings_of(calls) as ending
  join ops_llm_calls as known
    on known.id = ending.call_id
  where known.outcome in ('reserved', 'lapsed');

  update ops_llm_calls as known
  set
    outcome = left(ending.outcome, 63),
    settled_at = ops_now(),
    model = left(coalesce(ending.model, known.model), 200),
    cost_usd = case when known.simulated then 0 else ending.cost_usd end,
    would_cost_usd = ending.would_cost_usd,
    input_tokens = ending.input_tokens,
    output_tokens = ending.output_tokens,
    cache_read_tokens = ending.cache_read_tokens,
    cache_write_tokens = ending.cache_write_tokens,
    latency_ms = ending.latency_ms
  from ops_llm_endings_of(calls) as ending
  where known.id = ending.call_id
    and known.id = any(ids)
    and ending.made;
  delete from ops_llm_calls as known
  using ops_llm_endings_of(calls) as ending
  where known.id = ending.call_id
    and known.id = any(ids)
    and not ending.made;
  if days is null then
    return;
  end if;
  perform ops_llm_lock_spending(days, agent_ids, mission_ids, amounts);
  perform ops_llm_spend(days, agent_ids, mission_ids, amounts);
  return query
  select warning.line
  from (select distinct settled.day from unnest(days) as settled (day)) as of
  cross join lateral ops_llm_warn(of.day) as warning;
end
$$;

comment on function ops_llm_settle_together(jsonb) is
  'ops_llm_settle for each of the calls, a list of objects with its arguments, but for those that pause their key: they are'
  ' settled by themselves.';
