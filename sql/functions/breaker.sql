-- The circuit breaker: whether a call to a service may go ahead, and what became of it.
--
--   closed    --(failure_threshold consecutive failures)-->          open
--   open      --(first allow at or after opened_at + open_seconds)-> half_open
--   half_open --(success_threshold successes against permits)-->     closed
--   half_open --(any failure)-->                                     open
--
-- While closed, allow and a success cost a plain read: no lock, no write. Everything else decides under the row's lock, so
-- that of many callers at once one makes the change and the others see it. What a change tells the reactors is the
-- trigger's business (sql/triggers/breaker.sql), so a hand in psql tells them too.

create or replace function ops_unknown_service(service text)
returns void
language plpgsql
stable
set search_path = public, pg_temp
as $$
begin
  raise exception using
    errcode = 'OP003',
    message = format(
      'unknown service %s; known are %s',
      coalesce(quote_literal(left(service, 100)), 'null'),
      (
        select coalesce(string_agg(breaker.service, ', ' order by breaker.service), 'none')
        from ops_circuit_breaker as breaker
      )
    ),
    hint = 'A further service begins with: insert into ops_circuit_breaker (service) values (…).';
end
$$;

comment on function ops_unknown_service(text) is 'Raises OP003 with the services there are.';

create or replace function ops_outstanding_permits(breaker ops_circuit_breaker)
returns timestamptz[]
language sql
stable
set search_path = public, pg_temp
as $$
  select array(
    select permit.given_at
    from unnest(breaker.permits) as permit (given_at)
    where permit.given_at + breaker.permit_seconds * interval '1 second' > ops_now()
    order by permit.given_at
  );
$$;

comment on function ops_outstanding_permits(ops_circuit_breaker) is
  'When the permits that have neither been reported nor lapsed were given, oldest first.';

create or replace function ops_breaker_refuses(breaker ops_circuit_breaker)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select case breaker.state
    when 'closed' then false
    when 'open' then ops_now() < breaker.opened_at + breaker.open_seconds * interval '1 second'
    else breaker.success_count + cardinality(ops_outstanding_permits(breaker)) >= breaker.success_threshold
  end;
$$;

comment on function ops_breaker_refuses(ops_circuit_breaker) is
  'True when no call may go ahead now: it is not time yet, or every permit is given out.';

create or replace function ops_breaker_allow(service text)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  breaker ops_circuit_breaker;
begin
  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = ops_breaker_allow.service;
  if not found then
    perform ops_unknown_service(service);
  end if;
  if breaker.state = 'closed' then
    return true;
  end if;
  if ops_breaker_refuses(breaker) then
    return false;
  end if;

  -- Read again under the lock: whoever had it before may have changed everything.
  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = ops_breaker_allow.service
  for no key update;
  if not found then
    perform ops_unknown_service(service);
  end if;
  if breaker.state = 'closed' then
    return true;
  end if;
  if ops_breaker_refuses(breaker) then
    return false;
  end if;
  update ops_circuit_breaker as known
  set
    state = 'half_open',
    success_count = case breaker.state when 'half_open' then breaker.success_count else 0 end,
    permits = case breaker.state when 'half_open' then ops_outstanding_permits(breaker) else '{}' end || ops_now(),
    updated_at = ops_now()
  where known.service = breaker.service;
  return true;
end
$$;

comment on function ops_breaker_allow(text) is
  'True when a call may go ahead now. The first one allowed after open_seconds makes it half_open; there, each true is a'
  ' permit, and permits outstanding + successes never exceed success_threshold. Raises OP003.';

create or replace function ops_breaker_record(service text, success boolean)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  breaker ops_circuit_breaker;
begin
  if success is null then
    raise exception using errcode = 'OP004', message = 'success is null: say true or false';
  end if;
  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = ops_breaker_record.service;
  if not found then
    perform ops_unknown_service(service);
  end if;
  if breaker.state = 'open' or (breaker.state = 'closed' and success and breaker.failure_count = 0) then
    return breaker.state;
  end if;

  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = ops_breaker_record.service
  for no key update;
  if not found then
    perform ops_unknown_service(service);
  end if;
  case breaker.state
    when 'closed' then
      return ops_record_while_closed(breaker, success);
    when 'half_open' then
      return ops_record_while_half_open(breaker, success);
    else
      return breaker.state;
  end case;
end
$$;

comment on function ops_breaker_record(text, boolean) is
  'The state after the report of one call. A report that comes while open changes nothing. Raises OP003, OP004.';

