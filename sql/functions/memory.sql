-- Memory: what is learnt, kept within bounds, and let into work.
--
-- Lock order: the agent's row of ops_memory_keepers, then its memories. Whoever writes memories of several agents in one
-- transaction takes them in the order of their ids, else two such transactions may wait for each other.

create or replace function ops_unknown_agent(agent_id text)
returns void
language plpgsql
stable
set search_path = public, pg_temp
as $$
begin
  raise exception using
    errcode = 'OP003',
    message = format(
      'unknown agent %s; known are %s',
      coalesce(quote_literal(left(agent_id, 100)), 'null'),
      (select coalesce(string_agg(agent.id, ', ' order by agent.id), 'none') from ops_agents as agent)
    );
end
$$;

comment on function ops_unknown_agent(text) is 'Raises OP003 with the agents there are.';

create or replace function ops_real_calls_began()
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select exists (select from ops_firsts as first where first.what = 'real_call');
$$;

comment on function ops_real_calls_began() is
  'Whether a model has ever answered for real: then nothing simulated is learned from any more.';

create or replace function ops_memory_lock(agent_id text)
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into ops_memory_keepers as keeper (agent_id, changes)
  values (ops_memory_lock.agent_id, 1)
  on conflict on constraint ops_memory_keepers_pkey do update
  set changes = keeper.changes + 1;
$$;

comment on function ops_memory_lock(text) is
  'Until the transaction ends nobody else adds to this agent''s memory; statements after this one see all that was added.';

create or replace function ops_ranked_memories(agent_id text)
returns table (memory_id bigint, rank double precision)
language sql
stable
set search_path = public, pg_temp
as $$
  select
    memory.id,
    memory.confidence::float8
    + 0.02 * least(memory.used_count, 10)
    - 0.3 * least(greatest(extract(epoch from clock.now - memory.created_at)::float8 / 86400, 0), 365) / 365
    - case when memory.simulated and clock.real then 2 else 0 end
  from ops_agent_memory as memory
  cross join (select ops_now() as now, ops_real_calls_began() as real offset 0) as clock
  where memory.agent_id = ops_ranked_memories.agent_id
    and memory.superseded_by is null;
$$;

comment on function ops_ranked_memories(text) is
  'What each active memory of the agent is worth: its confidence, a little more for each time it was met again, less with'
  ' age (0.3 a year); a simulated one is worth nothing once real calls began.';

create or replace function ops_memory_alike(words text[], others text[])
returns boolean
language sql
immutable
parallel safe
set search_path = public, pg_temp
as $$
  with shared as (
    select count(*) as number
    from unnest(words) as one (word)
    where one.word = any (others)
  )
  select
    shared.number * 5 >= (cardinality(words) + cardinality(others) - shared.number) * 4
    -- One figure or one "not" apart is another matter, however long the sentence.
    and not exists (
      select
      from (
        (select unnest(words) union select unnest(others))
        except
        (select unnest(words) intersect select unnest(others))
      ) as different (word)
      where different.word ~ '[0-9]'
        or different.word in ('not', 'no', 't', 'never', 'without', 'cannot', 'none', 'nothing', 'nobody', 'hardly')
    )
  from shared;
$$;

comment on function ops_memory_alike(text[], text[]) is
  'Whether two texts, given by their words, say the same: four fifths of all words are in both, and so is every figure and'
  ' every negation.';

create or replace function ops_memory_tags(tags text[])
returns text[]
language sql
immutable
parallel safe
set search_path = public, pg_temp
as $$
  select coalesce(array_agg(kept.tag order by kept.place), '{}')
  from (
    select tidy.tag, min(tidy.place) as place
    from (
      select left(btrim(lower(regexp_replace(given.tag, '[[:space:]]+', ' ', 'g'))), 50) as tag, given.place
      from unnest(tags) with ordinality as given (tag, place)
    ) as tidy
    where tidy.tag <> ''
    group by tidy.tag
    order by min(tidy.place)
    limit 10
  ) as kept;
$$;

comment on function ops_memory_tags(text[]) is 'The first ten different tags, in small letters, at most 50 characters each.';

create or replace function ops_memory_refused(
  agent_id text,
  type text,
  content text,
  confidence double precision,
  source_trace_id text,
  trust text
)
returns void
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  problem text := case
    when type is null or type not in ('insight', 'pattern', 'strategy', 'preference', 'lesson')
      then format(
        'unknown type of memory %s; known are insight, pattern, strategy, preference, lesson',
        coalesce(quote_literal(left(type, 100)), 'null')
      )
    when content is null or content !~ '\S' then 'a memory needs content: say in a sentence what was learnt'
    when confidence is null or not confidence between 0 and 1
      then format('confidence is %s: give a number from 0 to 1', coalesce(confidence::text, 'null'))
    when source_trace_id = '' or length(source_trace_id) > 200
      then 'a trace is a short stable name such as roundtable:7:1, or null'
    when trust is null or trust not in ('human', 'agent', 'untrusted')
      then format(
        'unknown trust %s; known are human, agent, untrusted',
        coalesce(quote_literal(left(trust, 100)), 'null')
      )
  end;
