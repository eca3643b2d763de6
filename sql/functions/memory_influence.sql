-- Which memories come into a context: rolled and chosen once, the same for every later look.

create or replace function ops_memory_context(context_type text, context_id bigint)
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select case context_type
    when 'mission' then (
      select mission.title || ' ' || coalesce(mission.description, '')
      from ops_missions as mission
      where mission.id = context_id
    )
    when 'roundtable' then (
      select talk.topic
      from ops_roundtable_queue as talk
      where talk.id = context_id
    )
    else (
      select idea.trigger_reason
      from ops_initiative_queue as idea
      where idea.id = context_id
    )
  end;
$$;

comment on function ops_memory_context(text, bigint) is 'What a context is about, in its own words; null when it says nothing.';

create or replace function ops_choose_memories(
  agent_id text,
  context_type text,
  context_id bigint,
  at_most integer,
  min_confidence numeric
)
returns bigint[]
language sql
stable
set search_path = public, pg_temp
as $$
  with context as (
    select array(
      select word.word
      from unnest(ops_memory_words(left(coalesce(ops_memory_context(context_type, context_id), ''), 2000))) as word (word)
      where length(word.word) >= 4
    ) as words
  ),
  chosen as (
    select
      memory.id,
      memory.pinned,
      ranked.rank + 0.1 * least(
        3,
        (
          select count(*)
          from unnest(context.words) as word (word)
          where word.word = any (memory.words || memory.tags)
        )
      ) as score
    from ops_ranked_memories(ops_choose_memories.agent_id) as ranked
    join ops_agent_memory as memory
      on memory.id = ranked.memory_id
    cross join context
    where memory.confidence >= min_confidence
      and not (memory.simulated and ops_real_calls_began())
    order by memory.pinned desc, score desc, memory.id desc
    limit at_most
  )
  select coalesce(array_agg(chosen.id order by chosen.pinned desc, chosen.score desc, chosen.id desc), '{}')
  from chosen;
$$;

comment on function ops_choose_memories(text, text, bigint, integer, numeric) is
  'The memories that would help most here: pinned ones, then those of high rank and about what the context is about.';

create or replace function ops_memory_influence(agent_id text, context_type text, context_id bigint)
returns setof ops_agent_memory
language plpgsql
set search_path = public, pg_temp
as $$
declare
  context text := case context_type when 'conversation' then 'roundtable' else context_type end;
  settings jsonb;
  luck double precision;
  odds double precision;
begin
  if context is null or context not in ('roundtable', 'mission', 'initiative') then
    raise exception using
      errcode = 'OP002',
      message = format(
        'unknown context %s; known are roundtable, mission, initiative',
        coalesce(quote_literal(left(context_type, 100)), 'null')
      );
  end if;
  if context_id is null then
    raise exception using errcode = 'OP004', message = format('which %s? its id is null', context);
  end if;
  if not exists (
    select
    from ops_memory_influences as roll
    where roll.agent_id = ops_memory_influence.agent_id
      and roll.context_type = context
      and roll.context_id = ops_memory_influence.context_id
  ) then
    if not exists (select from ops_agents as agent where agent.id = ops_memory_influence.agent_id) then
      perform ops_unknown_agent(agent_id);
    end if;
    select policy.value
    into settings
    from ops_policy as policy
    where policy.key = 'memory_influence';
    luck := random();
    odds := coalesce((settings ->> 'probability')::float8, 0.30);
    -- Of several who come first at once one is stored; the others wait for it and read it below.
    insert into ops_memory_influences (agent_id, context_type, context_id, rolled, probability, influenced, memory_ids)
    values (
      ops_memory_influence.agent_id,
      context,
      ops_memory_influence.context_id,
      luck,
      odds,
      luck < odds,
      case
        when luck < odds then ops_choose_memories(
          ops_memory_influence.agent_id,
          context,
          ops_memory_influence.context_id,
          coalesce((settings ->> 'max_memories_per_prompt')::integer, 5),
          coalesce((settings ->> 'min_confidence')::numeric, 0.6)
        )
        else '{}'
      end
    )
    on conflict on constraint ops_memory_influences_pkey do nothing;
  end if;
  return query
  select memory.*
  from ops_memory_influences as roll
  cross join unnest(roll.memory_ids) with ordinality as chosen (id, place)
  join ops_agent_memory as memory
    on memory.id = chosen.id
  where roll.agent_id = ops_memory_influence.agent_id
    and roll.context_type = context
    and roll.context_id = ops_memory_influence.context_id
    -- What was chosen on the mock does not get into real work.
    and not (memory.simulated and ops_real_calls_began())
  order by chosen.place;
end
$$;

comment on function ops_memory_influence(text, text, bigint) is
  'The memories of the agent that go into its prompts in this context (roundtable, also called conversation; mission;'
  ' initiative), the best first: one roll by policy memory_influence, stored with what it let in or with nothing, the same'
  ' for every later look. Call it outside a transaction that may be rolled back. Raises OP002, OP003, OP004.';
