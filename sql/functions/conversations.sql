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
language sql
stable
set search_path = public, pg_temp
as $$
  select greatest(
    0,
    ops_roundtable_setting('max_per_day', 10)::integer - (
      select count(*)
      from ops_roundtable_queue as talk
      where talk.created_at >= ops_day_start()
        and talk.source <> 'human'
        and talk.distils is null
    )::integer
  );
$$;

comment on function ops_roundtables_left_today() is
  'How many more conversations may begin today that no person asked for (policy roundtable_policy.max_per_day).';

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

create or replace function ops_land_action_items(
  conversation_id bigint,
  items jsonb,
  participants text[]
)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  marked boolean := coalesce(current_setting('ops.simulated', true) = 'on', false);
  room bigint;
  item record;
  made record;
  outcomes jsonb := '[]';
begin
  if jsonb_array_length(items) = 0 then
    return outcomes;
  end if;
  -- Counted behind the door: whoever else proposes now has been counted or waits.
  perform ops_pass_proposal_door();
  select ops_roundtable_setting('action_items_per_day', 3)::bigint - count(*)
  into room
  from ops_mission_proposals as proposal
  where proposal.source = 'conversation'
    and proposal.status <> 'rejected'
    and proposal.created_at >= ops_day_start()
    and (marked or not proposal.simulated);
  for item in
    select
      element.place,
      element.value ->> 'title' as title,
      case
        when element.value ->> 'agent_id' = any (participants) then element.value ->> 'agent_id'
        else participants[1]
      end as agent_id,
      element.value ->> 'kind' as kind
    from jsonb_array_elements(items) with ordinality as element (value, place)
    order by element.place
  loop
    if room <= 0 then
      outcomes := outcomes || jsonb_build_object('title', item.title, 'status', 'left out', 'reason', 'enough action items for today');
      continue;
    end if;
    begin
      select *
      into made
      from ops_propose(
        agent_id => item.agent_id,
        title => item.title,
        steps => jsonb_build_array(
          jsonb_build_object(
            'kind', item.kind,
            'agent_id', item.agent_id,
            'payload', jsonb_build_object('topic', item.title)
          )
        ),
        source => 'conversation',
        description => format('Agreed in roundtable %s.', conversation_id),
        dedupe_key => format('roundtable:%s:%s', conversation_id, item.place)
      );
      room := room - (made.status <> 'rejected')::integer;
      outcomes := outcomes || jsonb_build_object(
        'title', item.title,
        'status', made.status,
        'proposal_id', made.proposal_id,
        'mission_id', made.mission_id,
        'reason', made.rejection_reason
      );
    exception
      when others then
        -- A refusal of ours concerns this item alone; anything else undoes the whole distillate.
        if sqlstate !~ '^OP' then
          raise;
        end if;
        outcomes := outcomes || jsonb_build_object('title', item.title, 'status', 'refused', 'reason', sqlerrm);
    end;
  end loop;
  return outcomes;
end
$$;

comment on function ops_land_action_items(bigint, jsonb, text[]) is
  'The action items are proposals, as many as the day has room for; returns what became of each.';

create or replace function ops_land_memories(conversation_id bigint, memories jsonb, participants text[])
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_memory record;
  kept integer := 0;
begin
  for found_memory in
    select element.place, element.value
    from jsonb_array_elements(memories) with ordinality as element (value, place)
    join ops_agents as agent
      on agent.id = element.value ->> 'agent_id'
    where agent.id = any (participants)
    order by agent.id, element.place
  loop
    perform ops_remember(
      agent_id => found_memory.value ->> 'agent_id',
      type => found_memory.value ->> 'type',
      content => found_memory.value ->> 'content',
      confidence => (found_memory.value ->> 'confidence')::float8,
      tags => array(select jsonb_array_elements_text(coalesce(found_memory.value -> 'tags', '[]'))),
      source_trace_id => format('roundtable:%s:%s', conversation_id, found_memory.place)
    );
    kept := kept + 1;
  end loop;
  return kept;
end
$$;

comment on function ops_land_memories(bigint, jsonb, text[]) is
  'Those who took part remember, agent by agent in the order of their ids; returns how many memories.';

create or replace function ops_land_drifts(conversation_id bigint, drifts jsonb, participants text[])
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  pair record;
  moved integer := 0;
begin
  for pair in
    select
      asked.agent_a,
      asked.agent_b,
      sum(asked.drift) as drift,
      (array_agg(asked.reason order by asked.place))[1] as reason,
      row_number() over (order by asked.agent_a, asked.agent_b) as place
    from (
      select
        least(first_agent.id collate "C", second_agent.id collate "C") as agent_a,
        greatest(first_agent.id collate "C", second_agent.id collate "C") as agent_b,
        (element.value ->> 'drift')::numeric as drift,
        element.value ->> 'reason' as reason,
        element.place
      from jsonb_array_elements(drifts) with ordinality as element (value, place)
      join ops_agents as first_agent
        on first_agent.id = element.value ->> 'agent_a'
      join ops_agents as second_agent
        on second_agent.id = element.value ->> 'agent_b'
      where first_agent.id <> second_agent.id
        and first_agent.id = any (participants)
        and second_agent.id = any (participants)
    ) as asked
    group by asked.agent_a, asked.agent_b
    order by asked.agent_a, asked.agent_b
  loop
    perform ops_apply_drift(
      pair.agent_a,
      pair.agent_b,
      pair.drift,
      pair.reason,
      format('roundtable:%s:%s', conversation_id, pair.place)
    );
    moved := moved + 1;
  end loop;
  return moved;
