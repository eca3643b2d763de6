-- Bringing rows back. Lock order as in missions.sql: the mission, then its steps by id.

create or replace function ops_unknown(what text, id bigint)
returns void
language plpgsql
immutable
set search_path = public, pg_temp
as $$
begin
  if what is null or what not in ('step', 'mission', 'roundtable', 'initiative', 'proposal') then
    raise exception using
      errcode = 'OP002',
      message = format('unknown %s; known are step, mission, roundtable, initiative, proposal', coalesce(quote_literal(what), 'null'));
  end if;
  raise exception using errcode = 'OP001', message = format('there is no %s %s', what, coalesce(id::text, 'null'));
end
$$;

comment on function ops_unknown(text, bigint) is
  'Raises: OP002 when there is no such kind of row, else OP001, no row of that id.';

create or replace function ops_locked_step(step_id bigint)
returns ops_mission_steps
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps;
begin
  select * into found_step from ops_mission_steps as step where step.id = step_id;
  if not found then
    perform ops_unknown('step', step_id);
  end if;
  perform from ops_missions as mission where mission.id = found_step.mission_id for no key update;
  select * into found_step from ops_mission_steps as step where step.id = step_id for no key update;
  return found_step;
end
$$;

comment on function ops_locked_step(bigint) is 'The step as it is, locked after its mission until the transaction ends. Raises OP001.';

create or replace function ops_retry(what text, id bigint)
returns boolean
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  case what
    when 'step' then return ops_retry_step(id);
    when 'mission' then return ops_retry_mission(id);
    when 'roundtable' then return ops_retry_roundtable(id);
    when 'initiative' then return ops_retry_initiative(id);
    when 'proposal' then
      raise exception using errcode = 'OP002', message = 'a proposal is not retried: propose it again, or retry its mission';
    else perform ops_unknown(what, id);
  end case;
  return false;
end
$$;

comment on function ops_retry(text, bigint) is
  'True when the failed or cancelled row is queued again, attempt and crashes 0, due now, result and token cleared,'
  ' or a queued row with a later run_at is now due. Raises OP001, OP002.';

