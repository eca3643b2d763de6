-- Held steps: what leaves the house stops when its turn has come, and goes on when a person says so.
-- Lock order as in missions.sql: the mission, then the step.

create or replace function ops_held_kinds()
returns jsonb
language plpgsql
stable
set search_path = public, pg_temp
as $$
begin
  -- Without the policy the rule it began with holds.
  return coalesce(
    (
      select policy.value
      from ops_policy as policy
      where policy.key = 'hold_step_kinds'
        and jsonb_typeof(policy.value) = 'array'
    ),
    '["webhook", "external"]'
  );
end
$$;

comment on function ops_held_kinds() is 'The kinds that stop for approval, as an array; the word external stands for every external one.';

create or replace function ops_must_be_held(step ops_mission_steps)
returns boolean
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  kinds jsonb;
begin
  if step.released_at is not null then
    return false;
  end if;
  kinds := ops_held_kinds();
  return kinds ? step.kind
    or (
      kinds ? 'external'
      and exists (select from ops_step_kinds as known where known.kind = step.kind and known.external)
    );
end
$$;

comment on function ops_must_be_held(ops_mission_steps) is 'True for a step of a held kind that nobody has released.';

create or replace function ops_single_step_is_held()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  held boolean;
begin
  -- ops_must_be_held in one query: every single step passes here, and a call costs more than the look.
  select new.hold is not null or rule.kinds ? new.kind or (rule.kinds ? 'external' and coalesce(known.external, false))
  into held
  from (
    select coalesce(
      (select policy.value from ops_policy as policy where policy.key = 'hold_step_kinds' and jsonb_typeof(policy.value) = 'array'),
      '["webhook", "external"]'
    ) as kinds
  ) as rule
  left join ops_step_kinds as known
    on known.kind = new.kind;
  new.released_at := null;
  if held and new.status = 'queued' then
    new.status := 'waiting';
    new.hold := 'approval';
    new.held_at := ops_now();
  end if;
  return new;
end
$$;

comment on function ops_single_step_is_held() is
  'Trigger: a single step of a held kind waits for approval whatever the insert says.';

create or replace function ops_single_step_was_held()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform ops_tell_of_step('step_held', new, null);
  return null;
end
$$;

comment on function ops_single_step_was_held() is 'Trigger: an event tells that a single step waits for approval.';

create or replace function ops_tell_of_step(kind text, step ops_mission_steps, summary text, more jsonb default '{}')
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  values (
    ops_tell_of_step.kind,
    step.agent_id,
    step.kind,
    left(ops_tell_of_step.summary, 4000),
    array['step', step.kind],
    jsonb_build_object('step_id', step.id, 'mission_id', step.mission_id) || more,
    step.root_id,
    step.depth
  );
end
$$;

comment on function ops_tell_of_step(text, ops_mission_steps, text, jsonb) is 'An event about the step is written.';

create or replace function ops_held_step(step_id bigint)
returns ops_mission_steps
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps := ops_locked_step(step_id);
begin
  if found_step.status = 'waiting' and found_step.hold is not null then
    return found_step;
  end if;
  if found_step.released_at is not null or found_step.hold is not null then
    raise exception using
      errcode = 'OP009',
      message = format(
        'step %s is already decided: it is %s%s',
        step_id,
        found_step.status,
        coalesce(', released by ' || found_step.released_by, '')
      );
  end if;
  raise exception using
    errcode = 'OP008',
    message = format('step %s is %s and not held: there is nothing to decide', step_id, found_step.status);
end
$$;

comment on function ops_held_step(bigint) is
  'The step, locked with its mission, while it is held. Raises OP001, OP008 when it was never held, OP009 when that is decided.';

