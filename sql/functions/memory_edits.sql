-- A person's hand in what agents remember: pinned, corrected, forgotten. Lock order as in memory.sql.

create or replace function ops_known_memory(memory_id bigint)
returns ops_agent_memory
language plpgsql
set search_path = public, pg_temp
as $$
declare
  known ops_agent_memory;
begin
  select memory.* into known from ops_agent_memory as memory where memory.id = memory_id;
  if not found then
    raise exception using errcode = 'OP001', message = format('there is no memory %s', coalesce(memory_id::text, 'null'));
  end if;
  perform ops_memory_lock(known.agent_id);
  return known;
end
$$;

comment on function ops_known_memory(bigint) is 'The memory, its agent''s memories locked. Raises OP001.';

create or replace function ops_tell_of_memory(kind text, known ops_agent_memory, more jsonb default '{}')
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  values (
    kind,
    known.agent_id,
    known.type,
    known.content,
    array['memory', 'control'],
    jsonb_build_object('memory_id', known.id) || more
  );
$$;

comment on function ops_tell_of_memory(text, ops_agent_memory, jsonb) is 'An event says what a person did to the memory.';

create or replace function ops_edit_memory(
  memory_id bigint,
  pinned boolean default null,
  content text default null,
  confidence double precision default null,
  tags text[] default null
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  known ops_agent_memory := ops_known_memory(memory_id);
begin
  if length(content) > 500 or content !~ '\S' then
    raise exception using errcode = 'OP004', message = 'content must have 1 to 500 characters';
  end if;
  if not confidence between 0 and 1 then
    raise exception using errcode = 'OP004', message = 'confidence must be from 0 to 1';
  end if;
  update ops_agent_memory as memory
  set
    pinned = coalesce(ops_edit_memory.pinned, memory.pinned),
    content = coalesce(trim(ops_edit_memory.content), memory.content),
    confidence = coalesce(round(ops_edit_memory.confidence::numeric, 3), memory.confidence),
    tags = case when ops_edit_memory.tags is null then memory.tags else ops_memory_tags(ops_edit_memory.tags) end,
    -- Whoever corrects the words or the confidence vouches for them.
    trust = case when num_nonnulls(ops_edit_memory.content, ops_edit_memory.confidence) > 0 then 'human' else memory.trust end,
    updated_at = ops_now()
  where memory.id = known.id
  returning memory.* into known;
  perform ops_tell_of_memory('memory_changed', known, jsonb_build_object('pinned', known.pinned));
end
$$;

comment on function ops_edit_memory(bigint, boolean, text, double precision, text[]) is
  'The memory is as a person wants it, null leaves a field as it is; corrected words are trusted as a person''s. Raises OP001, OP004.';

create or replace function ops_forget(memory_id bigint)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  known ops_agent_memory := ops_known_memory(memory_id);
begin
  delete from ops_agent_memory as memory where memory.id = known.id;
  -- What was forgotten is not told again by the event that says so.
  known.content := null;
  perform ops_tell_of_memory('memory_forgotten', known);
end
$$;

comment on function ops_forget(bigint) is
  'The memory is gone for good; what it had superseded is active again. Raises OP001.';
