-- Conversations: turns, what they come to, and what brings them about.
--
-- Lock order: the conversation's row of the queue, its distillate, the door of the proposals, the memories' keepers by agent,
-- the pairs by name. Whoever adds a turn holds the conversation's row, so that turns are numbered one after another.

create or replace function ops_number_turn()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform
  from ops_roundtable_queue as talk
  where talk.id = new.conversation_id
  for no key update;
  select coalesce(max(said.turn), 0) + 1
  into new.turn
  from ops_roundtable_turns as said
  where said.conversation_id = new.conversation_id;
  return new;
end
$$;

comment on function ops_number_turn() is 'Trigger: a turn without a number takes the next one of its conversation.';

create or replace function ops_tell_of_turn()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  format text;
begin
  select talk.format into format from ops_roundtable_queue as talk where talk.id = new.conversation_id;
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  values (
    'turn_taken',
    nullif(new.speaker, 'human'),
    format,
    nullif(new.dialogue, ''),
    array['roundtable', 'turn', format],
    jsonb_build_object(
      'roundtable_id', new.conversation_id,
      'turn', new.turn,
      'speaker', new.speaker,
      'tone', new.tone,
      'simulated', new.simulated
    )
  );
  return null;
end
$$;

comment on function ops_tell_of_turn() is 'Trigger: a turn is an event at once.';

create or replace function ops_take_turn(
  roundtable_id bigint,
  claim_token uuid,
  speaker text,
  dialogue text,
  tone text default null,
  simulated boolean default false
)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  taken integer;
begin
  perform
  from ops_roundtable_queue as talk
  where talk.id = ops_take_turn.roundtable_id
    and talk.claim_token = ops_take_turn.claim_token
    and talk.status = 'running'
  for no key update;
  if not found then
    return null;
  end if;
  insert into ops_roundtable_turns (conversation_id, speaker, dialogue, tone, simulated, created_at)
  values (
    ops_take_turn.roundtable_id,
    ops_take_turn.speaker,
    ops_take_turn.dialogue,
    ops_take_turn.tone,
    ops_take_turn.simulated,
    ops_now()
  )
  returning turn into taken;
  return taken;
end
$$;

comment on function ops_take_turn(bigint, uuid, text, text, text, boolean) is
  'For reactors: the number of the turn that was added; null, and nothing added, when the conversation does not run under the'
  ' token.';

create or replace function ops_say(roundtable_id bigint, dialogue text)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_status text;
  taken integer;
begin
  select talk.status
  into found_status
  from ops_roundtable_queue as talk
  where talk.id = ops_say.roundtable_id
  for no key update;
  if not found then
    perform ops_unknown('roundtable', ops_say.roundtable_id);
  end if;
  if found_status not in ('waiting', 'queued', 'running') then
    raise exception using
      errcode = 'OP006',
      message = format('roundtable %s is already %s: start another one', ops_say.roundtable_id, found_status);
  end if;
  if coalesce(length(trim(ops_say.dialogue)), 0) not between 1 and 2000 then
    raise exception using errcode = 'OP004', message = 'a turn needs 1 to 2000 characters';
  end if;
  insert into ops_roundtable_turns (conversation_id, speaker, dialogue, created_at)
  values (ops_say.roundtable_id, 'human', trim(ops_say.dialogue), ops_now())
  returning turn into taken;
  return taken;
end
$$;

comment on function ops_say(bigint, text) is
  'A person takes the next turn of a conversation that has not ended; returns its number. Raises OP001, OP004, OP006.';

create or replace function ops_ask(question text, agent_id text default null)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  new_id bigint;
begin
  if coalesce(length(trim(question)), 0) not between 1 and 2000 then
    raise exception using errcode = 'OP004', message = 'a question needs 1 to 2000 characters';
  end if;
  if ops_ask.agent_id is not null
    and not exists (select from ops_agents as agent where agent.id = ops_ask.agent_id and agent.active)
  then
    raise exception using
      errcode = 'OP003',
      message = format(
        'unknown agent %L; active are %s',
        left(ops_ask.agent_id, 100),
        (select coalesce(string_agg(agent.id, ', ' order by agent.id), 'none') from ops_agents as agent where agent.active)
      );
  end if;
  insert into ops_roundtable_queue (format, topic, participants, priority, run_at, created_at)
  values (
    'ask',
    trim(question),
    case when ops_ask.agent_id is not null then array[ops_ask.agent_id] end,
    9,
    ops_now(),
    ops_now()
  )
  returning id into new_id;
  return new_id;
end
$$;

comment on function ops_ask(text, text) is
  'A person asks one agent, or without one the room; returns the conversation in which they answer. Raises OP003, OP004.';

create or replace function ops_redistill(roundtable_id bigint)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  talk ops_roundtable_queue;
  new_id bigint;