end
$$;

comment on function ops_land_drifts(bigint, jsonb, text[]) is
  'Each pair that took part is moved once, in the order of their names; returns how many pairs.';

create or replace function ops_land_distillate(
  roundtable_id bigint,
  claim_token uuid,
  distillate jsonb,
  simulated boolean
)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  talk ops_roundtable_queue;
  landed jsonb;
  learns boolean;
  formal boolean;
begin
  select *
  into talk
  from ops_roundtable_queue as row
  where row.id = ops_land_distillate.roundtable_id
    and row.claim_token = ops_land_distillate.claim_token
    and row.status = 'running'
  for no key update;
  if not found then
    return null;
  end if;
  talk.id := coalesce(talk.distils, talk.id);
  insert into ops_roundtable_distillates as kept (conversation_id, status, simulated, created_at)
  values (talk.id, 'landed', ops_land_distillate.simulated, ops_now())
  on conflict on constraint ops_roundtable_distillates_pkey do update
  set
    status = 'landed',
    raw = null,
    problem = null,
    simulated = excluded.simulated
  where kept.status = 'failed';
  if not found then
    select kept.result into landed from ops_roundtable_distillates as kept where kept.conversation_id = talk.id;
    return landed;
  end if;

  perform set_config('ops.simulated', case when simulated then 'on' else 'off' end, true);
  learns := not (simulated and ops_real_calls_began());
  select coalesce(bool_or(known.formal), false)
  into formal
  from ops_conversation_formats as known
  where known.format = talk.format;
  landed := jsonb_build_object('summary', distillate ->> 'summary', 'learned', learns);
  if learns then
    landed := landed || jsonb_build_object(
      'action_items', ops_land_action_items(
        talk.id,
        case when formal then coalesce(distillate -> 'action_items', '[]') else '[]' end,
        talk.participants
      )
    );
    landed := landed || jsonb_build_object(
      'memories', ops_land_memories(talk.id, coalesce(distillate -> 'memories', '[]'), talk.participants)
    );
    landed := landed || jsonb_build_object(
      'drifts', ops_land_drifts(talk.id, coalesce(distillate -> 'drifts', '[]'), talk.participants)
    );
  end if;
  update ops_roundtable_distillates as kept set result = landed where kept.conversation_id = talk.id;
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  values (
    'roundtable_distilled',
    talk.format,
    left(distillate ->> 'summary', 4000),
    array['roundtable', talk.format],
    jsonb_build_object('roundtable_id', talk.id, 'simulated', simulated) || (landed - 'summary')
  );
  return landed;
end
$$;

comment on function ops_land_distillate(bigint, uuid, jsonb, boolean) is
  'For reactors: what a conversation came to is remembered, felt and proposed, all of it in this transaction and once; returns'
  ' what landed, now or before; null when the row does not run under the token. Once real calls began a simulated one teaches'
  ' nothing.';

create or replace function ops_keep_raw_distillate(
  roundtable_id bigint,
  claim_token uuid,
  raw text,
  problem text,
  simulated boolean
)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  talk ops_roundtable_queue;
begin
  select *
  into talk
  from ops_roundtable_queue as row
  where row.id = ops_keep_raw_distillate.roundtable_id
    and row.claim_token = ops_keep_raw_distillate.claim_token
    and row.status = 'running'
  for no key update;
  if not found then
    return false;
  end if;
  talk.id := coalesce(talk.distils, talk.id);
  insert into ops_roundtable_distillates as kept (conversation_id, status, raw, problem, simulated, created_at)
  values (
    talk.id,
    'failed',
    left(ops_keep_raw_distillate.raw, 100000),
    left(ops_keep_raw_distillate.problem, 4000),
    ops_keep_raw_distillate.simulated,
    ops_now()
  )
  on conflict on constraint ops_roundtable_distillates_pkey do update
  set
    raw = excluded.raw,
    problem = excluded.problem
  where kept.status = 'failed';
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  values (
    'distillation_failed',
    talk.format,
    left(ops_keep_raw_distillate.problem, 4000),
    array['roundtable', 'warning', talk.format],
    jsonb_build_object('roundtable_id', talk.id, 'simulated', ops_keep_raw_distillate.simulated)
  );
  return true;
end
$$;

comment on function ops_keep_raw_distillate(bigint, uuid, text, text, boolean) is
  'For reactors: the answer that could not be read is kept as it was, with a warning event; false, and nothing kept, when the'
  ' row does not run under the token.';

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