begin
  if problem is not null then
    raise exception using errcode = 'OP004', message = problem;
  end if;
  if not exists (select from ops_agents as agent where agent.id = ops_memory_refused.agent_id) then
    perform ops_unknown_agent(agent_id);
  end if;
end
$$;

comment on function ops_memory_refused(text, text, text, double precision, text, text) is
  'Raises OP003 or OP004 for what ops_remember must not take; void when it is sound.';

create or replace function ops_remember(
  agent_id text,
  type text,
  content text,
  confidence double precision default 0.6,
  tags text[] default '{}',
  source_trace_id text default null,
  simulated boolean default false,
  trust text default 'agent'
)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  tidy text := btrim(regexp_replace(ops_remember.content, '[[:space:]]+', ' ', 'g'));
  marked boolean := coalesce(ops_remember.simulated, false)
    or coalesce(current_setting('ops.simulated', true) = 'on', false);
  new_words text[];
  known bigint;
begin
  perform ops_memory_refused(agent_id, type, content, confidence, source_trace_id, trust);
  if length(tidy) > 500 then
    tidy := rtrim(regexp_replace(left(tidy, 499), '\s+\S*$', '')) || '…';
  end if;
  new_words := ops_memory_words(tidy);
  perform ops_memory_lock(agent_id);

  select memory.id
  into known
  from ops_agent_memory as memory
  where memory.agent_id = ops_remember.agent_id
    and memory.source_trace_id = ops_remember.source_trace_id
  union all
  select confirmation.memory_id
  from ops_memory_confirmations as confirmation
  where confirmation.agent_id = ops_remember.agent_id
    and confirmation.source_trace_id = ops_remember.source_trace_id
  limit 1;
  if known is not null then
    return known;
  end if;

  update ops_agent_memory as memory
  set
    used_count = memory.used_count + 1,
    updated_at = ops_now()
  where memory.id = (
    select twin.id
    from ops_agent_memory as twin
    where twin.agent_id = ops_remember.agent_id
      and twin.type = ops_remember.type
      and twin.superseded_by is null
      and twin.simulated = marked
      and cardinality(twin.words) * 5 >= cardinality(new_words) * 4
      and cardinality(new_words) * 5 >= cardinality(twin.words) * 4
      and case
        when cardinality(new_words) = 0 then twin.content = tidy
        when twin.words = new_words then true
        -- Cheap first: most have too few words in common to be asked.
        when (select count(*) from unnest(twin.words) as one (word) where one.word = any (new_words)) * 5
          < cardinality(new_words) * 4
          then false
        else ops_memory_alike(twin.words, new_words)
      end
    order by twin.words = new_words desc, twin.id
    limit 1
  )
  returning memory.id into known;
  if known is not null then
    insert into ops_memory_confirmations (agent_id, source_trace_id, memory_id)
    select ops_remember.agent_id, ops_remember.source_trace_id, known
    where ops_remember.source_trace_id is not null;
    return known;
  end if;

  insert into ops_agent_memory (agent_id, type, content, confidence, tags, source_trace_id, trust, simulated, created_at)
  values (
    ops_remember.agent_id,
    ops_remember.type,
    tidy,
    ops_remember.confidence,
    ops_memory_tags(ops_remember.tags),
    ops_remember.source_trace_id,
    ops_remember.trust,
    marked,
    ops_now()
  )
  returning id into known;
  return known;
end
$$;

comment on function ops_remember(text, text, text, double precision, text[], text, boolean, text) is
  'The id of the memory that says this: a new one, or the active one of the same type that said so already, its use count'
  ' one higher; a trace counts once for its agent, again it is the same id and nothing changes. White space is tidied,'
  ' content over 500 characters cut at a word. A transaction with ops.simulated = ''on'' remembers simulated things.'
  ' Raises OP003, OP004.';

create or replace function ops_memory_added()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  if tg_op = 'INSERT' and (new.source_trace_id is null or new.source_trace_id not like 'promotion:%') then
    insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
    values (
      'memory_formed',
      new.agent_id,
      new.type,
      new.content,
      array['memory', new.type] || new.tags,
      jsonb_build_object(
        'memory_id', new.id,
        'type', new.type,
        'confidence', new.confidence,
        'source_trace_id', new.source_trace_id,
        'simulated', new.simulated
      )
    );
  end if;
  perform ops_memory_lock(new.agent_id);
  perform ops_memory_keep_within(new.agent_id, new.id);
  if tg_op = 'INSERT' then
    perform ops_promote_memories(new.agent_id, new.id);
  end if;
  return null;
end
$$;

comment on function ops_memory_added() is
  'Trigger: a new memory is an event, keeps its agent within 200 active ones, and promotes what it confirms.';

