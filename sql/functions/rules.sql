-- Trigger rules and reactions: events come in as a queue, each is looked at once by every rule it concerns.
--
-- Lock order: the inbox row, the rule, the door of the proposals. What a rule leads to goes through ops_propose with the event as
-- its cause, so its chain is bounded there; an event deeper than a chain may be leads to nothing, not even to another refusal.

create or replace function ops_event_arrived()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  insert into ops_trigger_inbox (event_id, run_at, created_at)
  select arrived.id, ops_now(), ops_now()
  from arrived
  join ops_trigger_watches as watch on watch.event_kind = arrived.kind
  where watch.every_tag
    or watch.tags && arrived.tags
  on conflict on constraint ops_trigger_inbox_pkey do nothing;
  if found and current_setting('ops.ring', true) is distinct from 'off' then
    perform pg_notify('ops_control', 'rules');
  end if;
  return null;
end
$$;

comment on function ops_event_arrived() is
  'Trigger, once a statement: events that rules or reactions wait for are in the inbox, and a reactor hears of it.';

create or replace function ops_watch()
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  delete from ops_trigger_watches;
  insert into ops_trigger_watches (event_kind, every_tag, tags)
  select
    wanted.kind,
    bool_or(wanted.tag is null),
    coalesce(array_agg(distinct wanted.tag) filter (where wanted.tag is not null), '{}')
  from (
    select rule.event_kind as kind, tag.name as tag
    from ops_trigger_rules as rule
    left join lateral unnest(rule.tags_all) as tag (name)
      on true
    where rule.enabled
      and rule.event_kind is not null
    union all
    select reaction.value ->> 'event', tag.name
    from ops_policy as policy
    cross join lateral jsonb_array_elements(policy.value) as reaction (value)
    left join lateral jsonb_array_elements_text(reaction.value -> 'tags') as tag (name)
      on true
    where policy.key = 'reaction_matrix'
  ) as wanted
  group by wanted.kind;
end
$$;

comment on function ops_watch() is
  'ops_trigger_watches says what the rules and reactions wait for now: an event of the kind with one of their tags comes in.';

create or replace function ops_rules_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform ops_watch();
  return null;
end
$$;

comment on function ops_rules_changed() is 'Trigger: events are watched for as the rules and the reaction matrix say now.';

create or replace function ops_propose_because(
  source text,
  agent_id text,
  title text,
  description text,
  steps jsonb,
  cause bigint
)
returns table (outcome text, reason text, proposal_id bigint)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  made record;
begin
  perform set_config('ops.cause_event', coalesce(ops_propose_because.cause::text, ''), true);
  begin
    select *
    into made
    from ops_propose(
      agent_id => ops_propose_because.agent_id,
      title => left(ops_propose_because.title, 500),
      steps => ops_propose_because.steps,
      source => ops_propose_because.source,
      description => nullif(left(ops_propose_because.description, 10000), '')
    );
    outcome := case made.status when 'rejected' then 'refused' else 'proposed' end;
    reason := made.rejection_reason;
    proposal_id := made.proposal_id;
  exception
    when others then
      -- A refusal of ours concerns this rule alone; anything else is tried again with the whole event.
      if sqlstate !~ '^OP' then
        raise;
      end if;
      outcome := 'failed';
      reason := sqlerrm;
  end;
  perform set_config('ops.cause_event', '', true);
  return next;
end
$$;

comment on function ops_propose_because(text, text, text, text, jsonb, bigint) is
  'A rule''s proposal, caused by the event if there is one: proposed, refused at the door, or failed, with the reason.';

create or replace function ops_chain_is_spent(event ops_agent_events)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select event.depth > coalesce(
    (
      select (policy.value ->> 'chain_depth')::integer
      from ops_policy as policy
      where policy.key = 'proposal_limits'
    ),
    3
  );
$$;

comment on function ops_chain_is_spent(ops_agent_events) is
  'Whether the event lies beyond the depth a chain may have; the refusal before it is on record already.';

