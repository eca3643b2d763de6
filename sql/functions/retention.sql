-- Retention: what is older than policy retention says goes, a few rows at a time.
--
-- Rows are walked in the order of their ids, which is the order in which they were made: a walk ends at the first batch with a
-- young row in it, and passes by what is kept (unfinished work, transcripts). So no batch ever scans a table.

create or replace function ops_kept_since(what text)
returns timestamptz
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  days double precision;
begin
  select (policy.value ->> (ops_kept_since.what || '_days'))::double precision
  into days
  from ops_policy as policy
  where policy.key = 'retention';
  return ops_now() - coalesce(
    days,
    case ops_kept_since.what when 'action_runs' then 7 when 'transcripts' then 400 when 'ledger' then 400 else 30 end
  ) * interval '1 day';
end
$$;

comment on function ops_kept_since(text) is
  'What was made before is deleted; what = queue_rows, events, action_runs, transcripts, ledger.';

create or replace function ops_prune_steps(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('queue_rows') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.mission_id is null and one.status in ('succeeded', 'failed', 'cancelled') and one.completed_at < age.young as spent
    from ops_mission_steps as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_mission_steps as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_steps(bigint, integer) is
  'Finished single steps. walked_to: where to go on, null at the end.';

create or replace function ops_prune_missions(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('queue_rows') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.status in ('succeeded', 'failed', 'cancelled') and one.completed_at < age.young as spent
    from ops_missions as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_missions as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_missions(bigint, integer) is
  'Ended missions with their steps. walked_to: where to go on, null at the end.';

create or replace function ops_prune_initiatives(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('queue_rows') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.status in ('succeeded', 'failed', 'cancelled') and one.completed_at < age.young as spent
    from ops_initiative_queue as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_initiative_queue as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_initiatives(bigint, integer) is
  'Finished initiatives. walked_to: where to go on, null at the end.';

create or replace function ops_prune_roundtables(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('queue_rows') as young, ops_kept_since('transcripts') as old_talk
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.status in ('succeeded', 'failed', 'cancelled')
        and one.completed_at < case
          when exists (select from ops_roundtable_turns as said where said.conversation_id = one.id) then age.old_talk
          else age.young
        end as spent
    from ops_roundtable_queue as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_roundtable_queue as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_roundtables(bigint, integer) is
  'Conversations: where something was said they are kept as long as transcripts, else as long as queue rows. walked_to: where to go on, null at the end.';

create or replace function ops_prune_proposals(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('queue_rows') as young, ops_kept_since('transcripts') as old_talk
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.status <> 'pending'
        and one.decided_at < case when one.status = 'rejected' and one.dedupe_key is null then age.young else age.old_talk end as spent
    from ops_mission_proposals as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_mission_proposals as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_proposals(bigint, integer) is
  'Proposals: rejected ones as queue rows, accepted ones and those that a key protects as long as transcripts. walked_to: where to go on, null at the end.';

create or replace function ops_prune_events(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('events') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.created_at < age.young as spent
    from ops_agent_events as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_agent_events as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_events(bigint, integer) is
  'Events. walked_to: where to go on, null at the end.';

create or replace function ops_prune_firings(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('events') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.created_at < age.young as spent
    from ops_trigger_firings as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_trigger_firings as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_firings(bigint, integer) is
  'What rules looked at. walked_to: where to go on, null at the end.';

create or replace function ops_prune_reactions(after bigint, batch integer)
returns table (deleted bigint, walked_to bigint)
language sql
set search_path = public, pg_temp
as $$
  with age as materialized (
    select ops_kept_since('events') as young
  ),
  part as materialized (
    select
      one.id,
      one.created_at < age.young as old,
      one.created_at < age.young as spent
    from ops_agent_reactions as one
    cross join age
    where one.id > after
    order by one.id
    limit batch
  ),
  gone as (
    delete from ops_agent_reactions as one
    using part
    where one.id = part.id
      and part.spent
    returning one.id
  )
  select
    (select count(*) from gone),
    case when count(*) = batch and bool_and(part.old) then max(part.id) end
  from part;
$$;

comment on function ops_prune_reactions(bigint, integer) is
  'What reactions looked at. walked_to: where to go on, null at the end.';

create or replace function ops_prune_small(batch integer)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  gone bigint;
  deleted bigint := 0;
begin
  delete from ops_action_runs as run
  where run.id in (
    select old.id
    from ops_action_runs as old
    where old.completed_at < ops_kept_since('action_runs')
    order by old.completed_at
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;
  delete from ops_slot_occurrences as occurrence
  where (occurrence.slot_id, occurrence.due_at) in (
    select old.slot_id, old.due_at
    from ops_slot_occurrences as old
    where old.due_at < ops_kept_since('queue_rows')
    order by old.due_at
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;
  delete from ops_trigger_inbox as entry
  where entry.event_id in (
    select old.event_id
    from ops_trigger_inbox as old
    where old.created_at < ops_now() - interval '2 days'
    order by old.event_id
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;
  delete from ops_workers as worker
  where worker.state in ('stopped', 'dead')
    and worker.heartbeat_at < ops_kept_since('action_runs');
  get diagnostics gone = row_count;
  return deleted + gone;
end
$$;

comment on function ops_prune_small(integer) is
  'Old rows of the heartbeat''s book, occurrences, the inbox and former reactors are gone, at most so many of each; returns how many.';

create or replace function ops_prune_ledger(batch integer)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  gone bigint := 0;
begin
  if to_regclass('public.ops_llm_calls') is null then
    return 0;
  end if;
  delete from ops_llm_calls as call
  where call.id in (
    select old.id
    from (select first.id, first.created_at from ops_llm_calls as first order by first.id limit batch) as old
    where old.created_at < ops_kept_since('ledger')
  );
  get diagnostics gone = row_count;
  return gone;
end
$$;

comment on function ops_prune_ledger(integer) is 'The oldest calls of the ledger, at most so many, are gone when they are old; returns how many.';