create or replace function ops_memory_keep_within(agent_id text, newest bigint)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  most constant integer := 200;
begin
  if (
    select count(*)
    from ops_agent_memory as memory
    where memory.agent_id = ops_memory_keep_within.agent_id
      and memory.superseded_by is null
      and not memory.pinned
  ) <= most then
    return;
  end if;
  with ranked as (
    select
      memory.id,
      row_number() over (order by ranked_memory.rank desc, memory.id desc) as place
    from ops_ranked_memories(ops_memory_keep_within.agent_id) as ranked_memory
    join ops_agent_memory as memory
      on memory.id = ranked_memory.memory_id
    where not memory.pinned
  ),
  heir as (
    select ranked.id
    from ranked
    where ranked.place <= most
    order by ranked.id = newest desc, ranked.place desc
    limit 1
  )
  update ops_agent_memory as memory
  set
    superseded_by = heir.id,
    updated_at = ops_now()
  from ranked
  cross join heir
  where memory.id = ranked.id
    and ranked.place > most;
end
$$;

comment on function ops_memory_keep_within(text, bigint) is
  'Of the agent''s active memories, pinned ones aside, the 200 of highest rank stay active; the rest, perhaps the newest'
  ' itself, is superseded. The caller has the lock of ops_memory_lock, taken in an earlier statement.';

create or replace function ops_trace_origin(trace text)
returns text
language sql
immutable
parallel safe
set search_path = public, pg_temp
return regexp_replace(trace, '^(roundtable:[0-9]+):[0-9]+$', '\1');

comment on function ops_trace_origin(text) is 'What a trace leads back to: of what came of one conversation it is the conversation.';

create or replace function ops_promote_memories(agent_id text default null, memory_id bigint default null)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  candidate record;
  promoted bigint;
  count_promoted integer := 0;
begin
  for candidate in
    select distinct on (insight.agent_id, insight.id)
      insight.agent_id,
      insight.id,
      insight.content,
      insight.confidence,
      insight.tags,
      insight.trust,
      insight.simulated or witness.simulated as simulated,
      witness.id as witness_id,
      case witness.type when 'lesson' then 'lesson' else 'strategy' end as type
    from ops_agent_memory as insight
    join ops_agent_memory as witness
      on witness.agent_id = insight.agent_id
      and witness.id <> insight.id
      and witness.source_trace_id is distinct from 'promotion:' || insight.id
      and witness.superseded_by is null
      and ops_trace_origin(witness.source_trace_id) is distinct from ops_trace_origin(insight.source_trace_id)
      and witness.tags && insight.tags
      and (
        select count(distinct tag.name)
        from unnest(witness.tags) as tag (name)
        where tag.name = any (insight.tags)
      ) >= 2
    where insight.type = 'insight'
      and insight.superseded_by is null
      and insight.confidence >= 0.8
      and (ops_promote_memories.agent_id is null or insight.agent_id = ops_promote_memories.agent_id)
      and (ops_promote_memories.memory_id is null or ops_promote_memories.memory_id in (insight.id, witness.id))
      and not ((insight.simulated or witness.simulated) and ops_real_calls_began())
    order by insight.agent_id, insight.id, (witness.type = 'lesson') desc, witness.confidence desc, witness.id
  loop
    perform ops_memory_lock(candidate.agent_id);
    -- Somebody may have promoted or superseded it while we came here.
    continue when not exists (
      select
      from ops_agent_memory as memory
      where memory.id = candidate.id
        and memory.superseded_by is null
    );
    promoted := ops_remember(
      candidate.agent_id,
      candidate.type,
      candidate.content,
      least(0.95, candidate.confidence + 0.05)::float8,
      candidate.tags,
      'promotion:' || candidate.id,
      candidate.simulated,
      candidate.trust
    );
    continue when promoted = candidate.id;
    update ops_agent_memory as memory
    set
      superseded_by = promoted,
      updated_at = ops_now()
    where memory.id = candidate.id
      and memory.superseded_by is null;
    continue when not found;
    count_promoted := count_promoted + 1;
    insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
    values (
      'memory_promoted',
      candidate.agent_id,
      candidate.type,
      candidate.content,
      array['memory', 'insight', candidate.type] || candidate.tags,
      jsonb_build_object(
        'memory_id', promoted,
        'promoted_from', candidate.id,
        'confirmed_by', candidate.witness_id,
        'type', candidate.type,
        'simulated', candidate.simulated
      )
    );
  end loop;
  return count_promoted;
end
$$;

comment on function ops_promote_memories(text, bigint) is
  'Insights of at least .80 that another active memory of the agent, of another trace (another conversation, mission, figure),'
  ' confirms by two shared tags have'
  ' become strategies, or lessons where a lesson confirms them, .05 surer and at most .95; each once. Returns how many.'
  ' Of one agent and memory, or of all: the latter is for the heartbeat.';
