-- Claims one by one, for a queue in which the database refuses a row: a trigger or a constraint of somebody's own says no.
-- A claim of many is one statement, which such a row would undo for all. Here each row has a subtransaction of its own, and
-- what is refused is passed over. Lock order as in a claim: the rows, as they come, none of them waited for.

create or replace function ops_refusal_passes(state text)
returns boolean
language sql
immutable
set search_path = public, pg_temp
as $$
  select left(state, 2) in ('08', '40', '53', '55', '57', '58')
$$;

comment on function ops_refusal_passes(text) is
  'Whether an error with this SQLSTATE says something about the moment and nothing about the row.';

create or replace function ops_claim_steps_singly(worker uuid, token uuid, most integer, kinds text[], agent text)
returns table (row_id bigint, refusal text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  candidate bigint;
  taken integer := 0;
  standing text;
  state text;
begin
  perform set_config('synchronous_commit', 'off', true);  -- as a claim: the disk is not waited for
  for candidate in
    select step.id
    from ops_mission_steps as step
    where step.status = 'queued'
      and step.run_at <= ops_now()
      and step.kind = any (kinds)
      and (agent is null or step.agent_id is null or step.agent_id = agent)
      and not exists (select from ops_pauses as pause where pause.queue = 'mission')
    order by step.priority desc, step.run_at, step.id
    limit 1000
  loop
    exit when taken >= most;
    begin
      -- The status is looked at afterwards: in the statement it would let the planner read all that is queued instead.
      select step.status into standing from ops_mission_steps as step where step.id = candidate for no key update skip locked;
      continue when standing is distinct from 'queued';
      update ops_mission_steps as step
      set
        status = 'running',
        attempt = least(step.attempt + 1, step.max_attempts),
        claimed_by = worker,
        claim_token = token,
        started_at = ops_now()
      where step.id = candidate;
      set constraints all immediate;
      row_id := candidate;
      refusal := null;
      taken := taken + 1;
    exception
      when others then
        get stacked diagnostics state = returned_sqlstate, refusal = message_text;
        if ops_refusal_passes(state) then
          raise;
        end if;
        row_id := candidate;
    end;
    return next;
  end loop;
end
$$;

comment on function ops_claim_steps_singly(uuid, uuid, integer, text[], text) is
  'Due steps this reactor may take are claimed as by a claim, at most so many, each by itself; of those that the database refuses,'
  ' the refusal. At most 1,000 are looked at.';

create or replace function ops_claim_roundtables_singly(worker uuid, token uuid, most integer)
returns table (row_id bigint, refusal text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  candidate bigint;
  taken integer := 0;
  standing text;
  state text;
begin
  perform set_config('synchronous_commit', 'off', true);  -- as a claim: the disk is not waited for
  for candidate in
    select talk.id
    from ops_roundtable_queue as talk
    where talk.status = 'queued'
      and talk.run_at <= ops_now()
      and not exists (select from ops_pauses as pause where pause.queue = 'roundtable')
    order by talk.priority desc, talk.run_at, talk.id
    limit 1000
  loop
    exit when taken >= most;
    begin
      -- The status is looked at afterwards: in the statement it would let the planner read all that is queued instead.
      select talk.status into standing from ops_roundtable_queue as talk where talk.id = candidate for no key update skip locked;
      continue when standing is distinct from 'queued';
      update ops_roundtable_queue as talk
      set
        status = 'running',
        attempt = least(talk.attempt + 1, talk.max_attempts),
        claimed_by = worker,
        claim_token = token,
        started_at = ops_now()
      where talk.id = candidate;
      set constraints all immediate;
      row_id := candidate;
      refusal := null;
      taken := taken + 1;
    exception
      when others then
        get stacked diagnostics state = returned_sqlstate, refusal = message_text;
        if ops_refusal_passes(state) then
          raise;
        end if;
        row_id := candidate;
    end;
    return next;
  end loop;
end
$$;

comment on function ops_claim_roundtables_singly(uuid, uuid, integer) is
  'Due conversations this reactor may take are claimed as by a claim, at most so many, each by itself; of those that the database refuses,'
  ' the refusal. At most 1,000 are looked at.';

create or replace function ops_claim_initiatives_singly(worker uuid, token uuid, most integer)
returns table (row_id bigint, refusal text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  candidate bigint;
  taken integer := 0;
  standing text;
  state text;
begin
  perform set_config('synchronous_commit', 'off', true);  -- as a claim: the disk is not waited for
  for candidate in
    select idea.id
    from ops_initiative_queue as idea
    where idea.status = 'queued'
      and idea.run_at <= ops_now()
      and not exists (select from ops_pauses as pause where pause.queue = 'initiative')
    order by idea.priority desc, idea.run_at, idea.id
    limit 1000
  loop
    exit when taken >= most;
    begin
      -- The status is looked at afterwards: in the statement it would let the planner read all that is queued instead.
      select idea.status into standing from ops_initiative_queue as idea where idea.id = candidate for no key update skip locked;
      continue when standing is distinct from 'queued';
      update ops_initiative_queue as idea
      set
        status = 'running',
        attempt = least(idea.attempt + 1, idea.max_attempts),
        claimed_by = worker,
        claim_token = token,
        started_at = ops_now()
      where idea.id = candidate;
      set constraints all immediate;
      row_id := candidate;
      refusal := null;
      taken := taken + 1;
    exception
      when others then
        get stacked diagnostics state = returned_sqlstate, refusal = message_text;
        if ops_refusal_passes(state) then
          raise;
        end if;
        row_id := candidate;
    end;
    return next;
  end loop;
end
$$;

comment on function ops_claim_initiatives_singly(uuid, uuid, integer) is
  'Due initiatives this reactor may take are claimed as by a claim, at most so many, each by itself; of those that the database refuses,'
  ' the refusal. At most 1,000 are looked at.';
