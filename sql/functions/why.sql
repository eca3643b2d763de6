-- Why a row is where it is: one sentence, and the facts behind it. The page, the API and the command line show the same.
--
-- Everything is read, nothing locked or written. facts ->> 'because' is the kind of answer in a word. What holds a row up is
-- told in the order in which it would have to be lifted: a pause first, then the time, a reactor, its services, its slots.

create or replace function ops_live_workers()
returns setof ops_workers
language sql
stable
set search_path = public, pg_temp
as $$
  select worker.*
  from ops_workers as worker
  where worker.state in ('starting', 'ready')
    and worker.heartbeat_at > ops_now() - interval '15 seconds'
    and (
      worker.liveness_key = 0
      or exists (
        select
        from pg_locks as lock
        where lock.locktype = 'advisory'
          and lock.classid = 1987014778
          and lock.objid = worker.liveness_key::oid
          and lock.objsubid = 2
          and lock.mode = 'ShareLock'
          and lock.granted
          and lock.database = (select base.oid from pg_database as base where base.datname = current_database())
      )
    );
$$;

comment on function ops_live_workers() is
  'The reactors that beat, hold their liveness lock (unless they never can) and are not stopping.';

create or replace function ops_said_at(at timestamptz)
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select to_char(ops_said_at.at at time zone ops_company_timezone(), 'YYYY-MM-DD HH24:MI:SS') || ' (' || ops_company_timezone() || ')';
$$;

comment on function ops_said_at(timestamptz) is 'The moment as sentences say it, by the company''s clock.';

create or replace function ops_why_because(because text, sentence text, facts jsonb default '{}')
returns table (sentence text, facts jsonb)
language sql
immutable
set search_path = public, pg_temp
as $$
  select ops_why_because.sentence, jsonb_build_object('because', because) || jsonb_strip_nulls(ops_why_because.facts);
$$;

comment on function ops_why_because(text, text, jsonb) is 'One answer of ops_why.';

create or replace function ops_why_service(services text[])
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  breaker ops_circuit_breaker;
  used ops_llm_keys;
  budget record;
begin
  select known.*
  into breaker
  from ops_circuit_breaker as known
  where known.service = any (services)
    and ops_breaker_refuses(known)
  order by known.service
  limit 1;
  if found then
    return query select * from ops_why_because(
      'breaker',
      case breaker.state
        when 'open' then format(
          'the breaker of %s is open until %s, after %s failures in a row',
          breaker.service,
          ops_said_at(breaker.opened_at + breaker.open_seconds * interval '1 second'),
          breaker.failure_count
        )
        else format('the breaker of %s is half open and every trial call is under way', breaker.service)
      end,
      jsonb_build_object(
        'service', breaker.service,
        'state', breaker.state,
        'failure_count', breaker.failure_count,
        'until', case breaker.state when 'open' then breaker.opened_at + breaker.open_seconds * interval '1 second' end
      )
    );
    return;
  end if;
  select known.*
  into used
  from ops_llm_keys as known
  where known.service = any (services)
    and known.paused_until > ops_now()
  order by known.paused_until desc
  limit 1;
  if found then
    return query select * from ops_why_because(
      used.reason,
      case used.reason
        when 'key_refused' then format(
          '%1$s refuses the API key: give its account credit, then `voxyz-reactor breaker reset %1$s`; or correct'
          ' ANTHROPIC_API_KEY; it is tried again at %2$s',
          used.service, ops_said_at(used.paused_until)
        )
        else format('%s asked for fewer calls: nobody calls it until %s', used.service, ops_said_at(used.paused_until))
      end,
      jsonb_build_object('service', used.service, 'until', used.paused_until)
    );
    return;
  end if;
  select given.scope, given.limit_usd, given.ends_at, spending.usd
  into budget
  from ops_llm_scopes((ops_now() at time zone ops_company_timezone())::date, null, null) as given
  join ops_llm_spending as spending
    on (spending.scope, spending.name, spending.since) = (given.scope, given.name, given.since)
  where spending.closed_at is not null
    and exists (
      select from ops_llm_keys as known where known.service = any (services) and known.key_print <> 'mock'
    )
  order by given.ends_at desc
  limit 1;
  if found then
    return query select * from ops_why_because(
      'budget',
      format(
        'the budget of the %s (%s USD) is spent: it goes on at %s, or when policy llm_budget is raised',
        budget.scope, round(budget.limit_usd, 2), ops_said_at(budget.ends_at)
      ),
      jsonb_build_object(
        'scope', budget.scope, 'limit_usd', budget.limit_usd, 'spent_usd', budget.usd, 'until', budget.ends_at, 'policy', 'llm_budget'
      )
    );
  end if;
end
$$;

