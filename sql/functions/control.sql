-- The kill switch.

create or replace function ops_named_queues(queue text)
returns text[]
language plpgsql
immutable
set search_path = public, pg_temp
as $$
begin
  if queue = 'all' then
    return array['mission', 'roundtable', 'initiative'];
  end if;
  if queue in ('mission', 'roundtable', 'initiative') then
    return array[queue];
  end if;
  raise exception using
    errcode = 'OP002',
    message = format('unknown queue %s; known are mission, roundtable, initiative, all', coalesce(quote_literal(queue), 'null'));
end
$$;

comment on function ops_named_queues(text) is 'The queues that a name stands for; raises OP002.';

create or replace function ops_by()
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select coalesce(left(nullif(trim(current_setting('ops.by', true)), ''), 200), session_user::text);
$$;

comment on function ops_by() is
  'Who does this: whom `set local ops.by` names, as programs do that serve several people, else the role of the session.';

create or replace function ops_pause(queue text default 'all', reason text default null)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  with flagged as (
    insert into ops_pauses (queue, reason, paused_by)
    select named, left(ops_pause.reason, 500), ops_by()
    from unnest(ops_named_queues(ops_pause.queue)) as named
    order by named
    on conflict on constraint ops_pauses_pkey do nothing
    returning ops_pauses.queue
  )
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    'queue_paused',
    flagged.queue,
    left(ops_pause.reason, 500),
    array['control'],
    jsonb_build_object('queue', flagged.queue, 'by', ops_by())
  from flagged;
  perform pg_notify('ops_control', 'pause');
end
$$;

comment on function ops_pause(text, text) is
  'The queue takes no row from now on, on every reactor, also after restarts; pausing twice is one pause. Raises OP002.';

create or replace function ops_resume(queue text default 'all')
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  with lifted as (
    delete from ops_pauses as pause
    where pause.queue = any (ops_named_queues(ops_resume.queue))
    returning pause.queue
  )
  insert into ops_agent_events (kind, title, tags, metadata)
  select
    'queue_resumed',
    lifted.queue,
    array['control'],
    jsonb_build_object('queue', lifted.queue, 'by', ops_by())
  from lifted;
  perform pg_notify('ops_control', 'pause');
  perform ops_ring_all();
end
$$;

comment on function ops_resume(text) is
  'The queue takes rows again; every reactor looks at once. Raises OP002.';
