-- What became of results out there: figures and thumbs, and what their author learns from them.

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
