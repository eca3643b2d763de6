-- Calling rows off. Lock order as in missions.sql: the mission, then its steps by id.

create or replace function ops_cancel(what text, id bigint)
returns boolean
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  case what
    when 'step' then return ops_cancel_step(id);
    when 'mission' then return ops_cancel_mission(id);
    when 'roundtable' then return ops_cancel_roundtable(id);
    when 'initiative' then return ops_cancel_initiative(id);
    when 'proposal' then return ops_cancel_proposal(id);
    else perform ops_unknown(what, id);
  end case;
  return false;
end
$$;

comment on function ops_cancel(text, bigint) is
  'True when the waiting, queued or running row is now cancelled, its token cleared and its handler told to stop;'
  ' false for a row that had ended. Raises OP001, OP002.';

create or replace function ops_cancel_step(step_id bigint, reason text default 'cancelled by hand')
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps := ops_locked_step(step_id);
begin
  if found_step.status not in ('waiting', 'queued', 'running') then
    return false;
  end if;
  update ops_mission_steps as step
  set
    status = 'cancelled',
    completed_at = ops_now(),
    claim_token = null,
    failure_reason = reason
  where step.id = step_id;
  perform ops_tell_of_step('step_cancelled', found_step, reason);
  if found_step.status = 'running' then
    perform pg_notify('ops_control', 'cancel:step:' || step_id);
  end if;
  if found_step.mission_id is not null then
    perform ops_roll_up(array[found_step.mission_id]);
  end if;
  return true;
end
$$;

comment on function ops_cancel_step(bigint, text) is
  'See ops_cancel. Its mission and the rest of its steps are cancelled with it.';

create or replace function ops_cancel_mission(mission_id bigint, reason text default 'cancelled by hand')
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_mission ops_missions;
  stopped_handlers bigint;
begin
  select *
  into found_mission
  from ops_missions as mission
  where mission.id = ops_cancel_mission.mission_id
  for no key update;
  if not found then
    perform ops_unknown('mission', ops_cancel_mission.mission_id);
  end if;
  if found_mission.status not in ('approved', 'running') then
    return false;
  end if;
  with before as (
    select step.id, step.status
    from ops_mission_steps as step
    where step.mission_id = ops_cancel_mission.mission_id
      and step.status in ('waiting', 'queued', 'running')
    order by step.id
    for no key update
  ),
  stopped as (
    update ops_mission_steps as step
    set
      status = 'cancelled',
      completed_at = ops_now(),
      claim_token = null,
      failure_reason = reason
    from before
    where step.id = before.id
    returning step.id, before.status
  )
  select count(pg_notify('ops_control', 'cancel:step:' || stopped.id)::text)
  into stopped_handlers
  from stopped
  where stopped.status = 'running';
  update ops_missions as mission
  set status = 'cancelled', completed_at = ops_now(), failure_reason = reason
  where mission.id = ops_cancel_mission.mission_id;
  insert into ops_agent_events (kind, title, summary, tags, metadata, root_id, depth)
  values (
    'mission_cancelled',
    found_mission.title,
    left(reason, 4000),
    array['mission'],
    jsonb_build_object('mission_id', found_mission.id),
    found_mission.root_id,
    found_mission.depth
  );
  return true;
end
$$;

comment on function ops_cancel_mission(bigint, text) is 'See ops_cancel.';

create or replace function ops_cancel_roundtable(roundtable_id bigint, reason text default 'cancelled by hand')
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
  if found_row.status not in ('waiting', 'queued', 'running') then
    return false;
  end if;
  update ops_roundtable_queue as row
  set status = 'cancelled', completed_at = ops_now(), claim_token = null, failure_reason = reason
  where row.id = roundtable_id;
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  values (
    'roundtable_cancelled',
    found_row.format,
    left(reason, 4000),
    array['roundtable', found_row.format],
    jsonb_build_object('roundtable_id', roundtable_id)
  );
  if found_row.status = 'running' then
    perform pg_notify('ops_control', 'cancel:roundtable:' || roundtable_id);
  end if;
  return true;
end
$$;

comment on function ops_cancel_roundtable(bigint, text) is 'See ops_cancel.';

create or replace function ops_cancel_initiative(initiative_id bigint, reason text default 'cancelled by hand')
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
  if found_row.status not in ('waiting', 'queued', 'running') then
    return false;
  end if;
  update ops_initiative_queue as row
  set status = 'cancelled', completed_at = ops_now(), claim_token = null, failure_reason = reason
  where row.id = initiative_id;
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  values (
    'initiative_cancelled',
    found_row.agent_id,
    'initiative',
    left(reason, 4000),
    array['initiative'],
    jsonb_build_object('initiative_id', initiative_id)
  );
  if found_row.status = 'running' then
    perform pg_notify('ops_control', 'cancel:initiative:' || initiative_id);
  end if;
  return true;
end
$$;

comment on function ops_cancel_initiative(bigint, text) is 'See ops_cancel.';
