-- Missions: step order, roll-up, the way in.
--
-- Lock order, here and everywhere: missions by id (for no key update), then their steps by id.
-- Whoever decides about a mission's steps holds the mission's row lock, taken in a statement *before* the one that looks:
-- in one statement two completers each see the other's step still running, and nobody rolls the mission up.

create or replace function ops_roll_up(mission_ids bigint[])
returns void
language plpgsql
set search_path = public, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  stopped_handlers bigint;
begin
  with state as (
    select
      mission.id,
      bool_or(step.status = 'failed') as failed,
      bool_or(step.status = 'cancelled') as cancelled,
      bool_or(step.status in ('waiting', 'queued', 'running')) as unfinished,
      bool_or(step.status in ('queued', 'running')) as begun,
      min(step.started_at) as started_at
    from (select distinct unnest(mission_ids) as id) as mission
    join ops_mission_steps as step on step.mission_id = mission.id
    group by mission.id
  ),
  culprit as (
    select state.id as mission_id, first.id as step_id, first.seq, first.status, first.failure_reason
    from state
    cross join lateral (
      select step.id, step.seq, step.status, step.failure_reason
      from ops_mission_steps as step
      where step.mission_id = state.id
        and step.status in ('failed', 'cancelled')
        and step.ended_by is null
      order by step.status desc, step.seq, step.id
      limit 1
    ) as first
    where state.failed or state.cancelled
  ),
  ended as (
    update ops_missions as mission
    set
      status = case when state.failed then 'failed' when state.cancelled then 'cancelled' else 'succeeded' end,
      failure_reason = culprit.failure_reason,
      started_at = coalesce(mission.started_at, state.started_at),
      completed_at = ops_now()
    from state
    left join culprit on culprit.mission_id = state.id
    where mission.id = state.id
      and mission.status in ('approved', 'running')
      and (state.failed or state.cancelled or not state.unfinished)
    returning
      mission.id,
      mission.status,
      mission.title,
      mission.failure_reason,
      mission.root_id,
      mission.depth,
      culprit.step_id
  ),
  told as (
    insert into ops_agent_events (kind, title, summary, tags, metadata, root_id, depth)
    select
      'mission_' || ended.status,
      left(ended.title, 500),
      left(ended.failure_reason, 4000),
      array['mission'],
      jsonb_build_object('mission_id', ended.id, 'step_id', ended.step_id),
      ended.root_id,
      ended.depth
    from ended
  ),
  rest as (
    update ops_mission_steps as step
    set
      status = 'cancelled',
      completed_at = ops_now(),
      ended_by = ended.step_id,
      claim_token = null,
      failure_reason = 'the mission ' || ended.status || ' at step ' || culprit.seq
    from ended
    join culprit on culprit.mission_id = ended.id
    cross join lateral (
      select other.id, other.status
      from ops_mission_steps as other
      where other.mission_id = ended.id
        and other.status in ('waiting', 'queued', 'running')
    ) as before
    where step.id = before.id
    returning step.id, before.status
  ),
  stopped as (
    select pg_notify('ops_control', 'cancel:step:' || rest.id)
    from rest
    -- One that was queued may have been claimed since this statement's snapshot.
    where rest.status <> 'waiting'
  ),
  rule as materialized (
    select ops_held_kinds() as kinds
  ),
  promoted as (
    update ops_mission_steps as step
    set
      status = case when judged.held then 'waiting' else 'queued' end,
      hold = case when judged.held then 'approval' end,
      held_at = case when judged.held then ops_now() else step.held_at end
    from state
    cross join lateral (
      select next.id, next.status, next.hold, next.kind, next.released_at
      from ops_mission_steps as next
      where next.mission_id = state.id
        and next.status in ('waiting', 'queued', 'running')
      order by next.seq, next.id
      limit 1
    ) as head
    cross join rule
    cross join lateral (
      select
        head.released_at is null
        and (
          rule.kinds ? head.kind
          or (
            rule.kinds ? 'external'
            and exists (select from ops_step_kinds as known where known.kind = head.kind and known.external)
          )
        ) as held
    ) as judged
    where state.unfinished
      -- One that comes back for another attempt goes before a step put in front of it meanwhile: never two at once.
      and not state.begun
      and not state.failed
      and not state.cancelled
      and step.id = head.id
      and head.status = 'waiting'
      and head.hold is null
    returning step.id, step.mission_id, step.kind, step.agent_id, step.hold, step.root_id, step.depth
  ),
  held as (
    insert into ops_agent_events (kind, agent_id, title, tags, metadata, root_id, depth)
    select
      'step_held',
      promoted.agent_id,
      promoted.kind,
      array['step', promoted.kind],
      jsonb_build_object('step_id', promoted.id, 'mission_id', promoted.mission_id),
      promoted.root_id,
      promoted.depth
    from promoted
    where promoted.hold is not null
  )
  select count(*)
  into stopped_handlers
  from stopped;
