-- Affinity drifts: small, bounded, logged, and none of them lost or counted twice.

create or replace function ops_drift_refused(
  agent_a text,
  agent_b text,
  drift numeric,
  reason text,
  source text
)
returns void
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  unknown text;
  problem text := case
    when agent_a is null or agent_b is null then 'a drift needs two agents, one of them is null'
    when agent_a = agent_b then format('a drift needs two different agents, both are %L', left(agent_a, 100))
    when drift is null then 'the drift is null: give a number, it is clamped to ±0.030'
    when drift in ('NaN', 'Infinity', '-Infinity')
      then format('the drift is %s: give a finite number, it is clamped to ±0.030', drift)
    when reason is null or reason !~ '\S' then 'a drift needs a reason: say in a few words what happened'
    when length(source) > 500 then 'the source is longer than 500 characters: give a short stable name such as roundtable:7'
  end;
begin
  if problem is not null then
    raise exception using errcode = 'OP004', message = problem;
  end if;
  select given.id
  into unknown
  from unnest(array[agent_a, agent_b]) as given (id)
  where not exists (select from ops_agents as agent where agent.id = given.id)
  limit 1;
  if found then
    raise exception using
      errcode = 'OP003',
      message = format(
        'unknown agent %L; known are %s',
        left(unknown, 100),
        (select coalesce(string_agg(agent.id, ', ' order by agent.id), 'none') from ops_agents as agent)
      );
  end if;
end
$$;

comment on function ops_drift_refused(text, text, numeric, text, text) is
  'Raises OP003 or OP004 for arguments ops_apply_drift must not take; void when they are sound.';

create or replace function ops_drift_entry(
  asked numeric,
  before numeric,
  after numeric,
  reason text,
  source text
)
returns jsonb
language sql
stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
    -- A numeric may have a hundred thousand digits; the log keeps the sense of such a one, not its length.
    'asked', case when length(asked::text) <= 100 then asked else round(greatest(-1e15, least(1e15, asked)), 15) end,
    'applied', (after - before)::numeric(4,3),
    'before', before::numeric(4,3),
    'after', after::numeric(4,3),
    'reason', left(reason, 500),
    'source', source,
    'simulated', coalesce(current_setting('ops.simulated', true) = 'on', false),
    'at', ops_now()
  );
$$;

comment on function ops_drift_entry(numeric, numeric, numeric, text, text) is
  'One line of a drift_log. simulated: the transaction said set local ops.simulated = ''on''.';

create or replace function ops_apply_drift(
  agent_a text,
  agent_b text,
  drift numeric,
  reason text,
  source text default null
)
returns numeric
language plpgsql
set search_path = public, pg_temp
as $$
declare
  first_agent text collate "C" := least(agent_a collate "C", agent_b collate "C");
  second_agent text collate "C" := greatest(agent_a collate "C", agent_b collate "C");
  step numeric;
  moved numeric;
begin
  -- Before any least(): that of a number and null is the number.
  perform ops_drift_refused(agent_a, agent_b, drift, reason, source);
  step := round(greatest(-0.030, least(0.030, drift)), 3);

  -- Lock order: the source, then the pair. The pair's new values are computed from the row as locked.
  with counted as (
    insert into ops_relationship_sources (agent_a, agent_b, source)
    select first_agent, second_agent, ops_apply_drift.source
    where ops_apply_drift.source is not null
    on conflict on constraint ops_relationship_sources_pkey do nothing
    returning ops_relationship_sources.source
  )
  insert into ops_agent_relationships as pair (
    agent_a,
    agent_b,
    affinity,
    total_interactions,
    positive_interactions,
    negative_interactions,
    drift_log,
    updated_at
  )
  select
    first_agent,
    second_agent,
    0.500 + step,
    1,
    (drift > 0)::integer,
    (drift < 0)::integer,
    jsonb_build_array(ops_drift_entry(drift, 0.500, 0.500 + step, reason, ops_apply_drift.source)),
    ops_now()
  where ops_apply_drift.source is null
    or exists (select from counted)
  on conflict on constraint ops_agent_relationships_pkey do update
  set
    affinity = greatest(0.100, least(0.950, pair.affinity + step)),
    total_interactions = pair.total_interactions + 1,
    positive_interactions = pair.positive_interactions + (drift > 0)::integer,
    negative_interactions = pair.negative_interactions + (drift < 0)::integer,
    drift_log = case when jsonb_array_length(pair.drift_log) >= 20 then pair.drift_log - 0 else pair.drift_log end
      || ops_drift_entry(
        drift,
        pair.affinity,
        greatest(0.100, least(0.950, pair.affinity + step)),
        reason,
        ops_apply_drift.source
      ),
    updated_at = ops_now()
  returning pair.affinity into moved;

  if moved is null then
    -- The source has moved this pair before, perhaps while we waited for it: a statement of its own sees that.
    select pair.affinity
    into moved
    from ops_agent_relationships as pair
    where pair.agent_a = first_agent
      and pair.agent_b = second_agent;
  end if;
  return coalesce(moved, 0.500);
end
$$;

comment on function ops_apply_drift(text, text, numeric, text, text) is
  'The pair''s new affinity. The drift is clamped to ±0.030, rounded to 3 decimals, added, the sum kept within 0.100 and 0.950;'
  ' counted and logged also when nothing moves. A source moves a pair once for ever: again, it is the present affinity and'
  ' nothing is logged. Drifts of a transaction that said set local ops.simulated = ''on'' are marked. Many pairs in one'
  ' transaction are moved in the order of their names, else two such transactions may wait for each other.'
  ' Raises OP003, OP004.';
