-- What work teaches: missions that ended, and what became of their results out there.

create or replace function ops_agent_of_step(step ops_mission_steps)
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select agent.id
  from (
    values
      (1, step.agent_id),
      (2, case jsonb_typeof(step.result -> 'agent') when 'string' then step.result ->> 'agent' end),
      (
        3,
        (
          select proposal.agent_id
          from ops_missions as mission
          join ops_mission_proposals as proposal
            on proposal.id = mission.proposal_id
          where mission.id = step.mission_id
        )
      ),
      (
        4,
        (
          select mission.created_by
          from ops_missions as mission
          where mission.id = step.mission_id
        )
      )
  ) as candidate (place, id)
  join ops_agents as agent
    on agent.id = candidate.id
  order by candidate.place
  limit 1;
$$;

comment on function ops_agent_of_step(ops_mission_steps) is
  'Whose work a step was: the agent it names, else the one its result does, else whoever proposed or made the mission; null'
  ' when nobody of these is an agent.';

create or replace function ops_learn_from_mission(
  agent_id text,
  mission_id bigint,
  type text,
  content text,
  confidence double precision,
  tags text[],
  simulated boolean
)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  most_a_day constant integer := 3;
begin
  perform ops_memory_lock(agent_id);
  if (
    select count(*)
    from ops_agent_memory as memory
    where memory.agent_id = ops_learn_from_mission.agent_id
      and memory.created_at >= ops_day_start()
      and memory.source_trace_id like 'mission:%'
  ) >= most_a_day then
    return null;
  end if;
  return ops_remember(
    ops_learn_from_mission.agent_id,
    ops_learn_from_mission.type,
    ops_learn_from_mission.content,
    ops_learn_from_mission.confidence,
    ops_learn_from_mission.tags,
    'mission:' || ops_learn_from_mission.mission_id,
    ops_learn_from_mission.simulated
  );
end
$$;

comment on function ops_learn_from_mission(text, bigint, text, text, double precision, text[], boolean) is
  'The memory''s id; null when the agent has learnt from three missions today.';

create or replace function ops_missions_teach()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  lesson record;
begin
  for lesson in
    with ended as (
      select after.id, after.status, after.title, after.failure_reason
      from after
      join before
        on before.id = after.id
      where after.status <> before.status
        and after.status in ('failed', 'succeeded')
    ),
    taught as (
      select
        ended.id as mission_id,
        step.seq,
        step.id as step_id,
        step.kind,
        ended.status,
        ops_agent_of_step(step) as agent_id,
        case ended.status
          when 'failed' then format(
            '"%s" failed at %s: %s',
            left(ended.title, 150),
            step.kind,
            coalesce(step.failure_reason, ended.failure_reason, 'nobody knows why')
          )
          else step.result ->> 'lesson'
        end as content
      from ended
      join ops_mission_steps as step
        on step.mission_id = ended.id
      where case ended.status
        when 'failed' then step.status = 'failed' and step.ended_by is null
        else step.status = 'succeeded'
          and jsonb_typeof(step.result -> 'lesson') = 'string'
          and step.result ->> 'lesson' ~ '\S'
      end
    )
    -- One memory for each agent and mission: the last thing it learnt there, but the first thing that failed.
    select distinct on (taught.agent_id, taught.mission_id)
      taught.agent_id,
      taught.mission_id,
      taught.kind,
      taught.status,
      taught.content,
      (
        select bool_or(step.simulated)
        from ops_mission_steps as step
        where step.mission_id = taught.mission_id
      ) as simulated
    from taught
    where taught.agent_id is not null
    order by
      taught.agent_id,
      taught.mission_id,
      case taught.status when 'failed' then taught.seq else - taught.seq::bigint end,
      taught.step_id
  loop
    perform ops_learn_from_mission(
      lesson.agent_id,
      lesson.mission_id,
      case lesson.status when 'failed' then 'lesson' else 'strategy' end,
      lesson.content,
      case lesson.status when 'failed' then 0.8 else 0.7 end,
      array['mission', lesson.kind],
      lesson.simulated
    );
  end loop;
  return null;
end
$$;