end
$$;

comment on function ops_roll_up(bigint[]) is
  'The missions are where their steps say: ended and the rest cancelled, or the first unfinished step queued, or held when a person'
  ' wants to see its kind first.'
  ' The caller has locked them in an earlier statement.';

create or replace function ops_place_step()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  mission_status text;
  head ops_mission_steps;
begin
  select mission.status
  into mission_status
  from ops_missions as mission
  where mission.id = new.mission_id
  for no key update;
  if mission_status not in ('approved', 'running') then
    raise exception using
      errcode = 'OP006',
      message = format('mission %s is already %s: insert the step into a new mission', new.mission_id, mission_status);
  end if;
  if (select count(*) from ops_mission_steps as step where step.mission_id = new.mission_id) > 1000 then
    raise exception using
      errcode = 'OP006',
      message = format('mission %s would have more than 1000 steps: split it into several missions', new.mission_id);
  end if;
  -- A step that has not begun waits again when one is put before it, and what a person allowed was allowed without that one.
  update ops_mission_steps as step
  set status = 'waiting', hold = null, held_at = null, released_at = null
  where step.mission_id = new.mission_id
    and (step.status = 'queued' or (step.status = 'waiting' and step.hold is not null and ops_must_be_held(step)))
    and step.attempt = 0
    and (step.seq, step.id) > (new.seq, new.id);
  update ops_mission_steps as step
  set
    status = case when ops_must_be_held(step) then 'waiting' else 'queued' end,
    hold = case when ops_must_be_held(step) then 'approval' end,
    held_at = case when ops_must_be_held(step) then ops_now() end
  where step.status = 'waiting'
    and step.hold is null
    and step.id = (
      select next.id
      from ops_mission_steps as next
      where next.mission_id = new.mission_id
        and next.status in ('waiting', 'queued', 'running')
      order by next.seq, next.id
      limit 1
    )
    and not exists (
      select
      from ops_mission_steps as begun
      where begun.mission_id = new.mission_id
        and begun.status in ('queued', 'running')
    )
  returning * into head;
  if head.hold is not null then
    perform ops_tell_of_step('step_held', head, null);
  end if;
  return null;
end
$$;

comment on function ops_place_step() is
  'Trigger: of a mission''s steps the first unfinished one is queued, the others wait, in whatever order they were inserted.';

create or replace function ops_step_is_born_waiting()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  mission record;
begin
  new.status := 'waiting';
  new.released_at := null;
  select parent.root_id, parent.depth, parent.simulated
  into mission
  from ops_missions as parent
  where parent.id = new.mission_id;
  if found then
    new.root_id := mission.root_id;
    new.depth := mission.depth;
    new.simulated := new.simulated or mission.simulated;
  end if;
  return new;
end
$$;

comment on function ops_step_is_born_waiting() is
  'Trigger: a step of a mission starts as waiting whatever the insert says, with its mission''s chain; ops_place_step queues the first.';

create or replace function ops_check_steps(steps jsonb, at_most integer default 1000)
returns void
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  element jsonb;
  place integer := 0;
  unknown text;