create or replace function ops_fire_rule(rule_id bigint, event ops_agent_events, roll double precision)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  rule ops_trigger_rules;
  facts jsonb;
  firing_id bigint;
  met bigint;
  made record;
begin
  select * into rule from ops_trigger_rules as one where one.id = ops_fire_rule.rule_id and one.enabled for update;
  if not found then
    return null;
  end if;
  insert into ops_trigger_firings (rule_id, event_id, rolled, probability, created_at)
  values (rule.id, event.id, roll, rule.probability, ops_now())
  on conflict on constraint firing_is_once_per_event do nothing
  returning id into firing_id;
  if firing_id is null or rule.mode = 'absence' then
    return 'seen';
  end if;
  if rule.min_count > 1 then
    select count(*)
    into met
    from ops_trigger_firings as earlier
    where earlier.rule_id = rule.id
      and earlier.created_at > greatest(
        ops_now() - rule.window_s * interval '1 second',
        coalesce(rule.last_fired_at, '-infinity')
      );
    if met < rule.min_count then
      return 'seen';
    end if;
  end if;
  if ops_chain_is_spent(event) then
    select 'refused' as outcome, 'the chain it belongs to is as long as it may be' as reason, null::bigint as proposal_id into made;
  elsif rule.cooldown_s > 0 and rule.last_fired_at + rule.cooldown_s * interval '1 second' > ops_now() then
    select 'cooling' as outcome, null::text as reason, null::bigint as proposal_id into made;
  elsif roll >= rule.probability then
    select 'skipped' as outcome, null::text as reason, null::bigint as proposal_id into made;
  else
    facts := ops_event_facts(event);
    select *
    into made
    from ops_propose_because(
      'trigger',
      rule.agent_id,
      ops_fill(rule.title, facts),
      ops_fill(rule.description_text, facts),
      ops_fill_steps(rule.steps, facts),
      event.id
    );
  end if;
  update ops_trigger_firings as mine
  set outcome = made.outcome, reason = left(made.reason, 2000), proposal_id = made.proposal_id
  where mine.id = firing_id;
  if made.outcome = 'proposed' then
    update ops_trigger_rules as one
    set last_fired_at = ops_now(), fire_count = one.fire_count + 1
    where one.id = rule.id;
  end if;
  return made.outcome;
end
$$;

comment on function ops_fire_rule(bigint, ops_agent_events, double precision) is
  'The rule has looked at the event, once, with this roll; returns what came of it. Cooldown and count move only with a proposal.';

create or replace function ops_react(reaction jsonb, event ops_agent_events, roll double precision)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  name constant text := reaction ->> 'name';
  who constant text := reaction ->> 'agent';
  likely constant double precision := coalesce((reaction ->> 'probability')::double precision, 1);
  cooldown constant interval := coalesce((reaction ->> 'cooldown_minutes')::double precision, 0) * interval '1 minute';
  facts jsonb;
  reaction_id bigint;
  title text;
  made record;
begin
  -- Of two events at once the second waits here, and sees what the first led to.
  perform ops_pass_proposal_door();
  facts := ops_event_facts(event);
  if facts ->> 'agent' = who then
    return null;
  end if;
  insert into ops_agent_reactions (reaction, event_id, agent_id, source_agent_id, rolled, probability, created_at)
  values (name, event.id, who, event.agent_id, roll, likely, ops_now())
  on conflict on constraint reaction_is_once_per_event do nothing
  returning id into reaction_id;
  if reaction_id is null then
    return 'seen';
  end if;
  if ops_chain_is_spent(event) then
    select 'refused' as outcome, 'the chain it belongs to is as long as it may be' as reason, null::bigint as proposal_id into made;
  elsif cooldown > interval '0' and exists (
    select
    from ops_agent_reactions as earlier
    where earlier.reaction = name
      and earlier.outcome = 'proposed'
      and earlier.created_at > ops_now() - cooldown
  ) then
    select 'cooling' as outcome, null::text as reason, null::bigint as proposal_id into made;
  elsif roll >= likely then
    select 'skipped' as outcome, null::text as reason, null::bigint as proposal_id into made;
  else
    title := ops_fill(reaction ->> 'title', facts);
    select *
    into made
    from ops_propose_because(
      'reaction',
      who,
      title,
      null,
      (
        select jsonb_agg(
          jsonb_build_object(
            'kind', kind.name,
            'agent_id', who,
            'payload', jsonb_strip_nulls(
              jsonb_build_object(
                'topic', ops_unbraced(title),
                'text', ops_unbraced(facts ->> 'text'),
                'piece', ops_unbraced(facts ->> 'piece')
              )
            )
          )
          order by kind.place
        )
        from jsonb_array_elements_text(reaction -> 'kinds') with ordinality as kind (name, place)
      ),
      event.id
    );
  end if;
  update ops_agent_reactions as mine
  set outcome = made.outcome, reason = left(made.reason, 2000), proposal_id = made.proposal_id
  where mine.id = reaction_id;
  return made.outcome;