comment on function ops_missions_teach() is
  'Trigger, once a statement: a mission that failed for good is a lesson (.80) of whoever failed; one that succeeded is a'
  ' strategy (.70) of whoever''s result carries a lesson. At most three an agent and day.';

create or replace function ops_record_outcome(step_id bigint, metric text, value double precision)
returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  found_step ops_mission_steps;
  name text := lower(trim(metric));
  learner text;
begin
  if name is null or name !~ '^[a-z][a-z0-9_.-]{0,62}$' then
    raise exception using
      errcode = 'OP004',
      message = format('a metric has a name such as likes or click_rate, not %s', coalesce(quote_literal(left(metric, 100)), 'null'));
  end if;
  if value is null or value in ('NaN', 'Infinity', '-Infinity') then
    raise exception using
      errcode = 'OP004',
      message = format('the value is %s: give a finite number', coalesce(value::text, 'null'));
  end if;
  if value <> 0 and abs(value) not between 1e-15 and 1e15 then
    raise exception using
      errcode = 'OP004',
      message = format('the value is %s: give 0, or a number between 1e-15 and 1e15', value);
  end if;
  select *
  into found_step
  from ops_mission_steps as step
  where step.id = ops_record_outcome.step_id
  for no key update;
  if not found then
    perform ops_unknown('step', ops_record_outcome.step_id);
  end if;
  learner := ops_agent_of_step(found_step);
  insert into ops_outcomes as outcome (step_id, metric, value, agent_id, simulated, recorded_at)
  values (found_step.id, name, ops_record_outcome.value, learner, found_step.simulated, ops_now())
  on conflict on constraint outcome_of_a_step_is_unique_per_metric do update
  set
    value = excluded.value,
    agent_id = excluded.agent_id,
    recorded_at = excluded.recorded_at;
  insert into ops_agent_events (kind, agent_id, title, tags, metadata)
  values (
    'outcome_recorded',
    learner,
    name,
    array['outcome', name, found_step.kind],
    jsonb_build_object(
      'step_id', found_step.id,
      'mission_id', found_step.mission_id,
      'metric', name,
      'value', ops_record_outcome.value,
      'simulated', found_step.simulated
    )
  );
  return ops_learn_from_outcome(found_step.id, name);
end
$$;

comment on function ops_record_outcome(bigint, text, double precision) is
  'What became of a step out there is on record, a later figure in place of an earlier one. Returns the memory it led to,'
  ' see ops_learn_from_outcome, or null. Raises OP001, OP004.';

create or replace function ops_learn_from_outcome(step_id bigint, metric text)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_outcome ops_outcomes;
  step ops_mission_steps;
  known bigint;
  usual double precision;
  well boolean;
begin
  select *
  into found_outcome
  from ops_outcomes as outcome
  where outcome.step_id = ops_learn_from_outcome.step_id
    and outcome.metric = ops_learn_from_outcome.metric;
  if found_outcome.agent_id is null then
    return null;
  end if;
  select
    count(*),
    percentile_cont(0.5) within group (order by outcome.value)
  into known, usual
  from ops_outcomes as outcome
  where outcome.metric = found_outcome.metric
    and outcome.simulated = found_outcome.simulated;
  if known < 3 or usual <= 0 then
    return null;
  end if;
  well := found_outcome.value > 2 * usual;
  if not well and found_outcome.value >= 0.3 * usual then
    return null;
  end if;
  select * into step from ops_mission_steps as one where one.id = ops_learn_from_outcome.step_id;
  return ops_remember(
    found_outcome.agent_id,
    'lesson',
    format(
      '%s %s: %s %s, usually %s. It was: %s',
      step.kind,
      case when well then 'did far better than usual' else 'did far worse than usual' end,
      found_outcome.metric,
      round(found_outcome.value::numeric, 2)::float8,
      round(usual::numeric, 2)::float8,
      ops_words_of_step(step)
    ),
    case when well then 0.7 else 0.6 end,
    array['outcome', found_outcome.metric, step.kind, case when well then 'did_well' else 'did_badly' end],
    'outcome:' || found_outcome.step_id || ':' || found_outcome.metric,
    found_outcome.simulated
  );