begin
  select * into talk from ops_roundtable_queue as row where row.id = ops_redistill.roundtable_id for no key update;
  if not found then
    perform ops_unknown('roundtable', ops_redistill.roundtable_id);
  end if;
  if talk.distils is not null then
    return ops_redistill(talk.distils);
  end if;
  if talk.status <> 'succeeded' then
    raise exception using
      errcode = 'OP008',
      message = format('roundtable %s is %s: only one that has ended well is distilled again', talk.id, talk.status);
  end if;
  if not exists (
    select
    from ops_roundtable_distillates as distillate
    where distillate.conversation_id = talk.id
      and distillate.status = 'failed'
  ) then
    raise exception using errcode = 'OP009', message = format('roundtable %s is distilled already', talk.id);
  end if;
  select row.id
  into new_id
  from ops_roundtable_queue as row
  where row.distils = talk.id
    and row.status in ('waiting', 'queued', 'running')
  limit 1;
  if new_id is null then
    insert into ops_roundtable_queue (format, topic, participants, distils, priority, run_at, created_at)
    values (talk.format, talk.topic, talk.participants, talk.id, talk.priority, ops_now(), ops_now())
    returning id into new_id;
  end if;
  return new_id;
end
$$;

comment on function ops_redistill(bigint) is
  'The queue row that distils the conversation again, a new one unless one is on its way. Raises OP001, OP008, OP009.';

create or replace function ops_roundtable_setting(name text, usual numeric)
returns numeric
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  given numeric;
begin
  select (policy.value ->> ops_roundtable_setting.name)::numeric
  into given
  from ops_policy as policy
  where policy.key = 'roundtable_policy';
  return coalesce(given, usual);
end
$$;

comment on function ops_roundtable_setting(text, numeric) is 'A number of policy roundtable_policy, else the usual one.';

create or replace function ops_roundtables_left_today()
returns integer
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  begun integer;
begin
  select count(*)
  into begun
  from ops_roundtable_queue as talk
  where talk.created_at >= ops_day_start()
    and talk.source <> 'human'
    and talk.distils is null
    and not (talk.simulated and ops_real_calls_began());
  return greatest(0, ops_roundtable_setting('max_per_day', 10)::integer - begun);
end
$$;

comment on function ops_roundtables_left_today() is
  'How many more conversations may begin today that no person asked for (policy roundtable_policy.max_per_day); those of the mock'
  ' do not count once real calls began.';

create or replace function ops_default_hours(hour integer)
returns table (activity_weight numeric, preferred_formats text[])
language sql
immutable
set search_path = public, pg_temp
as $$
  select
    case when hour between 9 and 17 then 1.0 when hour between 18 and 22 then 0.7 else 0.3 end,
    case
      when hour between 9 and 11 then array['standup']
      when hour between 14 and 16 then array['brainstorm', 'debate']
      else array['watercooler']
    end;
$$;

comment on function ops_default_hours(integer) is 'The working day of an agent without a schedule of its own.';

create or replace function ops_bring_pair_talk(format text, agent_a text, agent_b text)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  new_id bigint;
begin
  -- Two who come at once go one after another, and the second sees what the first queued.
  perform
  from ops_conversation_formats as known
  where known.format = ops_bring_pair_talk.format
  for update;
  if not found
    or ops_roundtables_left_today() = 0
    or exists (
      select
      from ops_roundtable_queue as talk
      where talk.format = ops_bring_pair_talk.format
        and talk.created_at > ops_now() - make_interval(secs => 86400 * ops_roundtable_setting('pair_talk_days', 3)::float8)
        and not (talk.simulated and ops_real_calls_began())
    )
  then
    return null;
  end if;
  insert into ops_roundtable_queue (format, participants, source, run_at, created_at)
  values (ops_bring_pair_talk.format, array[agent_a, agent_b], 'heartbeat', ops_now(), ops_now())
  returning id into new_id;
  return new_id;
end
$$;

comment on function ops_bring_pair_talk(text, text, text) is
  'A conversation of two, unless there was one of that format within the last days (policy) or today has had enough.';

create or replace function ops_bring_pair_talks()
returns setof bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  pair record;
begin
  select relation.agent_a, relation.agent_b
  into pair
  from ops_agent_relationships as relation
  join ops_agents as first_agent
    on first_agent.id = relation.agent_a
    and first_agent.active
  join ops_agents as second_agent
    on second_agent.id = relation.agent_b
    and second_agent.active
  where relation.affinity < 0.25
  order by relation.affinity, relation.agent_a, relation.agent_b
  limit 1;
  if found then
    return query
    select brought.id
    from ops_bring_pair_talk('conflict_resolution', pair.agent_a, pair.agent_b) as brought (id)
    where brought.id is not null;
  end if;
  with known as (
    select agent.id, count(memory.id) as memories
    from ops_agents as agent
    left join ops_agent_memory as memory
      on memory.agent_id = agent.id
      and memory.superseded_by is null
      and not (memory.simulated and ops_real_calls_began())
    where agent.active
    group by agent.id
  )
  select
    case when one.memories >= other.memories then one.id else other.id end as mentor,
    case when one.memories >= other.memories then other.id else one.id end as learner
  into pair
  from ops_agent_relationships as relation
  join known as one
    on one.id = relation.agent_a
  join known as other
    on other.id = relation.agent_b
  where relation.affinity >= 0.75
    and abs(one.memories - other.memories) >= 20
  order by abs(one.memories - other.memories) desc, relation.agent_a, relation.agent_b
  limit 1;
  if found then
    return query
    select brought.id
    from ops_bring_pair_talk('mentoring', pair.mentor, pair.learner) as brought (id)
    where brought.id is not null;
  end if;
end
$$;

comment on function ops_bring_pair_talks() is
  'For the heartbeat: a pair below 0.25 is to make up, one at 0.75 or above with 20 memories between them to teach; returns'
  ' the conversations queued, at most one of each.';