comment on function ops_why_service(text[]) is
  'Which of the services may not be called now, and until when: its breaker, its key, the budget. No row: all may.';

create or replace function ops_why_paused(queue text)
returns table (sentence text, facts jsonb)
language sql
stable
set search_path = public, pg_temp
as $$
  select told.*
  from ops_pauses as pause
  cross join lateral ops_why_because(
    'paused',
    format(
      'queue %s is paused since %s by %s%s',
      pause.queue, ops_said_at(pause.paused_at), pause.paused_by, coalesce(': ' || nullif(pause.reason, ''), '')
    ),
    jsonb_build_object(
      'queue', pause.queue, 'by', pause.paused_by, 'since', pause.paused_at, 'reason', pause.reason
    )
  ) as told
  where pause.queue = ops_why_paused.queue;
$$;

comment on function ops_why_paused(text) is 'Who paused the queue, when and why. No row: nobody.';

create or replace function ops_why_workers(queue text, kind text, agent text)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  living bigint;
  able bigint;
  fitting bigint;
  free bigint;
  slots bigint;
begin
  with fleet as materialized (
    select
      worker.id,
      worker.agent_id,
      ops_why_workers.queue = any (worker.parts) as has_part,
      ops_why_workers.queue <> 'mission' or ops_why_workers.kind = any (worker.kinds) as has_kind,
      (worker.slots ->> ops_why_workers.queue)::bigint as slots
    from ops_live_workers() as worker
  ),
  taking as (
    select
      fleet.slots,
      case ops_why_workers.queue
        when 'mission' then (select count(*) from ops_mission_steps as row where row.status = 'running' and row.claimed_by = fleet.id)
        when 'roundtable' then (select count(*) from ops_roundtable_queue as row where row.status = 'running' and row.claimed_by = fleet.id)
        else (select count(*) from ops_initiative_queue as row where row.status = 'running' and row.claimed_by = fleet.id)
      end as running
    from fleet
    where fleet.has_part
      and fleet.has_kind
      and (
        ops_why_workers.queue <> 'mission'
        or ops_why_workers.agent is null
        or fleet.agent_id is null
        or fleet.agent_id = ops_why_workers.agent
      )
  )
  select
    (select count(*) from fleet where fleet.has_part),
    (select count(*) from fleet where fleet.has_part and fleet.has_kind),
    (select count(*) from taking),
    (select count(*) from taking where taking.slots is null or taking.running < taking.slots),
    (select sum(taking.slots) from taking)
  into living, able, fitting, free, slots;
  if living = 0 then
    return query select * from ops_why_because(
      'no_reactor',
      format('no live reactor works on queue %s: start one with `voxyz-reactor run`', queue),
      jsonb_build_object('queue', queue)
    );
  elsif able = 0 then
    return query select * from ops_why_because(
      'no_reactor_for_kind',
      case when exists (select from ops_step_kinds as known where known.kind = ops_why_workers.kind)
        then format('no live reactor has the kind %s: after a minute it fails', left(kind, 100))
        else format('no reactor has ever had the kind %s: it fails', left(kind, 100))
      end,
      jsonb_build_object('kind', kind, 'reactors', living)
    );
  elsif fitting = 0 then
    return query select * from ops_why_because(
      'no_reactor_for_agent',
      format('no live reactor takes steps of agent %s: start one with AGENT_ID=%s, or without', agent, agent),
      jsonb_build_object('agent', agent, 'kind', kind, 'reactors', living)
    );
  elsif free = 0 then
    return query select * from ops_why_because(
      'slots_full',
      format('all %s slots of the reactors that take it are full', slots),
      jsonb_build_object('queue', queue, 'slots', slots, 'reactors', fitting)
    );
  end if;
end
$$;

comment on function ops_why_workers(text, text, text) is
  'Why no reactor can take such a row now: none lives, none has the kind, none takes the agent, all slots are full. No row: one can.';

create or replace function ops_why_running(claimed_by uuid, started_at timestamptz, attempt integer)
returns table (sentence text, facts jsonb)
language sql
stable
set search_path = public, pg_temp
as $$
  select told.*
  from (values (ops_why_running.claimed_by)) as given (id)
  left join ops_workers as worker
    on worker.id = given.id
  left join ops_live_workers() as living
    on living.id = given.id
  cross join lateral ops_why_because(
    case when living.id is null and worker.state is distinct from 'stopping' then 'reactor_gone' else 'running' end,
    case
      when living.id is null and worker.state is distinct from 'stopping' then format(
        'the reactor that ran it (%s) is gone: it is given back within moments',
        coalesce(worker.hostname || ' pid ' || worker.pid, given.id::text)
      )
      else format(
        'it runs on %s pid %s since %s, attempt %s',
        worker.hostname, worker.pid, ops_said_at(coalesce(ops_why_running.started_at, ops_now())), attempt
      )
    end,
    jsonb_build_object(
      'worker', given.id,
      'hostname', worker.hostname,
      'pid', worker.pid,
      'started_at', ops_why_running.started_at,
      'attempt', attempt
    )
  ) as told;