create or replace function ops_record_while_closed(breaker ops_circuit_breaker, success boolean)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if success and breaker.failure_count = 0 then
    return 'closed';
  end if;
  if success then
    update ops_circuit_breaker as known
    set
      failure_count = 0,
      updated_at = ops_now()
    where known.service = breaker.service;
    return 'closed';
  end if;
  if breaker.failure_count + 1 < breaker.failure_threshold then
    update ops_circuit_breaker as known
    set
      failure_count = breaker.failure_count + 1,
      updated_at = ops_now()
    where known.service = breaker.service;
    return 'closed';
  end if;
  update ops_circuit_breaker as known
  set
    state = 'open',
    failure_count = breaker.failure_count + 1,
    success_count = 0,
    opened_at = ops_now(),
    permits = '{}',
    updated_at = ops_now()
  where known.service = breaker.service;
  return 'open';
end
$$;

comment on function ops_record_while_closed(ops_circuit_breaker, boolean) is
  'See ops_breaker_record. The caller holds the row''s lock and has read it under it.';

create or replace function ops_record_while_half_open(breaker ops_circuit_breaker, success boolean)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  outstanding timestamptz[];
begin
  if not success then
    update ops_circuit_breaker as known
    set
      state = 'open',
      success_count = 0,
      opened_at = ops_now(),
      permits = '{}',
      updated_at = ops_now()
    where known.service = breaker.service;
    return 'open';
  end if;
  outstanding := ops_outstanding_permits(breaker);
  if cardinality(outstanding) = 0 then
    return 'half_open';
  end if;
  if breaker.success_count + 1 < breaker.success_threshold then
    update ops_circuit_breaker as known
    set
      success_count = breaker.success_count + 1,
      permits = outstanding[2:],
      updated_at = ops_now()
    where known.service = breaker.service;
    return 'half_open';
  end if;
  perform ops_close_breaker(breaker.service);
  return 'closed';
end
$$;

comment on function ops_record_while_half_open(ops_circuit_breaker, boolean) is
  'See ops_breaker_record. A success takes the oldest permit outstanding; without one it does not count.'
  ' The caller holds the row''s lock and has read it under it.';

create or replace function ops_close_breaker(service text)
returns void
language sql
set search_path = public, pg_temp
as $$
  update ops_circuit_breaker as known
  set
    state = 'closed',
    failure_count = 0,
    success_count = 0,
    opened_at = null,
    permits = '{}',
    updated_at = ops_now()
  where known.service = ops_close_breaker.service;
$$;

comment on function ops_close_breaker(text) is 'The breaker is as new: closed, nothing counted.';

create or replace function ops_breaker_reset(service text)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  breaker ops_circuit_breaker;
  tried_again boolean;
begin
  tried_again := ops_llm_try_refused_keys(ops_breaker_reset.service);
  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = ops_breaker_reset.service
  for no key update;
  if not found then
    perform ops_unknown_service(service);
  end if;
  if breaker.state = 'closed' and breaker.failure_count = 0 then
    return tried_again;
  end if;
  perform ops_close_breaker(breaker.service);
  return true;
end
$$;

comment on function ops_breaker_reset(text) is
  'Closes the breaker whatever its state and forgets its failures; see ops_llm_try_refused_keys too. True when something changed.'
  ' Raises OP003.';

create or replace function ops_breaker_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform pg_notify('ops_control', 'breaker');
  if new.state = old.state then
    return null;
  end if;
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    case new.state
      when 'open' then 'breaker_opened'
      when 'half_open' then 'breaker_half_opened'
      else 'breaker_closed'
    end,
    new.service,
    case new.state
      when 'open' then format(
        'No call to %s until %s.',
        new.service,
        to_char((new.opened_at + new.open_seconds * interval '1 second') at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
      )
      when 'half_open' then format('%s is being tried again.', new.service)
      else format('%s is called as usual again.', new.service)
    end,
    array['breaker', new.service],
    jsonb_build_object(
      'service', new.service,
      'from', old.state,
      'to', new.state,
      'failure_count', greatest(old.failure_count, new.failure_count),
      'opened_at', new.opened_at,
      'open_until', case new.state when 'open' then new.opened_at + new.open_seconds * interval '1 second' end
    );
  if new.state = 'closed' then
    perform ops_ring_all();
  end if;
  return null;
end
$$;

comment on function ops_breaker_changed() is
  'Trigger: every reactor hears that a breaker changed; a change of state is an event, and a closed one rings the queues.';
