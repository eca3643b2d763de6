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

create or replace function ops_due_rows(queue text, kinds text[], agent text, most integer)
returns setof bigint
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if exists (select from ops_pauses as pause where pause.queue = ops_due_rows.queue) then
    return;
  end if;
  case queue
    when 'mission' then
      return query
        select step.id
        from ops_mission_steps as step
        where step.status = 'queued'
          and step.run_at <= ops_now()
          and step.kind = any (kinds)
          and (ops_due_rows.agent is null or step.agent_id is null or step.agent_id = ops_due_rows.agent)
        order by step.priority desc, step.run_at, step.id
        limit most;
    when 'roundtable' then
      return query
        select talk.id
        from ops_roundtable_queue as talk
        where talk.status = 'queued'
          and talk.run_at <= ops_now()
        order by talk.priority desc, talk.run_at, talk.id
        limit most;
    when 'initiative' then
      return query
        select idea.id
        from ops_initiative_queue as idea
        where idea.status = 'queued'
          and idea.run_at <= ops_now()
        order by idea.priority desc, idea.run_at, idea.id
        limit most;
  end case;
end
$$;

comment on function ops_due_rows(text, text[], text, integer) is
  'The rows of the queue that a claim would look at, in its order; kinds and agent are for steps.';

create or replace function ops_claim_row(queue text, row_id bigint, worker uuid, token uuid)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  case queue
    when 'mission' then
      perform from ops_mission_steps as step where step.id = row_id and step.status = 'queued' for no key update skip locked;
      if found then
        update ops_mission_steps as step
        set
          status = 'running',
          attempt = least(step.attempt + 1, step.max_attempts),
          claimed_by = worker,
          claim_token = token,
          started_at = ops_now()
        where step.id = row_id;
      end if;
    when 'roundtable' then
      perform from ops_roundtable_queue as talk where talk.id = row_id and talk.status = 'queued' for no key update skip locked;
      if found then
        update ops_roundtable_queue as talk
        set
          status = 'running',
          attempt = least(talk.attempt + 1, talk.max_attempts),
          claimed_by = worker,
          claim_token = token,
          started_at = ops_now()
        where talk.id = row_id;
      end if;
    when 'initiative' then
      perform from ops_initiative_queue as idea where idea.id = row_id and idea.status = 'queued' for no key update skip locked;
      if found then
        update ops_initiative_queue as idea
        set
          status = 'running',
          attempt = least(idea.attempt + 1, idea.max_attempts),
          claimed_by = worker,
          claim_token = token,
          started_at = ops_now()
        where idea.id = row_id;
      end if;
  end case;
  return found;
end
$$;

comment on function ops_claim_row(text, bigint, uuid, uuid) is
  'The row runs, claimed as by a claim; false when somebody has it, or it is not queued any more.';

create or replace function ops_claim_singly(queue text, worker uuid, token uuid, most integer, kinds text[], agent text)
returns table (row_id bigint, refusal text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  taken integer := 0;
  state text;
begin
  for row_id in select due from ops_due_rows(queue, kinds, agent, 1000) as due loop
    exit when taken >= most;
    refusal := null;
    begin
      continue when not ops_claim_row(queue, row_id, worker, token);
      set constraints all immediate;
      taken := taken + 1;
    exception
      when others then
        get stacked diagnostics state = returned_sqlstate, refusal = message_text;
        if ops_refusal_passes(state) then
          raise;
        end if;
    end;
    return next;
  end loop;
end
$$;

comment on function ops_claim_singly(text, uuid, uuid, integer, text[], text) is
  'Due rows of the queue are claimed as by a claim, at most so many, each by itself; of those that the database refuses, the'
  ' refusal. At most 1,000 are looked at.';

-- They were three, one for each queue.
drop function if exists ops_claim_steps_singly(uuid, uuid, integer, text[], text);
drop function if exists ops_claim_roundtables_singly(uuid, uuid, integer);
drop function if exists ops_claim_initiatives_singly(uuid, uuid, integer);
