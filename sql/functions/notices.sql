-- Telling people: events become notices, a step of kind notify takes those of a topic along in one message.
--
-- The trigger only inserts, so no writer waits for another. Which notices a step takes is decided under the topic's clock row,
-- in a short transaction of its own; taken once they stay that step's, and its retries send the same again.

create or replace function ops_notice_topic(kind text)
returns text
language sql
immutable
set search_path = public, pg_temp
as $$
  select case kind
    when 'proposal_created' then 'approval_waiting'
    when 'step_held' then 'approval_waiting'
    when 'budget_warned' then 'budget_80'
    when 'budget_spent' then 'budget_out'
    when 'breaker_opened' then 'breaker_open'
    when 'mission_failed' then 'mission_failed'
    when 'reactor_gone' then 'reactor_gone'
  end;
$$;

comment on function ops_notice_topic(text) is 'What people are told about an event of that kind as, null: they are not.';

create or replace function ops_events_to_tell()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform
  from arrived
  where arrived.kind in (
    'proposal_created', 'step_held', 'budget_warned', 'budget_spent', 'breaker_opened', 'mission_failed', 'reactor_gone'
  )
    -- That a notice itself waits for a person cannot be told by another one.
    and not (arrived.kind = 'step_held' and arrived.title = 'notify')
  limit 1;
  if not found then
    return null;
  end if;
  with wanted as (
    select policy.value -> 'events' as topics
    from ops_policy as policy
    where policy.key = 'notify'
      and policy.value ->> 'url' <> ''
  ), noticed as (
    insert into ops_notices (topic, event_id, title, body, simulated, created_at)
    select
      ops_notice_topic(arrived.kind),
      arrived.id,
      left(arrived.title, 500),
      left(arrived.summary, 4000),
      ops_is_simulated_by_its_facts(arrived.metadata),
      ops_now()
    from arrived
    join wanted
      on wanted.topics ? ops_notice_topic(arrived.kind)
    where not (arrived.kind = 'step_held' and arrived.title = 'notify')
    returning topic
  )
  insert into ops_mission_steps (kind, payload, max_attempts)
  select 'notify', jsonb_build_object('topic', noticed.topic), 8
  from noticed
  group by noticed.topic
  -- A step that sleeps until later takes this notice along; one that is due may have looked already.
  having not exists (
    select
    from ops_mission_steps as step
    where step.kind = 'notify'
      and step.status = 'queued'
      and step.run_at > ops_now() + interval '10 seconds'
      and step.payload ->> 'topic' = noticed.topic
  );
  return null;
end
$$;

comment on function ops_events_to_tell() is 'Trigger, once a statement: events people want to hear of are notices, and a step will tell them.';

create or replace function ops_is_simulated_by_its_facts(metadata jsonb)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select coalesce(
    (
      select bool_or(thing.simulated)
      from (
        select proposal.simulated
        from ops_mission_proposals as proposal
        where proposal.id = substring(metadata ->> 'proposal_id' from '^[0-9]{1,18}$')::bigint
        union all
        select mission.simulated
        from ops_missions as mission
        where mission.id = substring(metadata ->> 'mission_id' from '^[0-9]{1,18}$')::bigint
        union all
        select step.simulated
        from ops_mission_steps as step
        where step.mission_id = substring(metadata ->> 'mission_id' from '^[0-9]{1,18}$')::bigint
        union all
        select step.simulated
        from ops_mission_steps as step
        where step.id = substring(metadata ->> 'step_id' from '^[0-9]{1,18}$')::bigint
      ) as thing
    ),
    false
  );
$$;

comment on function ops_is_simulated_by_its_facts(jsonb) is 'Whether a stand-in is behind the proposal, mission or step an event tells of.';

create or replace function ops_worker_was_lost()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  values (
    'reactor_gone',
    format('reactor %s, process %s, is gone', left(new.hostname, 253), new.pid),
    'it stopped answering without saying goodbye; its work was given back',
    '{reactor}',
    jsonb_build_object('worker_id', new.id)
  );
  return null;
end
$$;

comment on function ops_worker_was_lost() is 'Trigger: an event tells that a reactor was found dead.';