$$;

comment on function ops_why_running(uuid, timestamptz, integer) is 'Where a running row runs, or that its reactor is gone.';

create or replace function ops_why_refused(queue text)
returns table (sentence text, facts jsonb)
language sql
stable
set search_path = public, pg_temp
as $$
  select because.sentence, because.facts
  from (
    select worker.vitals -> 'refused' ->> ops_why_refused.queue as reason
    from ops_live_workers() as worker
    where worker.vitals -> 'refused' ? ops_why_refused.queue
    order by worker.heartbeat_at desc
    limit 1
  ) as refused
  cross join lateral ops_why_because(
    'refused',
    format('it is due, but the database refuses to have it claimed: %s', refused.reason),
    jsonb_build_object('reason', refused.reason)
  ) as because
$$;

comment on function ops_why_refused(text) is
  'Why a due row before all others is not taken, when a trigger or constraint of somebody''s own forbids it; no row when none does.';

create or replace function ops_why_queued(
  queue text,
  kind text,
  agent text,
  services text[],
  run_at timestamptz,
  attempt integer,
  max_attempts integer,
  failure_reason text,
  ahead bigint
)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  due boolean := run_at <= ops_now();
begin
  return query select * from ops_why_paused(ops_why_queued.queue);
  if found then
    return;
  end if;
  if not due and failure_reason like 'out of budget:%' then
    return query select * from ops_why_because(
      'budget',
      format('%s; it goes on at %s, or when policy llm_budget is raised', failure_reason, ops_said_at(run_at)),
      jsonb_build_object('until', run_at, 'policy', 'llm_budget', 'reason', failure_reason)
    );
    return;
  elsif not due and attempt > 0 and failure_reason is not null then
    return query select * from ops_why_because(
      'retry',
      format('attempt %s of %s failed (%s): the next is at %s', attempt, max_attempts, left(failure_reason, 500), ops_said_at(run_at)),
      jsonb_build_object('until', run_at, 'attempt', attempt, 'max_attempts', max_attempts, 'reason', failure_reason)
    );
    return;
  elsif not due then
    return query select * from ops_why_because(
      'not_due',
      format('it is not due until %s', ops_said_at(run_at)),
      jsonb_build_object('until', run_at, 'reason', failure_reason)
    );
    return;
  end if;
  return query select * from ops_why_workers(queue, kind, agent);
  if found then
    return;
  end if;
  return query select * from ops_why_service(services);
  if found then
    return;
  end if;
  if ahead = 0 then
    return query select * from ops_why_refused(queue);
    if found then
      return;
    end if;
  end if;
  return query select * from ops_why_because(
    'in_line',
    case when ahead > 0
      then format('it is due, with %s rows before it', ahead)
      else 'it is due and about to be taken'
    end,
    jsonb_build_object('ahead', ahead)
  );
end
$$;

comment on function ops_why_queued(text, text, text, text[], timestamptz, integer, integer, text, bigint) is
  'What holds up a row that may be taken.';

create or replace function ops_why_ended(
  status text,
  completed_at timestamptz,
  failure_reason text,
  attempt integer,
  crashes integer,
  simulated boolean
)
returns table (sentence text, facts jsonb)
language sql
stable
set search_path = public, pg_temp
as $$
  select told.*
  from ops_why_because(
    case when status = 'failed' and crashes >= 3 then 'poison' else status end,
    case
      when status = 'succeeded' then format(
        'it succeeded at %s, in attempt %s%s',
        ops_said_at(completed_at), attempt, case when simulated then ', simulated' else '' end
      )
      when status = 'failed' and crashes >= 3 then format(
        'it was running in %s crashes and is not tried again by itself (retry brings it back): %s',
        crashes, coalesce(left(failure_reason, 1000), 'no reason is known')
      )
      when status = 'failed' then format(
        'it failed for good at %s, in attempt %s (retry brings it back): %s',
        ops_said_at(completed_at), attempt, coalesce(left(failure_reason, 1000), 'no reason is known')
      )
      else format('it was cancelled at %s: %s', ops_said_at(completed_at), coalesce(left(failure_reason, 1000), 'no reason is known'))
    end,
    jsonb_build_object(
      'at', completed_at, 'attempt', attempt, 'crashes', crashes, 'reason', failure_reason, 'simulated', simulated
    )
  ) as told;
$$;

comment on function ops_why_ended(text, timestamptz, text, integer, integer, boolean) is 'How a row came to its end.';
