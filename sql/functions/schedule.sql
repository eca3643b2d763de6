-- The schedule: quiet hours, and occurrences that are taken once.
--
-- Lock order: the occurrence, then policy roundtable_policy, behind which today's conversations are counted.

create or replace function ops_is_quiet(at timestamptz default ops_now())
returns boolean
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  hours jsonb;
  begins time;
  ends time;
  here time;
begin
  select policy.value into hours from ops_policy as policy where policy.key = 'quiet_hours';
  begins := nullif(hours ->> 'from', '')::time;
  ends := nullif(hours ->> 'to', '')::time;
  if begins is null or ends is null or begins = ends then
    return false;
  end if;
  here := (ops_is_quiet.at at time zone ops_company_timezone())::time;
  if begins < ends then
    return here >= begins and here < ends;
  end if;
  return here >= begins or here < ends;
end
$$;

comment on function ops_is_quiet(timestamptz) is
  'Whether that moment lies in policy quiet_hours, by the company''s clock; from itself does, to does not.';

create or replace function ops_may_begin(queue text)
returns boolean
language plpgsql
stable
set search_path = public, pg_temp
as $$
begin
  return not exists (
    select
    from ops_pauses as pause
    where pause.queue = any (ops_named_queues(ops_may_begin.queue))
  ) and not ops_is_quiet();
end
$$;

comment on function ops_may_begin(text) is
  'Whether schedule, rules and heartbeat may give work to that queue now: it is not paused, and it is not quiet. Raises OP002.';

create or replace function ops_slot_changes()
returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if new.timezone is not null then
    begin
      perform ops_now() at time zone new.timezone;
    exception
      when invalid_parameter_value then
        raise exception using
          errcode = 'OP004',
          message = format('unknown time zone %L of slot %s: give one such as Europe/Berlin, or null', left(new.timezone, 64), new.name);
    end;
  end if;
  if tg_op = 'INSERT' then
    new.since := ops_now();
  elsif new.cron <> old.cron or new.timezone is distinct from old.timezone or (new.enabled and not old.enabled) then
    new.since := ops_now();
  end if;
  return new;
end
$$;

comment on function ops_slot_changes() is
  'Trigger: a slot that is new, enabled or given other times counts from now; an unknown time zone raises OP004.';

create or replace function ops_slots_changed()
returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform pg_notify('ops_control', 'schedule');
  return null;
end
$$;

comment on function ops_slots_changed() is 'Trigger: whoever sleeps until the next occurrence looks again.';

create or replace function ops_take_occurrence(
  slot_id bigint,
  due_at timestamptz,
  roll double precision,
  missed boolean default false
)
returns table (outcome text, roundtable_id bigint)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  slot ops_conversation_slots;
  became text;
  new_id bigint;
begin
  select * into slot from ops_conversation_slots as one where one.id = ops_take_occurrence.slot_id;
  if not found or not slot.enabled or ops_take_occurrence.due_at < slot.since then
    return;
  end if;
  if roll is null or not (roll >= 0 and roll < 1) then
    raise exception using errcode = 'OP004', message = 'the roll is a number from 0 to below 1';
  end if;
  became := case
    when missed then 'missed'
    when ops_is_quiet(ops_take_occurrence.due_at) or ops_is_quiet() then 'quiet_hours'
    when roll >= slot.probability then 'not_chosen'
    else 'day_full'
  end;
  -- Whoever comes second waits here for the first, and finds it taken.
  insert into ops_slot_occurrences (slot_id, due_at, outcome, rolled, probability, taken_at)
  values (
    slot.id,
    ops_take_occurrence.due_at,
    became,
    case when became in ('not_chosen', 'day_full') then roll end,
    slot.probability,
    ops_now()
  )
  on conflict on constraint ops_slot_occurrences_pkey do nothing;
  if not found then
    return;
  end if;
  if became = 'day_full' then
    perform from ops_policy as policy where policy.key = 'roundtable_policy' for no key update;
    if ops_roundtables_left_today() > 0 then
      insert into ops_roundtable_queue (format, participants, topics, source, run_at, created_at)
      values (slot.format, slot.participants, nullif(slot.topics, '{}'), 'schedule', ops_now(), ops_now())
      returning id into new_id;
      became := 'queued';
      update ops_slot_occurrences as mine
      set
        outcome = became,
        roundtable_id = new_id
      where mine.slot_id = slot.id
        and mine.due_at = ops_take_occurrence.due_at;
    end if;
  end if;
  return query select became, new_id;
end
$$;

comment on function ops_take_occurrence(bigint, timestamptz, double precision, boolean) is
  'The occurrence is taken with this roll, and its conversation queued when the roll, the hour and the day allow it; no row when'
  ' somebody had taken it, or the slot is not there any more. Raises OP004.';
