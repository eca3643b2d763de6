-- Where the real begins: with the first real call nothing simulated is remembered, counted or learned from.

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