end
$$;

comment on function ops_react(jsonb, ops_agent_events, double precision) is
  'The reaction of the matrix has looked at the event, once, with this roll; returns what came of it, null when its agent is the'
  ' one the event tells of.';

create or replace function ops_apply_rules(event ops_agent_events, roll double precision default null)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  tags constant text[] := ops_event_tags(event);
  candidate record;
  made integer := 0;
begin
  for candidate in
    select rule.id
    from ops_trigger_rules as rule
    where rule.enabled
      and rule.event_kind = event.kind
      and rule.tags_all <@ tags
      and (rule.tags_any = '{}' or rule.tags_any && tags)
    order by rule.id
  loop
    made := made + coalesce(ops_fire_rule(candidate.id, event, coalesce(roll, random())) = 'proposed', false)::integer;
  end loop;
  for candidate in
    select reaction.value
    from ops_policy as policy
    cross join lateral jsonb_array_elements(policy.value) with ordinality as reaction (value, place)
    where policy.key = 'reaction_matrix'
      and reaction.value ->> 'event' = event.kind
      and array(select jsonb_array_elements_text(reaction.value -> 'tags')) <@ tags
      and (
        coalesce(jsonb_array_length(reaction.value -> 'any_tags'), 0) = 0
        or array(select jsonb_array_elements_text(reaction.value -> 'any_tags')) && tags
      )
    order by reaction.place
  loop
    made := made + coalesce(ops_react(candidate.value, event, coalesce(roll, random())) = 'proposed', false)::integer;
  end loop;
  return made;
end
$$;

comment on function ops_apply_rules(ops_agent_events, double precision) is
  'Every rule and reaction that the event concerns has looked at it; returns how many proposals were made. roll: for all of'
  ' them, null: one each.';

create or replace function ops_take_event(roll double precision default null)
returns table (event_id bigint, proposals integer, problem text)
language plpgsql
set search_path = public, pg_temp
as $$
declare
  most_tries constant integer := 3;
  entry ops_trigger_inbox;
  event ops_agent_events;
begin
  if not ops_may_begin('mission') then
    return;
  end if;
  select *
  into entry
  from ops_trigger_inbox as one
  where one.run_at <= ops_now()
  order by one.event_id
  limit 1
  for update skip locked;
  if not found then
    return;
  end if;
  event_id := entry.event_id;
  proposals := 0;
  select * into event from ops_agent_events as one where one.id = entry.event_id;
  if found and event.created_at > ops_now() - interval '1 day' then
    begin
      proposals := ops_apply_rules(event, roll);
    exception
      when others then
        problem := sqlerrm;
    end;
  end if;
  if problem is null or entry.tries + 1 >= most_tries then
    delete from ops_trigger_inbox as one where one.event_id = entry.event_id;
  else
    update ops_trigger_inbox as one
    set tries = one.tries + 1, run_at = ops_now() + interval '4 minutes'
    where one.event_id = entry.event_id;
  end if;
  return next;
end
$$;

comment on function ops_take_event(double precision) is
  'For reactors: the next event of the inbox has been looked at by all rules; no row when there is none, or nothing may begin now.'
  ' problem: it could not be, and is tried again, three times in all. An event older than a day leads to nothing any more.';