begin
  if steps is null or jsonb_typeof(steps) <> 'array' then
    raise exception using errcode = 'OP005', message = 'steps must be a JSON array of objects like {"kind": "research", "payload": {}}';
  end if;
  if jsonb_array_length(steps) not between 1 and at_most then
    raise exception using
      errcode = 'OP005',
      message = format('steps must hold 1 to %s elements, not %s', at_most, jsonb_array_length(steps));
  end if;
  for element in select value from jsonb_array_elements(steps) loop
    place := place + 1;
    if jsonb_typeof(element) <> 'object' then
      raise exception using errcode = 'OP005', message = format('step %s must be an object with a kind', place);
    end if;
    select string_agg(key, ', ' order by key)
    into unknown
    from jsonb_object_keys(element) as key
    where key not in ('kind', 'payload', 'agent_id', 'max_attempts', 'priority');
    if unknown is not null then
      raise exception using
        errcode = 'OP005',
        message = format('step %s has unknown keys: %s; known are kind, payload, agent_id, max_attempts, priority', place, unknown);
    end if;
    if jsonb_typeof(element -> 'kind') is distinct from 'string' then
      raise exception using errcode = 'OP005', message = format('step %s needs a kind, a string', place);
    end if;
    if not exists (select from ops_step_kinds as known where known.kind = element ->> 'kind') then
      raise exception using
        errcode = 'OP003',
        message = format(
          'step %s has the unknown kind %s; known are %s',
          place,
          left(element ->> 'kind', 100),
          (select coalesce(string_agg(known.kind, ', ' order by known.kind), 'none yet') from ops_step_kinds as known)
        );
    end if;
    if jsonb_typeof(element -> 'payload') is distinct from 'object' and element ? 'payload' then
      raise exception using errcode = 'OP005', message = format('the payload of step %s must be an object', place);
    end if;
    if element ? 'agent_id' and element ->> 'agent_id' is not null
      and not exists (select from ops_agents as agent where agent.id = element ->> 'agent_id')
    then
      raise exception using
        errcode = 'OP003',
        message = format(
          'step %s names the unknown agent %s; known are %s',
          place,
          left(element ->> 'agent_id', 100),
          (select coalesce(string_agg(agent.id, ', ' order by agent.id), 'none') from ops_agents as agent)
        );
    end if;
    if element ? 'max_attempts' and (element -> 'max_attempts')::text !~ '^([1-9][0-9]?|100)$' then
      raise exception using errcode = 'OP005', message = format('max_attempts of step %s must be a whole number from 1 to 100', place);
    end if;
    if element ? 'priority' and (element -> 'priority')::text !~ '^([1-9]|10)$' then
      raise exception using errcode = 'OP005', message = format('priority of step %s must be a whole number from 1 to 10', place);
    end if;
  end loop;
end
$$;

comment on function ops_check_steps(jsonb, integer) is
  'Returns when every element is {kind, payload?, agent_id?, max_attempts?, priority?} of known kind and agent; else raises OP003 or OP005.';

create or replace function ops_add_steps(
  mission_id bigint,
  steps jsonb,
  priority integer,
  agent_id text default null
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into ops_mission_steps (mission_id, seq, kind, agent_id, payload, max_attempts, priority)
  select
    ops_add_steps.mission_id,
    element.place,
    element.value ->> 'kind',
    coalesce(element.value ->> 'agent_id', ops_add_steps.agent_id),
    coalesce(element.value -> 'payload', '{}'),
    coalesce((element.value ->> 'max_attempts')::smallint, 3),
    coalesce((element.value ->> 'priority')::smallint, ops_add_steps.priority)
  from jsonb_array_elements(ops_add_steps.steps) with ordinality as element (value, place)
  order by element.place;
end
$$;

comment on function ops_add_steps(bigint, jsonb, integer, text) is
  'The mission, new, has the steps, checked before; those that name no agent are for the given one.';

create or replace function ops_enqueue_mission(
  title text,
  steps jsonb,
  created_by text default null,
  priority integer default 5
)
returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  new_id bigint;
begin
  if coalesce(trim(title), '') = '' then
    raise exception using errcode = 'OP004', message = 'a mission needs a title';
  end if;
  if priority is null or priority not between 1 and 10 then
    raise exception using errcode = 'OP004', message = 'priority must be a whole number from 1 to 10';
  end if;
  perform ops_check_steps(steps);
  insert into ops_missions (title, created_by, priority)
  values (ops_enqueue_mission.title, ops_enqueue_mission.created_by, ops_enqueue_mission.priority)
  returning id into new_id;
  perform ops_add_steps(new_id, steps, priority);
  return new_id;
end
$$;

comment on function ops_enqueue_mission(text, jsonb, text, integer) is
  'A new mission with its steps, the first of them queued; returns its id.';