end
$$;

comment on function ops_learn_from_outcome(bigint, text) is
  'Where there are three figures of a metric or more: one over twice their median is a lesson (.70) of whoever did the step,'
  ' one under .3 of it another (.60); returns it, or null. A step and metric teach once. Simulated figures are held'
  ' against simulated ones only, and a median that is not positive says nothing.';

create or replace function ops_words_of_step(step ops_mission_steps)
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select left(
    btrim(
      regexp_replace(
        coalesce(
          nullif(step.result ->> 'title', ''),
          nullif(step.result ->> 'text', ''),
          nullif(step.payload ->> 'topic', ''),
          (select mission.title from ops_missions as mission where mission.id = step.mission_id),
          'step ' || step.id
        ),
        '[[:space:]]+',
        ' ',
        'g'
      )
    ),
    200
  );
$$;

comment on function ops_words_of_step(ops_mission_steps) is 'A step in a line: its title or text, else what it was about.';

create or replace function ops_learn_from_outcomes()
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  candidate record;
  learnt integer := 0;
begin
  for candidate in
    select outcome.step_id, outcome.metric
    from ops_outcomes as outcome
    where exists (select from ops_agents as agent where agent.id = outcome.agent_id)
      and outcome.recorded_at > ops_now() - interval '7 days'
      and not (outcome.simulated and ops_real_calls_began())
      and not exists (
        select
        from ops_agent_memory as memory
        where memory.agent_id = outcome.agent_id
          and memory.source_trace_id = 'outcome:' || outcome.step_id || ':' || outcome.metric
      )
      and not exists (
        select
        from ops_memory_confirmations as confirmation
        where confirmation.agent_id = outcome.agent_id
          and confirmation.source_trace_id = 'outcome:' || outcome.step_id || ':' || outcome.metric
      )
    order by outcome.agent_id, outcome.id
  loop
    learnt := learnt + (ops_learn_from_outcome(candidate.step_id, candidate.metric) is not null)::integer;
  end loop;
  return learnt;
end
$$;

comment on function ops_learn_from_outcomes() is
  'Figures of the last week that stand out by now, because others came since, have become lessons; returns how many. For the'
  ' heartbeat.';

create or replace function ops_note_real_call()
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if ops_real_calls_began() then
    return false;
  end if;
  insert into ops_firsts (what, at)
  values ('real_call', ops_now())
  on conflict on constraint ops_firsts_pkey do nothing;
  if not found then
    return false;
  end if;
  perform ops_relationships_begin_again();
  insert into ops_agent_events (kind, title, summary, tags)
  values (
    'real_calls_began',
    'a model answered for real',
    'What the mock made is kept and marked, but nobody learns from it any more; the relationships begin again.',
    array['llm']
  );
  return true;
end
$$;

comment on function ops_note_real_call() is
  'A model has answered for real. True for the first time ever: from now on nothing simulated is learned from, and the'
  ' relationships begin again where they were seeded.';

create or replace function ops_relationships_begin_again()
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  begun integer;
begin
  -- In the order of their names, as everybody who moves several pairs.
  perform
  from ops_agent_relationships as pair
  order by pair.agent_a, pair.agent_b
  for no key update;
  update ops_agent_relationships as pair
  set
    affinity = pair.seed_affinity,
    total_interactions = 0,
    positive_interactions = 0,
    negative_interactions = 0,
    drift_log = '[]',
    updated_at = ops_now()
  where pair.total_interactions > 0;
  get diagnostics begun = row_count;
  delete from ops_relationship_sources;
  return begun;
end
$$;

comment on function ops_relationships_begin_again() is
  'Every pair is where it began, nothing logged, no source counted; returns how many pairs had moved.';

