-- What a conversation came to, landed in one transaction: memories, drifts, action items; or kept raw.

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
  landed := jsonb_strip_nulls(
    jsonb_build_object('summary', distillate -> 'summary', 'learned', learns, 'left_out', distillate -> 'left_out')
  );
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