create or replace function ops_retry_step(step_id bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps := ops_locked_step(step_id);
begin
  if found_step.status = 'queued' and found_step.run_at > ops_now() then
    update ops_mission_steps as step set run_at = ops_now() where step.id = step_id;
    return true;
  end if;
  if found_step.status not in ('failed', 'cancelled') then
    return false;
  end if;
  if found_step.ended_by is not null then
    -- It was called off because another one ended badly: that one is what has to run again.
    return ops_retry_step(found_step.ended_by);
  end if;
  perform set_config('ops.retrying', 'on', true);
  update ops_mission_steps as step
  set
    status = case
      when step.mission_id is null and step.hold is null and not ops_must_be_held(step) then 'queued'
      else 'waiting'
    end,
    hold = case when step.mission_id is null and ops_must_be_held(step) then 'approval' else step.hold end,
    held_at = case when step.mission_id is null or step.hold is not null then ops_now() end,
    attempt = 0,
    crashes = 0,
    run_at = ops_now(),
    started_at = null,
    completed_at = null,
    claimed_by = null,
    claim_token = null,
    ended_by = null,
    failure_reason = null,
    result = null,
    simulated = coalesce((select mission.simulated from ops_missions as mission where mission.id = step.mission_id), false)
  where step.id = step_id
    or (step.mission_id = found_step.mission_id and step.status = 'cancelled' and step.ended_by = step_id);
  perform set_config('ops.retrying', '', true);
  perform ops_reopen_mission(found_step.mission_id);
  return true;
end
$$;

comment on function ops_retry_step(bigint) is
  'See ops_retry. The mission is open again and the steps that this one''s end had cancelled wait again.';

create or replace function ops_reopen_mission(mission_id bigint)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  update ops_missions as mission
  set
    status = case when mission.started_at is null then 'approved' else 'running' end,
    completed_at = null,
    failure_reason = null
  where mission.id = ops_reopen_mission.mission_id
    and mission.status in ('failed', 'cancelled');
  if ops_reopen_mission.mission_id is not null then
    perform ops_roll_up(array[ops_reopen_mission.mission_id]);
  end if;
end
$$;

comment on function ops_reopen_mission(bigint) is
  'The mission, locked by the caller, is open again and its first unfinished step queued.';

create or replace function ops_retry_mission(mission_id bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_mission ops_missions;
  moved integer;
begin
  select *
  into found_mission
  from ops_missions as mission
  where mission.id = ops_retry_mission.mission_id
  for no key update;
  if not found then
    perform ops_unknown('mission', ops_retry_mission.mission_id);
  end if;
  if found_mission.status in ('failed', 'cancelled') then
    perform set_config('ops.retrying', 'on', true);
    update ops_mission_steps as step
    set
      status = 'waiting',
      held_at = case when step.hold is not null then ops_now() end,
      attempt = 0,
      crashes = 0,
      run_at = ops_now(),
      started_at = null,
      completed_at = null,
      claimed_by = null,
      claim_token = null,
      ended_by = null,
      failure_reason = null,
      result = null,
      simulated = found_mission.simulated
    where step.mission_id = ops_retry_mission.mission_id
      and step.status in ('failed', 'cancelled');
    perform set_config('ops.retrying', '', true);
    perform ops_reopen_mission(ops_retry_mission.mission_id);
    return true;
  end if;
  update ops_mission_steps as step
  set run_at = ops_now()
  where step.mission_id = ops_retry_mission.mission_id
    and step.status = 'queued'
    and step.run_at > ops_now();
  get diagnostics moved = row_count;
  return moved > 0;
end
$$;

comment on function ops_retry_mission(bigint) is
  'See ops_retry. What had failed or been cancelled runs again, what had succeeded is kept.';

create or replace function ops_retry_roundtable(roundtable_id bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_row ops_roundtable_queue;
begin
  select * into found_row from ops_roundtable_queue as row where row.id = roundtable_id for no key update;
  if not found then
    perform ops_unknown('roundtable', roundtable_id);
  end if;
  if found_row.status = 'queued' and found_row.run_at > ops_now() then
    update ops_roundtable_queue as row set run_at = ops_now() where row.id = roundtable_id;
    return true;
  end if;
  if found_row.status not in ('failed', 'cancelled') then
    return false;
  end if;
  perform set_config('ops.retrying', 'on', true);
  update ops_roundtable_queue as row
  set
    status = 'queued',
    attempt = 0,
    crashes = 0,
    run_at = ops_now(),
    started_at = null,
    completed_at = null,
    claimed_by = null,
    claim_token = null,
    failure_reason = null,
    result = null,
    simulated = false
  where row.id = roundtable_id;
  perform set_config('ops.retrying', '', true);
  return true;
end
$$;

comment on function ops_retry_roundtable(bigint) is 'See ops_retry.';

create or replace function ops_retry_initiative(initiative_id bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_row ops_initiative_queue;
begin
  select * into found_row from ops_initiative_queue as row where row.id = initiative_id for no key update;
  if not found then
    perform ops_unknown('initiative', initiative_id);
  end if;
  if found_row.status = 'queued' and found_row.run_at > ops_now() then
    update ops_initiative_queue as row set run_at = ops_now() where row.id = initiative_id;
    return true;
  end if;
  if found_row.status not in ('failed', 'cancelled') then
    return false;
  end if;
  perform set_config('ops.retrying', 'on', true);
  update ops_initiative_queue as row
  set
    status = 'queued',
    attempt = 0,
    crashes = 0,
    run_at = ops_now(),
    started_at = null,
    completed_at = null,
    claimed_by = null,
    claim_token = null,
    failure_reason = null,
    result = null,
    simulated = false
  where row.id = initiative_id;
  perform set_config('ops.retrying', '', true);
  return true;
end
$$;

comment on function ops_retry_initiative(bigint) is 'See ops_retry.';