create or replace function ops_release(step_id bigint, decided_by text, payload jsonb default null)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps;
begin
  perform ops_check_decider(decided_by);
  if jsonb_typeof(payload) <> 'object' then
    raise exception using errcode = 'OP004', message = 'the payload of a step must be a JSON object';
  end if;
  found_step := ops_held_step(step_id);
  update ops_mission_steps as step
  set
    status = case when step.mission_id is null then 'queued' else 'waiting' end,
    hold = null,
    released_at = ops_now(),
    released_by = trim(ops_release.decided_by),
    payload = coalesce(ops_release.payload, step.payload),
    payload_asked = case
      when ops_release.payload is null or ops_release.payload = step.payload then step.payload_asked
      else coalesce(step.payload_asked, step.payload)
    end
  where step.id = step_id
  returning * into found_step;
  perform ops_tell_of_step(
    'step_released',
    found_step,
    'released by ' || found_step.released_by || case when found_step.payload_asked is null then '' else ', with another payload' end,
    jsonb_build_object('decided_by', found_step.released_by)
  );
  if found_step.mission_id is not null then
    perform ops_roll_up(array[found_step.mission_id]);
  end if;
end
$$;

comment on function ops_release(bigint, text, jsonb) is
  'The held step goes on, with the payload given if any; the one asked for is kept in payload_asked. Raises OP001, OP004, OP008, OP009.';

create or replace function ops_turn_down_step(held ops_mission_steps, kind text, decided_by text, reason text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform ops_tell_of_step(kind, held, reason, jsonb_build_object('decided_by', decided_by));
  perform ops_cancel_step(held.id, left(reason, 4000));
end
$$;

comment on function ops_turn_down_step(ops_mission_steps, text, text, text) is
  'The held step, locked by the caller, is cancelled with its mission, for that reason.';

create or replace function ops_reject_step(step_id bigint, decided_by text, reason text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps;
  proposer text;
  title text;
begin
  perform ops_check_decider(decided_by);
  if coalesce(trim(reason), '') = '' then
    raise exception using errcode = 'OP004', message = 'a rejection needs a reason: it becomes a lesson of the proposer';
  end if;
  found_step := ops_held_step(step_id);
  perform ops_turn_down_step(found_step, 'step_rejected', trim(decided_by), 'rejected: ' || trim(reason));
  select proposal.agent_id, mission.title || ', ' || found_step.kind
  into proposer, title
  from ops_missions as mission
  left join ops_mission_proposals as proposal
    on proposal.id = mission.proposal_id
  where mission.id = found_step.mission_id;
  perform ops_learn_from_rejection(
    coalesce(proposer, found_step.agent_id),
    coalesce(title, found_step.kind),
    reason,
    'step:' || step_id,
    found_step.simulated
  );
end
$$;

comment on function ops_reject_step(bigint, text, text) is
  'The held step is cancelled, with its mission, and the reason a lesson of the proposer. Raises OP001, OP004, OP008, OP009.';

create or replace function ops_expire_approvals()
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  late_proposal ops_mission_proposals;
  late_step bigint;
  held ops_mission_steps;
  expired bigint := 0;
begin
  for late_proposal in
    select *
    from ops_mission_proposals as proposal
    where proposal.status = 'pending'
      and proposal.expires_at <= ops_now()
    order by proposal.id
    limit 500
    for update skip locked
  loop
    perform ops_turn_down(late_proposal, 'expired', null, 'expired: nobody decided in time');
    expired := expired + 1;
  end loop;
  -- Missions before steps, and both by id.
  for late_step in
    select step.id
    from ops_mission_steps as step
    where step.status = 'waiting'
      and step.hold is not null
      and step.held_at <= ops_now() - ops_approval_time()
    order by step.mission_id nulls last, step.id
    limit 500
  loop
    begin
      held := ops_held_step(late_step);
    exception
      when sqlstate 'OP001' or sqlstate 'OP008' or sqlstate 'OP009' then
        continue;  -- somebody decided meanwhile
    end;
    perform ops_turn_down_step(held, 'step_expired', null, 'expired: nobody released it in time');
    expired := expired + 1;
  end loop;
  return expired;
end
$$;

comment on function ops_expire_approvals() is
  'Pending proposals and held steps that nobody decided about in time are rejected and cancelled, at most 500 of each; returns how many.';