create or replace function ops_quiet_for_s(hours jsonb)
returns double precision
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  clock constant timestamp := ops_now() at time zone ops_company_timezone();
  begins constant time := nullif(hours ->> 'from', '')::time;
  ends constant time := nullif(hours ->> 'to', '')::time;
  until timestamp;
begin
  if begins is null or ends is null or begins = ends then
    return 0;
  end if;
  if begins < ends and (clock::time < begins or clock::time >= ends)
    or begins > ends and clock::time < begins and clock::time >= ends then
    return 0;
  end if;
  until := clock::date + ends;
  if until <= clock then
    until := until + interval '1 day';
  end if;
  return greatest(extract(epoch from until at time zone ops_company_timezone() - ops_now()), 1);
end
$$;

comment on function ops_quiet_for_s(jsonb) is 'For how many seconds it is quiet now, by {from, to} of the company''s clock; 0: it is not.';

create or replace function ops_take_notices(topic text, step_id bigint)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  rule jsonb;
  told_at timestamptz;
  wait_s double precision := 0;
begin
  select policy.value into rule from ops_policy as policy where policy.key = 'notify';
  if coalesce(rule ->> 'url', '') = '' then
    update ops_notices as notice
    set step_id = ops_take_notices.step_id
    where notice.topic = ops_take_notices.topic
      and notice.step_id is null;
    return jsonb_build_object('off', true);
  end if;
  if not exists (select from ops_notices as notice where notice.step_id = ops_take_notices.step_id) then
    insert into ops_notice_clocks (topic, last_at)
    values (ops_take_notices.topic, '-infinity')
    on conflict on constraint ops_notice_clocks_pkey do nothing;
    select clock.last_at into told_at from ops_notice_clocks as clock where clock.topic = ops_take_notices.topic for update;
    perform from ops_notices as notice where notice.topic = ops_take_notices.topic and notice.step_id is null limit 1;
    if not found then
      return jsonb_build_object('notices', '[]'::jsonb);
    end if;
    if ops_take_notices.topic not in ('test', 'digest') then
      wait_s := greatest(
        ops_quiet_for_s(rule -> 'quiet_hours'),
        case
          when isfinite(told_at)
          then extract(epoch from told_at - ops_now()) + coalesce((rule ->> 'min_interval_s')::double precision, 300)
          else 0
        end
      );
    end if;
    if wait_s > 0 then
      return jsonb_build_object('wait_s', wait_s);
    end if;
    update ops_notices as notice
    set step_id = ops_take_notices.step_id
    where notice.id in (
      select fresh.id
      from ops_notices as fresh
      where fresh.topic = ops_take_notices.topic
        and fresh.step_id is null
      order by fresh.id
      limit 500
    );
    update ops_notice_clocks as clock
    set last_at = ops_now()
    where clock.topic = ops_take_notices.topic;
  end if;
  return jsonb_build_object(
    'url', rule ->> 'url',
    'format', coalesce(rule ->> 'format', 'json'),
    'notices', (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'title', notice.title,
            'body', notice.body,
            'event_id', notice.event_id,
            'simulated', notice.simulated,
            'at', notice.created_at
          )
          order by notice.id
        ),
        '[]'
      )
      from ops_notices as notice
      where notice.step_id = ops_take_notices.step_id
    )
  );
end
$$;

comment on function ops_take_notices(text, bigint) is
  'The step''s notices, its own from now on, with the URL and the format; or wait_s, when it is too early; or off, when nobody is to be told.';

create or replace function ops_notify_test()
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  new_id bigint;
begin
  if not exists (select from ops_policy as policy where policy.key = 'notify' and policy.value ->> 'url' <> '') then
    raise exception using
      errcode = 'OP004',
      message = 'policy notify has no url: voxyz-reactor policy notify ''{"url": "https://…", "format": "slack"}''';
  end if;
  insert into ops_notices (topic, title, body, created_at)
  values ('test', 'voxyz-reactor can reach you here', 'This is what a notice looks like.', ops_now());
  insert into ops_mission_steps (kind, payload, max_attempts, priority)
  values ('notify', '{"topic": "test"}', 1, 10)
  returning id into new_id;
  return new_id;
end
$$;

comment on function ops_notify_test() is 'A test notice is on its way, past quiet hours and intervals; returns its step. Raises OP004: no url.';
