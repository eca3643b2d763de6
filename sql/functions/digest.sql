-- The day in short: its figures, as one sentence, once a day.

create or replace function ops_digest_facts(day date)
returns jsonb
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  zone constant text := ops_company_timezone();
  begins constant timestamptz := day::timestamp at time zone zone;
  ends constant timestamptz := (day + 1)::timestamp at time zone zone;
  facts jsonb;
  spent jsonb := '{}';
begin
  select jsonb_build_object(
    'day', day,
    'steps_done', count(*) filter (where step.status = 'succeeded' and not step.simulated),
    'steps_failed', count(*) filter (where step.status = 'failed'),
    'steps_simulated', count(*) filter (where step.status = 'succeeded' and step.simulated)
  )
  into facts
  from ops_mission_steps as step
  where step.completed_at >= begins
    and step.completed_at < ends
    and step.kind <> 'notify';
  facts := facts || (
    select jsonb_build_object(
      'missions_done', count(*) filter (where mission.status = 'succeeded'),
      'missions_failed', count(*) filter (where mission.status = 'failed')
    )
    from ops_missions as mission
    where mission.completed_at >= begins
      and mission.completed_at < ends
  ) || (
    select jsonb_build_object('conversations', count(*))
    from ops_roundtable_queue as talk
    where talk.status = 'succeeded'
      and talk.completed_at >= begins
      and talk.completed_at < ends
  ) || (
    select jsonb_build_object('memories', count(*))
    from ops_agent_memory as memory
    where memory.created_at >= begins
      and memory.created_at < ends
  ) || jsonb_build_object(
    'proposals_waiting', (select count(*) from ops_mission_proposals as proposal where proposal.status = 'pending'),
    'steps_held', (select count(*) from ops_mission_steps as step where step.status = 'waiting' and step.hold is not null)
  );
  if to_regclass('public.ops_llm_calls') is not null then
    execute 'select jsonb_build_object(''calls'', count(*), ''cost_usd'', coalesce(sum(cost_usd), 0))'
      ' from ops_llm_calls where created_at >= $1 and created_at < $2'
    into spent
    using begins, ends;
  end if;
  return facts || coalesce(spent, '{}');
end
$$;

comment on function ops_digest_facts(date) is
  'The company''s day in figures: done, failed, simulated, learned; what waits is what waits now. Spent, where there is a ledger.';

create or replace function ops_counted(number text, one text, more text)
returns text
language sql
immutable
set search_path = public, pg_temp
as $$
  select format('%s %s', number, case number when '1' then one else more end);
$$;

comment on function ops_counted(text, text, text) is 'A number of things, in words for one and for more: 1 step, 2 steps.';

create or replace function ops_digest_text(facts jsonb)
returns text
language sql
immutable
set search_path = public, pg_temp
as $$
  select format(
    '%s done, %s failed; %s done, %s failed; %s; %s; waiting for you: %s, %s',
    ops_counted(facts ->> 'steps_done', 'step', 'steps'),
    facts ->> 'steps_failed',
    ops_counted(facts ->> 'missions_done', 'mission', 'missions'),
    facts ->> 'missions_failed',
    ops_counted(facts ->> 'conversations', 'conversation', 'conversations'),
    ops_counted(facts ->> 'memories', 'memory', 'memories'),
    ops_counted(facts ->> 'proposals_waiting', 'proposal', 'proposals'),
    ops_counted(facts ->> 'steps_held', 'step', 'steps')
  )
  || case
    when facts ? 'cost_usd' then
      format('; spent $%s in %s', round((facts ->> 'cost_usd')::numeric, 4), ops_counted(facts ->> 'calls', 'call', 'calls'))
    else ''
  end
  || case
    when facts ->> 'steps_simulated' <> '0' then
      format('; simulated: %s', ops_counted(facts ->> 'steps_simulated', 'step', 'steps'))
    else ''
  end;
$$;

comment on function ops_digest_text(jsonb) is 'The figures of a day as one sentence.';

create or replace function ops_daily_digest()
returns double precision
language plpgsql
set search_path = public, pg_temp
as $$
declare
  zone constant text := ops_company_timezone();
  clock constant timestamp := ops_now() at time zone zone;
  rule jsonb;
  due time;
  next_at timestamp;
  facts jsonb;
  event_id bigint;
begin
  select policy.value into rule from ops_policy as policy where policy.key = 'notify';
  due := nullif(coalesce(rule ->> 'digest_at', '08:00'), '')::time;
  if due is null then
    return 3600;
  end if;
  next_at := clock::date + due;
  if next_at <= clock then
    next_at := next_at + interval '1 day';
    if not exists (select from ops_digests as digest where digest.day = clock::date - 1) then
      facts := ops_digest_facts(clock::date - 1);
      insert into ops_digests (day, facts, created_at)
      values (clock::date - 1, facts, ops_now())
      on conflict on constraint ops_digests_pkey do nothing;
      -- A day on which nothing happened is not told.
      if found and exists (select from jsonb_each_text(facts - 'day') as fact where fact.value::numeric <> 0) then
        insert into ops_agent_events (kind, title, summary, tags, metadata)
        values ('day_summed_up', 'the day in short: ' || (clock::date - 1), ops_digest_text(facts), '{digest}', facts)
        returning id into event_id;
        if coalesce(rule ->> 'url', '') <> '' then
          insert into ops_notices (topic, event_id, title, body, created_at)
          values ('digest', event_id, 'the day in short: ' || (clock::date - 1), ops_digest_text(facts), ops_now());
          insert into ops_mission_steps (kind, payload, max_attempts)
          values ('notify', '{"topic": "digest"}', 8);
        end if;
      end if;
    end if;
  end if;
  return greatest(extract(epoch from next_at at time zone zone - ops_now()), 1);
end
$$;

comment on function ops_daily_digest() is
  'The day before is summed up once, whoever asks first after its time; returns in how many seconds to ask again.';
