-- How many rows of a queue run at once over all reactors: policy queue_limits.
--
-- A reactor that knows of a limit claims in one transaction: ops_slots_free, the claim, ops_hold_slots. The first takes one
-- advisory lock (1987014780, queue number) until the commit, so claims of a limited queue come one after another and the count
-- is exact; without a limit nobody calls any of this. Nothing is ever given back: a slot whose row has left `running`, for
-- whatever reason, no longer counts and is swept away by the next claim. Lock order: this lock before any row.

create or replace function ops_sweep_slots(queue text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if queue = 'mission' then
    delete from ops_queue_slots as slot
    where slot.queue = 'mission'
      and not exists (
        select
        from ops_mission_steps as one
        where one.id = slot.row_id
          and one.status = 'running'
          and one.claim_token = slot.claim_token
      );
  elsif queue = 'roundtable' then
    delete from ops_queue_slots as slot
    where slot.queue = 'roundtable'
      and not exists (
        select
        from ops_roundtable_queue as one
        where one.id = slot.row_id
          and one.status = 'running'
          and one.claim_token = slot.claim_token
      );
  else
    delete from ops_queue_slots as slot
    where slot.queue = 'initiative'
      and not exists (
        select
        from ops_initiative_queue as one
        where one.id = slot.row_id
          and one.status = 'running'
          and one.claim_token = slot.claim_token
      );
  end if;
end
$$;

comment on function ops_sweep_slots(text) is 'The queue''s slots whose rows no longer run are gone; under the queue''s lock only.';

create or replace function ops_slots_free(queue text, queue_number integer)
returns integer
language plpgsql
set search_path = public, pg_temp
set lock_timeout = '500ms'
as $$
declare
  most integer;
begin
  begin
    perform pg_advisory_xact_lock(1987014780, queue_number);
  exception
    when lock_not_available then
      return 0;
  end;
  select (policy.value ->> ops_slots_free.queue)::integer
  into most
  from ops_policy as policy
  where policy.key = 'queue_limits';
  if most is null then
    return null;
  end if;
  perform ops_sweep_slots(ops_slots_free.queue);
  return greatest(most - (select count(*) from ops_queue_slots as slot where slot.queue = ops_slots_free.queue), 0);
end
$$;

comment on function ops_slots_free(text, integer) is
  'How many more rows of the queue may run now over all reactors, with the queue locked until the transaction ends; null: no'
  ' limit is set; 0 also when the lock was not to be had within half a second.';

create or replace function ops_hold_slots(queue text, ids bigint[], token uuid)
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into ops_queue_slots (queue, row_id, claim_token)
  select ops_hold_slots.queue, claimed.id, ops_hold_slots.token
  from unnest(ops_hold_slots.ids) as claimed (id)
  on conflict on constraint ops_queue_slots_pkey do update
  set
    claim_token = excluded.claim_token,
    taken_at = excluded.taken_at;
$$;

comment on function ops_hold_slots(text, bigint[], uuid) is 'The rows just claimed under the token count against the queue''s limit.';

create or replace function ops_queue_limits_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  -- Rows that were claimed while there was no limit count from now on.
  if new.value ->> 'mission' is not null then
    insert into ops_queue_slots (queue, row_id, claim_token)
    select 'mission', one.id, one.claim_token
    from ops_mission_steps as one
    where one.status = 'running'
    on conflict on constraint ops_queue_slots_pkey do update
    set claim_token = excluded.claim_token;
  end if;
  if new.value ->> 'roundtable' is not null then
    insert into ops_queue_slots (queue, row_id, claim_token)
    select 'roundtable', one.id, one.claim_token
    from ops_roundtable_queue as one
    where one.status = 'running'
    on conflict on constraint ops_queue_slots_pkey do update
    set claim_token = excluded.claim_token;
  end if;
  if new.value ->> 'initiative' is not null then
    insert into ops_queue_slots (queue, row_id, claim_token)
    select 'initiative', one.id, one.claim_token
    from ops_initiative_queue as one
    where one.status = 'running'
    on conflict on constraint ops_queue_slots_pkey do update
    set claim_token = excluded.claim_token;
  end if;
  delete from ops_queue_slots as slot
  where new.value ->> slot.queue is null;
  return null;
end
$$;

comment on function ops_queue_limits_changed() is
  'Trigger: of queues with a limit everything that runs has a slot, of others nothing.';

create or replace function ops_generation_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform pg_notify('ops_control', 'generation');
  return null;
end
$$;

comment on function ops_generation_changed() is 'Trigger: every reactor looks whether it may stay.';
