-- The heartbeat: what comes round with time. Each part is taken by one process at a time, and is a transaction of its own.

create or replace function ops_take_heartbeat(part text, every_s double precision)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into ops_heartbeat_parts as known (part, next_at)
  values (ops_take_heartbeat.part, ops_now() + every_s * interval '1 second')
  on conflict on constraint ops_heartbeat_parts_pkey do update
  set next_at = excluded.next_at
  -- A clock that was set back must not stop the heart; a peer's statement that began a moment later is no such clock.
  where known.next_at <= ops_now()
    or known.next_at > ops_now() + 2 * every_s * interval '1 second';
  return found;
end
$$;

comment on function ops_take_heartbeat(text, double precision) is
  'True for the one who does this part now; false while its time has not come, or a peer has it.';

create or replace function ops_note_action(
  part text,
  started_at timestamptz,
  result jsonb,
  failure_reason text default null
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into ops_action_runs (part, status, result, failure_reason, started_at, completed_at)
  values (
    ops_note_action.part,
    case when ops_note_action.failure_reason is null then 'succeeded' else 'failed' end,
    coalesce(ops_note_action.result, '{}'),
    left(ops_note_action.failure_reason, 4000),
    ops_note_action.started_at,
    ops_now()
  );
end
$$;

comment on function ops_note_action(text, timestamptz, jsonb, text) is 'A part of the heartbeat did something, or failed; it is in the book.';

create or replace function ops_seconds_of(span jsonb)
returns double precision
language plpgsql
immutable
set search_path = public, pg_temp
as $$
declare
  words text[];
begin
  if jsonb_typeof(span) = 'number' then
    return (span #>> '{}')::double precision;
  end if;
  words := regexp_match(lower(trim(span #>> '{}')), '^([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(s|m|min|h|d|)[a-z]*$');
  return words[1]::double precision * case words[2]
    when 'm' then 60
    when 'min' then 60
    when 'h' then 3600
    when 'd' then 86400
    else 1
  end;
end
$$;

comment on function ops_seconds_of(jsonb) is 'A span such as "3h", "90 min", "1d" or 5400 in seconds; null for anything else.';

create or replace function ops_rule_subjects(rule ops_trigger_rules)
returns table (subject text, facts jsonb)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  topics text[] := rule.topics;
  company_goals text[];
begin
  if rule.topics_from = 'sources' then
    return query
    select
      left(source.value ->> 'url', 2000),
      jsonb_build_object('url', source.value ->> 'url', 'topic', left(source.value ->> 'url', 200))
    from ops_policy as policy
    cross join lateral jsonb_array_elements(
      case jsonb_typeof(policy.value) when 'array' then policy.value else '[]' end
    ) with ordinality as source (value, place)
    cross join lateral (
      select max(firing.created_at) as at
      from ops_trigger_firings as firing
      where firing.rule_id = rule.id
        and firing.subject = left(source.value ->> 'url', 2000)
        and firing.outcome = 'proposed'
    ) as last_scan
    where policy.key = 'sources'
      and nullif(trim(source.value ->> 'url'), '') is not null
      and (
        last_scan.at is null
        or last_scan.at <= ops_now() - coalesce(ops_seconds_of(source.value -> 'every'), rule.every_s) * interval '1 second'
      )
    order by last_scan.at nulls first, source.place
    limit 5;
    return;
  end if;
  if rule.topics_from = 'goals' then
    select array(select jsonb_array_elements_text(policy.value -> 'goals'))
    into company_goals
    from ops_policy as policy
    where policy.key = 'company'
      and jsonb_typeof(policy.value -> 'goals') = 'array';
    topics := coalesce(nullif(company_goals, '{}'), topics);
  end if;
  return query
  select
    '',
    jsonb_build_object('topic', coalesce(topics[1 + rule.topic_place % greatest(cardinality(topics), 1)], rule.title));
end
$$;

comment on function ops_rule_subjects(ops_trigger_rules) is
  'What the rule is about this time: the next topic in rotation, or each source (at most 5) whose time has come.';

create or replace function ops_operations_in_short()
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select format(
    'Of the last day: %s missions succeeded, %s failed; %s steps wait, the longest for %s minutes; %s proposals wait for a person,'
    ' %s were turned away. Failures: %s',
    count(*) filter (where mission.status = 'succeeded'),
    count(*) filter (where mission.status = 'failed'),
    (select count(*) from ops_mission_steps as step where step.status = 'queued'),
    coalesce(
      (
        select round(extract(epoch from ops_now() - min(step.run_at)) / 60)
        from ops_mission_steps as step
        where step.status = 'queued'
          and step.run_at <= ops_now()
      ),
      0
    ),
    (select count(*) from ops_mission_proposals as proposal where proposal.status = 'pending'),
    (
      select count(*)
      from ops_mission_proposals as proposal
      where proposal.status = 'rejected'
        and proposal.created_at > ops_now() - interval '1 day'
    ),
    coalesce(
      left(string_agg(distinct left(mission.failure_reason, 200), '; ') filter (where mission.status = 'failed'), 1500),
      'none'
    )
  )
  from ops_missions as mission
  where mission.completed_at > ops_now() - interval '1 day';
$$;

comment on function ops_operations_in_short() is 'How the work went in the last day, in a few sentences.';

create or replace function ops_fire_timed_rule(rule ops_trigger_rules, roll double precision)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  one record;
  facts jsonb;
  became record;
  made integer := 0;
begin
  if rule.mode = 'absence' and (
    rule.created_at > ops_now() - rule.window_s * interval '1 second'
    or exists (
      select
      from ops_trigger_firings as firing
      where firing.rule_id = rule.id
        and firing.event_id is not null
        and firing.created_at > ops_now() - rule.window_s * interval '1 second'
    )
  ) then
    return 0;
  end if;
  for one in select subjects.subject, subjects.facts from ops_rule_subjects(rule) as subjects loop
    if rule.cooldown_s > 0 and rule.last_fired_at + rule.cooldown_s * interval '1 second' > ops_now() then
      select 'cooling' as outcome, null::text as reason, null::bigint as proposal_id into became;
    elsif roll >= rule.probability then
      select 'skipped' as outcome, null::text as reason, null::bigint as proposal_id into became;
    else
      facts := one.facts || jsonb_build_object(
        'time', to_char(ops_now() at time zone ops_company_timezone(), 'YYYY-MM-DD HH24:MI')
      );
      if position('{operations}' in rule.steps::text) > 0 then
        facts := facts || jsonb_build_object('operations', ops_operations_in_short());
      end if;
      select *
      into became
      from ops_propose_because(
        'trigger',
        rule.agent_id,
        ops_fill(rule.title, facts),
        ops_fill(rule.description_text, facts),
        ops_fill_steps(rule.steps, facts),
        null
      );
    end if;
    insert into ops_trigger_firings (
      rule_id, due_at, subject, rolled, probability, outcome, reason, proposal_id, created_at
    )
    values (
      rule.id, rule.next_due_at, one.subject, roll, rule.probability,
      became.outcome, left(became.reason, 2000), became.proposal_id, ops_now()
    )
    on conflict on constraint firing_is_once_per_time do nothing;
    made := made + (became.outcome = 'proposed')::integer;
  end loop;
  return made;
end
$$;

comment on function ops_fire_timed_rule(ops_trigger_rules, double precision) is
  'The rule, locked by the caller and due, has had its turn with this roll; returns how many proposals it made.';

create or replace function ops_fire_timed_rules(roll double precision default null)
returns table (rule text, proposals integer, problem text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  due ops_trigger_rules;
  made integer;
  dice double precision;
begin
  -- A new rule begins after its jitter, so that a first start is no stampede.
  update ops_trigger_rules as fresh
  set next_due_at = ops_now()
    + (fresh.jitter_from_s + coalesce(roll, random()) * (fresh.jitter_to_s - fresh.jitter_from_s)) * interval '1 second'
  where fresh.next_due_at is null
    and fresh.mode in ('timed', 'absence');
  if not ops_may_begin('mission') then
    return;
  end if;
  for due in
    select *
    from ops_trigger_rules as one
    where one.enabled
      and one.mode in ('timed', 'absence')
      and one.next_due_at <= ops_now()
    order by one.next_due_at, one.id
    for update skip locked
  loop
    dice := coalesce(roll, random());
    made := 0;
    problem := null;
    begin
      made := ops_fire_timed_rule(due, dice);
    exception
      when others then
        problem := sqlerrm;
    end;
    update ops_trigger_rules as one
    set
      next_due_at = ops_now()
        + (one.every_s + one.jitter_from_s + coalesce(roll, random()) * (one.jitter_to_s - one.jitter_from_s))
        * interval '1 second',
      topic_place = case
        when dice < one.probability then (one.topic_place + 1) % 1000000
        else one.topic_place
      end,
      last_fired_at = case when made > 0 then ops_now() else one.last_fired_at end,
      fire_count = one.fire_count + (made > 0)::integer
    where one.id = due.id;
    rule := due.name;
    proposals := made;
    if made > 0 or problem is not null then
      return next;
    end if;
  end loop;
end
$$;

comment on function ops_fire_timed_rules(double precision) is
  'Every timed rule that is due has had its turn and knows its next one; a rule that fails leaves the rest. Returns those that'
  ' proposed or failed. roll: for all dice, null: one each.';

create or replace function ops_queue_initiatives()
returns setof bigint
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if not ops_may_begin('initiative') then
    return;
  end if;
  -- Whoever comes second waits here, and sees in the next statement what the first queued.
  perform from ops_agents as agent where agent.active order by agent.id for no key update;
  return query
  insert into ops_initiative_queue (agent_id, trigger_reason, run_at, created_at)
  select
    status.agent_id,
    format('heartbeat: %s memories to draw on', status.ready_memories),
    ops_now(),
    ops_now()
  from v_initiative_status as status
  where status.not_now_because is null
  order by status.agent_id
  returning id;
end
$$;

comment on function ops_queue_initiatives() is
  'Every agent who may be asked for an idea of its own now (policy initiative_limits) is in the queue; returns the new rows.';

create or replace function ops_bring_talks()
returns setof bigint
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if ops_may_begin('roundtable') then
    return query select brought.id from ops_bring_pair_talks() as brought (id);
  end if;
end
$$;

comment on function ops_bring_talks() is 'As ops_bring_pair_talks, unless nothing may begin now.';