create or replace function ops_reset_simulated()
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  begun integer;
begin
  if not ops_real_calls_began() then
    return ops_relationships_begin_again();
  end if;
  -- In the order of their names, as everybody who moves several pairs.
  perform
  from ops_agent_relationships as pair
  order by pair.agent_a, pair.agent_b
  for no key update;
  -- Since then a pair may have moved for real; the log, which keeps the last twenty changes, must know all of them.
  update ops_agent_relationships as pair
  set
    affinity = pair.seed_affinity,
    total_interactions = 0,
    positive_interactions = 0,
    negative_interactions = 0,
    drift_log = '[]',
    updated_at = ops_now()
  where pair.total_interactions > 0
    and pair.total_interactions = jsonb_array_length(pair.drift_log)
    and not exists (
      select
      from jsonb_array_elements(pair.drift_log) as change (line)
      where not coalesce((change.line ->> 'simulated')::boolean, false)
    );
  get diagnostics begun = row_count;
  return begun;
end
$$;

comment on function ops_reset_simulated() is
  'Pairs that only the mock has moved are where they were seeded; returns how many had moved. The first real call does it by itself.';

create or replace function ops_thumbs(what text, id bigint, up boolean, reason text default null, turn integer default null)
returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  work record;
begin
  if up is null then
    raise exception using errcode = 'OP004', message = 'say up (true) or down (false)';
  end if;
  if ops_thumbs.what = 'roundtable' and ops_thumbs.turn is null then
    raise exception using errcode = 'OP004', message = 'say which turn of the roundtable is meant';
  end if;
  if coalesce(ops_thumbs.what, '') not in ('step', 'roundtable') then
    raise exception using
      errcode = 'OP002',
      message = format('unknown kind %s; thumbs are for step, roundtable', coalesce(quote_literal(ops_thumbs.what), 'null'));
  end if;
  if ops_thumbs.what = 'step' then
    select
      coalesce(step.agent_id, step.result ->> 'agent') as agent_id,
      step.kind as done,
      coalesce(
        nullif(step.result ->> 'title', ''), step.payload ->> 'topic', step.result ->> 'text', mission.title, 'no title'
      ) as about,
      step.simulated,
      step.status = 'succeeded' as ended
    into work
    from ops_mission_steps as step
    left join ops_missions as mission
      on mission.id = step.mission_id
    where step.id = ops_thumbs.id;
  else
    select
      nullif(said.speaker, 'human') as agent_id,
      'saying' as done,
      said.dialogue as about,
      said.simulated,
      true as ended
    into work
    from ops_roundtable_turns as said
    where said.conversation_id = ops_thumbs.id
      and said.turn = ops_thumbs.turn;
  end if;
  if not found then
    if ops_thumbs.turn is not null and exists (select from ops_roundtable_queue as talk where talk.id = ops_thumbs.id) then
      raise exception using
        errcode = 'OP001', message = format('roundtable %s has no turn %s', ops_thumbs.id, ops_thumbs.turn);
    end if;
    perform ops_unknown(ops_thumbs.what, ops_thumbs.id);
  end if;
  if not work.ended then
    raise exception using
      errcode = 'OP006', message = format('%s %s has come to nothing yet: judge what it comes to', what, id);
  end if;
  if not exists (select from ops_agents as agent where agent.id = work.agent_id) then
    raise exception using
      errcode = 'OP004', message = format('%s %s is no agent''s work: nobody would learn from it', what, id);
  end if;
  return ops_remember(
    work.agent_id,
    case when up then 'preference' else 'lesson' end,
    format(
      case when up then 'People liked my %s: “%s”' else 'People did not like my %s: “%s”' end,
      replace(work.done, '_', ' '),
      translate(left(btrim(regexp_replace(work.about, '[[:space:]]+', ' ', 'g')), 160), '“”', '‘’')
    ) || coalesce(' because ' || left(nullif(btrim(ops_thumbs.reason), ''), 250), ''),
    0.75,
    array['people', work.done],
    concat_ws(':', 'thumbs', ops_thumbs.what, ops_thumbs.id, ops_thumbs.turn),
    work.simulated,
    'human'
  );
end
$$;

comment on function ops_thumbs(text, bigint, boolean, text, integer) is
  'What a person thinks of a step''s result, or of a turn of a roundtable, is a preference or a lesson of the agent whose it'
  ' is; returns the memory. A thing teaches once. Raises OP001, OP002, OP004, OP006.';
