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
          '%s refuses the API key: correct ANTHROPIC_API_KEY; it is tried again at %s', used.service, ops_said_at(used.paused_until)
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
        'it was running in %s crashes and is not tried again: %s', crashes, coalesce(left(failure_reason, 1000), 'no reason is known')
      )
      when status = 'failed' then format(
        'it failed for good at %s after %s attempts: %s',
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

create or replace function ops_why_step(step_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  step ops_mission_steps;
  before ops_mission_steps;
  rule ops_policy;
begin
  select * into step from ops_mission_steps as row where row.id = step_id;
  if not found then
    perform ops_unknown('step', step_id);
  end if;
  if step.status = 'waiting' and step.hold is not null then
    select * into rule from ops_policy as policy where policy.key = 'hold_step_kinds';
    return query select * from ops_why_because(
      'held',
      format(
        'it waits for a person''s approval since %s: steps of kind %s are held (policy hold_step_kinds, version %s); unreleased it expires at %s',
        ops_said_at(step.held_at), step.kind, coalesce(rule.version::text, 'none'), ops_said_at(step.held_at + ops_approval_time())
      ),
      jsonb_build_object(
        'since', step.held_at,
        'expires_at', step.held_at + ops_approval_time(),
        'kind', step.kind,
        'policy', 'hold_step_kinds',
        'policy_version', rule.version
      )
    );
  elsif step.status = 'waiting' then
    select *
    into before
    from ops_mission_steps as earlier
    where earlier.mission_id = step.mission_id
      and (earlier.seq, earlier.id) < (step.seq, step.id)
      and earlier.status in ('waiting', 'queued', 'running')
    order by earlier.seq, earlier.id
    limit 1;
    return query select * from ops_why_because(
      'predecessor',
      coalesce(
        format('it comes after step %s (%s), which is %s', before.id, before.kind, case when before.hold is null then before.status else 'held' end),
        'it waits for its turn'
      ),
      jsonb_build_object('step_id', before.id, 'kind', before.kind, 'status', before.status)
    );
  elsif step.status = 'queued' then
    return query select * from ops_why_queued(
      'mission',
      step.kind,
      step.agent_id,
      (select known.services from ops_step_kinds as known where known.kind = step.kind),
      step.run_at,
      step.attempt,
      step.max_attempts,
      step.failure_reason,
      (
        select count(*)
        from ops_mission_steps as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-step.priority, step.run_at, step.id)
      )
    );
  elsif step.status = 'running' then
    return query select * from ops_why_running(step.claimed_by, step.started_at, step.attempt);
  elsif step.ended_by is not null then
    return query select * from ops_why_because(
      'mission_ended',
      format('%s (step %s)', coalesce(step.failure_reason, 'its mission has ended'), step.ended_by),
      jsonb_build_object('step_id', step.ended_by, 'mission_id', step.mission_id, 'at', step.completed_at)
    );
  elsif step.hold is not null and step.status = 'cancelled' then
    return query select * from ops_why_because(
      'rejected',
      format('it was not released: %s', coalesce(step.failure_reason, 'no reason is known')),
      jsonb_build_object(
        'at', step.completed_at,
        'reason', step.failure_reason,
        'by', (
          select event.metadata ->> 'decided_by'
          from ops_agent_events as event
          where event.kind = 'step_rejected'
            and event.metadata ->> 'step_id' = step.id::text
          order by event.id desc
          limit 1
        )
      )
    );
  else
    return query select * from ops_why_ended(
      step.status, step.completed_at, step.failure_reason, step.attempt, step.crashes, step.simulated
    );
  end if;
end
$$;

comment on function ops_why_step(bigint) is 'See ops_why.';

create or replace function ops_why_roundtable(roundtable_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  talk ops_roundtable_queue;
begin
  select * into talk from ops_roundtable_queue as row where row.id = roundtable_id;
  if not found then
    perform ops_unknown('roundtable', roundtable_id);
  end if;
  if talk.status in ('waiting', 'queued') then
    return query select * from ops_why_queued(
      'roundtable',
      talk.format,
      null,
      array['anthropic'],
      talk.run_at,
      talk.attempt,
      talk.max_attempts,
      talk.failure_reason,
      (
        select count(*)
        from ops_roundtable_queue as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-talk.priority, talk.run_at, talk.id)
      )
    );
  elsif talk.status = 'running' then
    return query select * from ops_why_running(talk.claimed_by, talk.started_at, talk.attempt);
  else
    return query select * from ops_why_ended(
      talk.status, talk.completed_at, talk.failure_reason, talk.attempt, talk.crashes, talk.simulated
    );
  end if;
end
$$;

comment on function ops_why_roundtable(bigint) is 'See ops_why.';

create or replace function ops_why_initiative(initiative_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  idea ops_initiative_queue;
begin
  select * into idea from ops_initiative_queue as row where row.id = initiative_id;
  if not found then
    perform ops_unknown('initiative', initiative_id);
  end if;
  if idea.status in ('waiting', 'queued') then
    return query select * from ops_why_queued(
      'initiative',
      'initiative',
      null,
      array['anthropic'],
      idea.run_at,
      idea.attempt,
      idea.max_attempts,
      idea.failure_reason,
      (
        select count(*)
        from ops_initiative_queue as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-idea.priority, idea.run_at, idea.id)
      )
    );
  elsif idea.status = 'running' then
    return query select * from ops_why_running(idea.claimed_by, idea.started_at, idea.attempt);
  else
    return query select * from ops_why_ended(
      idea.status, idea.completed_at, idea.failure_reason, idea.attempt, idea.crashes, idea.simulated
    );
  end if;
end
$$;

comment on function ops_why_initiative(bigint) is 'See ops_why.';

create or replace function ops_why_proposal(proposal_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  asked ops_mission_proposals;
  gate text;
begin
  select * into asked from ops_mission_proposals as row where row.id = proposal_id;
  if not found then
    perform ops_unknown('proposal', proposal_id);
  end if;
  gate := asked.decision ->> 'gate';
  return query select * from ops_why_because(
    case
      when asked.status = 'pending' then 'pending_approval'
      when asked.status = 'accepted' and asked.decided_by = 'auto_approve' then 'approved_by_policy'
      when asked.status = 'accepted' then 'approved'
      when gate = 'person' then 'rejected'
      when gate in ('expired', 'cancelled') then gate
      else 'gate'
    end,
    case
      when asked.status = 'pending' then format(
        'it waits for a person''s yes, because of %s (policy %s, version %s); undecided it expires at %s',
        coalesce((select string_agg(kind, ', ') from jsonb_array_elements_text(asked.decision -> 'to_approve') as kind), 'its kinds'),
        coalesce(asked.decision ->> 'policy', 'auto_approve'),
        coalesce(asked.decision ->> 'policy_version', 'none'),
        ops_said_at(asked.expires_at)
      )
      when asked.status = 'accepted' and asked.decided_by = 'auto_approve' then format(
        'policy %s, version %s, let all its kinds in without a person; it became mission %s',
        coalesce(asked.decision ->> 'policy', 'auto_approve'), coalesce(asked.decision ->> 'policy_version', 'none'), asked.mission_id
      )
      when asked.status = 'accepted' then format(
        '%s approved it at %s%s; it became mission %s',
        asked.decided_by,
        ops_said_at(asked.decided_at),
        case when asked.edited_by is not null then format(', changed by %s', asked.edited_by) else '' end,
        asked.mission_id
      )
      when gate = 'person' then format('%s rejected it at %s: %s', asked.decided_by, ops_said_at(asked.decided_at), asked.rejection_reason)
      when gate = 'expired' then format('nobody decided about it in time: it expired at %s', ops_said_at(asked.decided_at))
      when gate = 'cancelled' then format('%s withdrew it at %s', coalesce(asked.decided_by, 'somebody'), ops_said_at(asked.decided_at))
      else format(
        'gate %s turned it away: %s%s',
        coalesce(gate, '?'),
        asked.rejection_reason,
        coalesce(format(' (policy %s, version %s)', asked.decision ->> 'policy', asked.decision ->> 'policy_version'), '')
      )
    end,
    asked.decision || jsonb_build_object(
      'mission_id', asked.mission_id,
      'by', asked.decided_by,
      'at', asked.decided_at,
      'expires_at', asked.expires_at,
      'edited_by', asked.edited_by,
      'reason', asked.rejection_reason
    )
  );
end
$$;

comment on function ops_why_proposal(bigint) is 'See ops_why.';

create or replace function ops_why_mission(mission_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  mission ops_missions;
  head ops_mission_steps;
  told record;
  origin jsonb;
begin
  select * into mission from ops_missions as row where row.id = ops_why_mission.mission_id;
  if not found then
    perform ops_unknown('mission', ops_why_mission.mission_id);
  end if;
  origin := jsonb_build_object(
    'created_by', mission.created_by,
    'proposal_id', mission.proposal_id,
    'approved_by', (select asked.decided_by from ops_mission_proposals as asked where asked.id = mission.proposal_id)
  );
  if mission.status in ('approved', 'running') then
    select *
    into head
    from ops_mission_steps as step
    where step.mission_id = mission.id
      and step.status in ('waiting', 'queued', 'running')
    order by step.seq, step.id
    limit 1;
    if not found then
      return query select * from ops_why_because('no_steps', 'it has no step to do', origin);
      return;
    end if;
    select why.* into told from ops_why_step(head.id) as why;
    return query select * from ops_why_because(
      told.facts ->> 'because',
      format('it is at step %s (%s): %s', head.id, head.kind, told.sentence),
      origin || (told.facts - 'because') || jsonb_build_object('step_id', head.id, 'kind', head.kind)
    );
    return;
  end if;
  return query select * from ops_why_because(
    mission.status,
    case mission.status
      when 'succeeded' then format('all its steps succeeded, the last at %s', ops_said_at(mission.completed_at))
      else format(
        'it %s at %s: %s',
        case mission.status when 'failed' then 'failed' else 'was cancelled' end,
        ops_said_at(mission.completed_at),
        coalesce(left(mission.failure_reason, 1000), 'no reason is known')
      )
    end,
    origin || jsonb_build_object(
      'at', mission.completed_at,
      'reason', mission.failure_reason,
      'step_id', (
        select step.id
        from ops_mission_steps as step
        where step.mission_id = mission.id
          and step.status in ('failed', 'cancelled')
          and step.ended_by is null
        order by step.status desc, step.seq, step.id
        limit 1
      )
    )
  );
end
$$;

comment on function ops_why_mission(bigint) is 'See ops_why.';

create or replace function ops_why(what text, id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
begin
  case what
    when 'step' then return query select * from ops_why_step(ops_why.id);
    when 'mission' then return query select * from ops_why_mission(ops_why.id);
    when 'roundtable' then return query select * from ops_why_roundtable(ops_why.id);
    when 'initiative' then return query select * from ops_why_initiative(ops_why.id);
    when 'proposal' then return query select * from ops_why_proposal(ops_why.id);
    else perform ops_unknown(what, ops_why.id);
  end case;
end
$$;

comment on function ops_why(text, bigint) is
  'Why the step, mission, roundtable, initiative or proposal is where it is: one sentence and its facts; facts ->> ''because'' is the'
  ' kind of answer in a word. Raises OP001, OP002.';
