-- Proposals: the one entry, its limits and gates, and the people who decide.
--
-- Lock order: the door (ops_proposal_door), the proposal, then what a new mission takes. Whoever counts has passed the door in an
-- earlier statement, so that the counting statement sees everybody who passed before. Fail closed: a policy that is missing
-- refuses; a kind of which nobody said that it needs no approval needs it.

create or replace function ops_pass_proposal_door()
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  update ops_proposal_door as door
  set passed = door.passed + 1
  where door.name = 'proposals';
  if not found then
    raise exception using
      errcode = 'OP007',
      message = 'the door of the proposals is gone: insert into ops_proposal_door (name) values (''proposals'') brings it back';
  end if;
end
$$;

comment on function ops_pass_proposal_door() is
  'Until this transaction ends nobody else proposes or approves; whoever did before has committed. Raises OP007.';

create or replace function ops_normal_title(title text)
returns text
language plpgsql
immutable
set search_path = public, pg_temp
as $$
declare
  bare text := trim(regexp_replace(lower(title), '[[:space:][:punct:]]+', ' ', 'g'));
begin
  return case when bare = '' then lower(trim(title)) else bare end;
end
$$;

comment on function ops_normal_title(text) is 'The title without case, punctuation and doubled blanks: what makes two titles the same.';

create or replace function ops_step_kinds_of(steps jsonb)
returns text[]
language plpgsql
immutable
set search_path = public, pg_temp
as $$
begin
  return (
    select array_agg(element.value ->> 'kind' order by (element.value ->> 'kind') collate "C")
    from jsonb_array_elements(steps) as element (value)
  );
end
$$;

comment on function ops_step_kinds_of(jsonb) is 'The kinds of the steps, sorted, each as often as it occurs.';

create or replace function ops_refusal(
  gate text,
  reason text,
  policy text default null,
  policy_version integer default null,
  "limit" bigint default null,
  count bigint default null,
  asked bigint default null,
  earlier bigint default null
)
returns jsonb
language sql
immutable
set search_path = public, pg_temp
return jsonb_strip_nulls(
  jsonb_build_object(
    'gate', gate,
    'reason', reason,
    'policy', policy,
    'policy_version', policy_version,
    'limit', "limit",
    'count', count,
    'asked', asked,
    'earlier_proposal', earlier
  )
);

comment on function ops_refusal(text, text, text, integer, bigint, bigint, bigint, bigint) is
  'Why something is not let in: the gate, its limit, how much of it was used, how much was asked for, and the policy that says so.';

create or replace function ops_limit_refusal(
  agent_id text,
  kinds text[],
  simulated boolean
)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  limits ops_policy;
  sizes ops_policy;
  today timestamptz := ops_day_start();
  asked bigint := cardinality(kinds);
  most bigint;
  proposed bigint;
  steps_asked bigint;
  active bigint;
begin
  select * into limits from ops_policy as policy where policy.key = 'proposal_limits';
  if (limits.value ->> 'per_agent_day') is null then
    return ops_refusal('proposal_limits', 'policy proposal_limits is missing: nothing is let in without it', 'proposal_limits');
  end if;
  select * into sizes from ops_policy as policy where policy.key = 'mission_limits';
  if (sizes.value ->> 'active') is null
    or (sizes.value ->> 'steps_per_agent_day') is null
    or (sizes.value ->> 'steps_per_proposal_by_agent') is null
  then
    return ops_refusal('mission_limits', 'policy mission_limits is missing: nothing is let in without it', 'mission_limits');
  end if;

  most := sizes.value ->> 'steps_per_proposal_by_agent';
  if asked > most then
    return ops_refusal(
      'mission_limits.steps_per_proposal_by_agent',
      format('an agent''s proposal may have %s steps, this one has %s', most, asked),
      'mission_limits', sizes.version, most, asked, asked
    );
  end if;

  select count(*), coalesce(sum(cardinality(earlier.kinds)), 0)
  into proposed, steps_asked
  from ops_mission_proposals as earlier
  where earlier.agent_id = ops_limit_refusal.agent_id
    and earlier.created_at >= today
    and earlier.source <> 'human'
    and earlier.status <> 'rejected'
    and earlier.simulated = ops_limit_refusal.simulated;
  most := limits.value ->> 'per_agent_day';
  if proposed + 1 > most then
    return ops_refusal(
      'proposal_limits.per_agent_day',
      format('%s has made %s of %s proposals today', agent_id, proposed, most),
      'proposal_limits', limits.version, most, proposed, 1
    );
  end if;
  most := sizes.value ->> 'steps_per_agent_day';
  if steps_asked + asked > most then
    return ops_refusal(
      'mission_limits.steps_per_agent_day',
      format('%s has asked for %s of %s steps today, and this would be %s more', agent_id, steps_asked, most, asked),
      'mission_limits', sizes.version, most, steps_asked, asked
    );
  end if;

  select count(*)
  into active
  from ops_missions as mission
  where mission.status in ('approved', 'running')
    and mission.simulated = ops_limit_refusal.simulated;
  most := sizes.value ->> 'active';
  if active + 1 > most then
    return ops_refusal(
      'mission_limits.active',
      format('%s of %s missions are under way', active, most),
      'mission_limits', sizes.version, most, active, 1
    );
  end if;
  return null;
end
$$;

comment on function ops_limit_refusal(text, text[], boolean) is
  'Null when the agent may propose so much today, else the refusal. The caller has passed the door.';

create or replace function ops_gate_refusal(kinds text[], simulated boolean)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  gates ops_policy;
  today timestamptz;
  wanted record;
  used bigint;
begin
  select * into gates from ops_policy as policy where policy.key = 'step_gates';
  if jsonb_typeof(gates.value) is distinct from 'object' then
    return ops_refusal('step_gates', 'policy step_gates is missing: nothing is let in without it', 'step_gates');
  end if;
  for wanted in
    select kind.name, count(*) as asked, (gates.value ->> kind.name)::bigint as most
    from unnest(kinds) as kind (name)
    where gates.value ? kind.name
    group by kind.name
    order by kind.name
  loop
    today := coalesce(today, ops_day_start());
    select coalesce(sum(cardinality(array_positions(accepted.kinds, wanted.name))), 0)
    into used
    from ops_mission_proposals as accepted
    where accepted.status = 'accepted'
      and accepted.decided_at >= today
      and accepted.simulated = ops_gate_refusal.simulated
      and wanted.name = any (accepted.kinds);
    if wanted.most is null or used + wanted.asked > wanted.most then
      return ops_refusal(
        'step_gates.' || wanted.name,
        format('%s of %s steps of kind %s are let in today, and this would be %s more', used, wanted.most, wanted.name, wanted.asked),
        'step_gates', gates.version, wanted.most, used, wanted.asked
      );
    end if;
  end loop;
  return null;
end
$$;

comment on function ops_gate_refusal(text[], boolean) is
  'Null when as many steps of these kinds may be let in today, else the refusal. The caller has passed the door.';

create or replace function ops_duplicate_refusal(
  agent_id text,
  normal_title text,
  kinds text[],
  simulated boolean
)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  rule ops_policy;
  days double precision;
  earlier record;
begin
  select * into rule from ops_policy as policy where policy.key = 'proposal_limits';
  days := coalesce((rule.value ->> 'same_within_days')::double precision, 7);
  -- What a gate turned away may come again when the gate is open; what a person turned away may not.
  select proposal.id, proposal.status, proposal.created_at
  into earlier
  from ops_mission_proposals as proposal
  where proposal.agent_id = ops_duplicate_refusal.agent_id
    and proposal.created_at > ops_now() - days * interval '1 day'
    and proposal.normal_title = ops_duplicate_refusal.normal_title
    and proposal.kinds = ops_duplicate_refusal.kinds
    and proposal.simulated = ops_duplicate_refusal.simulated
    and (proposal.status <> 'rejected' or proposal.decision ->> 'gate' = 'person')
  order by proposal.id desc
  limit 1;
  if not found then
    return null;
  end if;
  return ops_refusal(
    'duplicate',
    format('%s proposed the same within %s days: proposal %s, %s', agent_id, days, earlier.id, earlier.status),
    'proposal_limits', rule.version, 1, 1, 1, earlier.id
  );
end
$$;

comment on function ops_duplicate_refusal(text, text, text[], boolean) is
  'Null when the agent has not proposed the same title and kinds lately (7 days), else the refusal, naming the earlier one.';

create or replace function ops_chain_refusal(root_id bigint, depth integer, kinds text[], source text)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  rule ops_policy;
  most integer;
  earlier bigint;
begin
  select * into rule from ops_policy as policy where policy.key = 'proposal_limits';
  most := coalesce((rule.value ->> 'chain_depth')::integer, 3);
  if depth > most then
    return ops_refusal(
      'chain.depth',
      format('the chain that began with event %s is %s steps deep, more than %s', root_id, depth, most),
      'proposal_limits', rule.version, most, depth
    );
  end if;
  -- A conversation may come to several things of one kind at once; rules may not.
  if root_id is null or source in ('human', 'conversation') then
    return null;
  end if;
  select proposal.id
  into earlier
  from ops_mission_proposals as proposal
  where proposal.root_id = ops_chain_refusal.root_id
    and proposal.status <> 'rejected'
    and proposal.kinds @> ops_chain_refusal.kinds
    and proposal.kinds <@ ops_chain_refusal.kinds
  order by proposal.id
  limit 1;
  if not found then
    return null;
  end if;
  return ops_refusal(
    'chain.repeat',
    format('what began with event %s has led to the same kind of work before: proposal %s', root_id, earlier),
    'proposal_limits', rule.version, 1, 1, 1, earlier
  );
end
$$;

comment on function ops_chain_refusal(bigint, integer, text[], text) is
  'Null when the chain of causes may go on, else the refusal: too deep (3), or the same kinds of steps once more under one root.';

create or replace function ops_host_of(url text)
returns text
language sql
immutable
set search_path = public, pg_temp
return lower((regexp_match(trim(url), '^https?://([a-z0-9.-]+(?::[0-9]{1,5})?)(?:[/?#]|$)', 'i'))[1]);

comment on function ops_host_of(text) is
  'Host and port of an http address, lower case; null for what is no plain one (user names, other spellings).';

create or replace function ops_kinds_to_approve(steps jsonb)
returns text[]
language plpgsql
set search_path = public, pg_temp
as $$
declare
  allowed jsonb;
  hosts text[];
begin
  select policy.value -> 'allowed_step_kinds'
  into allowed
  from ops_policy as policy
  where policy.key = 'auto_approve';
  select array_agg(ops_host_of(source.value ->> 'url'))
  into hosts
  from ops_policy as policy
  cross join lateral jsonb_array_elements(
    case jsonb_typeof(policy.value) when 'array' then policy.value else '[]' end
  ) as source (value)
  where policy.key = 'sources'
    and jsonb_typeof(source.value) = 'object'
    and ops_host_of(source.value ->> 'url') is not null;
  return (
    select coalesce(array_agg(distinct step.kind), '{}')
    from (
      select
        element.value ->> 'kind' as kind,
        element.value #>> '{payload,url}' as url
      from jsonb_array_elements(steps) as element (value)
    ) as step
    left join ops_step_kinds as known
      on known.kind = step.kind
    where case
      when step.kind = 'webhook' or known.external is distinct from false then true
      when step.kind = 'crawl' then coalesce(not ops_host_of(step.url) = any (hosts), true)
      else not coalesce(allowed ? step.kind, false)
    end
  );
end
$$;

comment on function ops_kinds_to_approve(jsonb) is
  'The kinds among the steps for which a person has to say yes; none: the proposal is approved by itself.';

create or replace function ops_event_is_simulated(event_id bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
<<named>>
declare
  facts jsonb;
  step_id bigint;
  mission_id bigint;
  roundtable_id bigint;
  initiative_id bigint;
begin
  select event.metadata into facts from ops_agent_events as event where event.id = event_id;
  -- Anybody may write an event: what is no id names nothing.
  step_id := substring(facts ->> 'step_id' from '^[0-9]{1,18}$');
  mission_id := substring(facts ->> 'mission_id' from '^[0-9]{1,18}$');
  roundtable_id := substring(facts ->> 'roundtable_id' from '^[0-9]{1,18}$');
  initiative_id := substring(facts ->> 'initiative_id' from '^[0-9]{1,18}$');
  return coalesce(facts -> 'simulated' = 'true', false)
    or exists (select from ops_mission_steps as step where step.id = step_id and step.simulated)
    or exists (
      select from ops_mission_steps as step where step.mission_id = named.mission_id and step.simulated
    )
    or exists (select from ops_missions as mission where mission.id = named.mission_id and mission.simulated)
    or exists (select from ops_roundtable_queue as talk where talk.id = roundtable_id and talk.simulated)
    or exists (select from ops_initiative_queue as idea where idea.id = initiative_id and idea.simulated);
end
$$;

comment on function ops_event_is_simulated(bigint) is 'True when the mock stands behind what the event tells of.';

create or replace function ops_tell_of_proposal(kind text, proposal ops_mission_proposals)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  event_id bigint;
begin
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  values (
    ops_tell_of_proposal.kind,
    proposal.agent_id,
    proposal.title,
    coalesce(proposal.rejection_reason, left(proposal.description, 4000)),
    array['proposal', proposal.source] || array(select distinct one from unnest(proposal.kinds) as one order by one),
    jsonb_build_object(
      'proposal_id', proposal.id,
      'mission_id', proposal.mission_id,
      'source', proposal.source,
      'simulated', proposal.simulated,
      'decided_by', proposal.decided_by,
      'decision', proposal.decision
    ),
    proposal.root_id,
    proposal.depth
  )
  returning id into event_id;
  return event_id;
end
$$;

comment on function ops_tell_of_proposal(text, ops_mission_proposals) is 'An event about the proposal is written; returns its id.';

create or replace function ops_check_proposal(
  agent_id text,
  title text,
  steps jsonb,
  source text,
  description text,
  dedupe_key text
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if source is null or source not in ('human', 'agent', 'trigger', 'reaction', 'conversation', 'initiative') then
    raise exception using
      errcode = 'OP004',
      message = format(
        'unknown source %s; known are human, agent, trigger, reaction, conversation, initiative',
        coalesce(quote_literal(left(source, 100)), 'null')
      );
  end if;
  if coalesce(length(trim(title)), 0) not between 1 and 500 then
    raise exception using errcode = 'OP004', message = 'a proposal needs a title of 1 to 500 characters';
  end if;
  if length(description) > 10000 then
    raise exception using errcode = 'OP004', message = 'the description may have 10000 characters, not more';
  end if;
  if length(dedupe_key) not between 1 and 500 then
    raise exception using errcode = 'OP004', message = 'a dedupe_key has 1 to 500 characters';
  end if;
  perform from ops_agents as agent where agent.id = ops_check_proposal.agent_id and agent.active;
  if not found then
    raise exception using
      errcode = 'OP003',
      message = format(
        'unknown or inactive agent %s; active are %s',
        coalesce(quote_literal(left(ops_check_proposal.agent_id, 100)), 'null'),
        (select coalesce(string_agg(agent.id, ', ' order by agent.id), 'none') from ops_agents as agent where agent.active)
      );
  end if;
  perform ops_check_steps(steps, 20);
end
$$;

comment on function ops_check_proposal(text, text, jsonb, text, text, text) is
  'Returns when such a proposal can be; raises OP003, OP004, OP005.';

create or replace function ops_propose(
  agent_id text,
  title text,
  steps jsonb,
  source text default 'human',
  description text default null,
  dedupe_key text default null
)
returns table (proposal_id bigint, status text, mission_id bigint, rejection_reason text)
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  given ops_mission_proposals;
  cause ops_agent_events;
  cause_id text := nullif(current_setting('ops.cause_event', true), '');
  refusal jsonb;
  to_approve text[];
  event_id bigint;
begin
  perform ops_pass_proposal_door();
  select * into given from ops_mission_proposals as first where first.dedupe_key = ops_propose.dedupe_key;
  if found then
    return query select given.id, given.status, given.mission_id, given.rejection_reason;
    return;
  end if;
  perform ops_check_proposal(agent_id, title, steps, source, description, dedupe_key);
  if cause_id is not null then
    select *
    into cause
    from ops_agent_events as event
    where event.id = substring(cause_id from '^[0-9]{1,18}$')::bigint;
    if not found then
      raise exception using errcode = 'OP001', message = format('there is no event %s that could be the cause', left(cause_id, 100));
    end if;
    given.root_id := coalesce(cause.root_id, cause.id);
    given.depth := cause.depth + 1;
  end if;
  given.simulated := coalesce(current_setting('ops.simulated', true) = 'on', false) or ops_event_is_simulated(cause.id);
  given.kinds := ops_step_kinds_of(steps);
  given.normal_title := ops_normal_title(title);

  refusal := ops_chain_refusal(given.root_id, given.depth, given.kinds, source);
  if refusal is null and source <> 'human' then
    refusal := ops_limit_refusal(agent_id, given.kinds, given.simulated);
  end if;
  if refusal is null then
    refusal := ops_duplicate_refusal(agent_id, given.normal_title, given.kinds, given.simulated);
  end if;
  if refusal is null then
    refusal := ops_gate_refusal(given.kinds, given.simulated);
  end if;
  if refusal is null then
    to_approve := ops_kinds_to_approve(steps);
  end if;

  insert into ops_mission_proposals (
    agent_id, title, description, steps, source, dedupe_key,
    status, rejection_reason, decision, decided_at, expires_at,
    root_id, depth, simulated, normal_title, kinds, created_at
  )
  values (
    ops_propose.agent_id, trim(ops_propose.title), ops_propose.description, ops_propose.steps, ops_propose.source,
    ops_propose.dedupe_key,
    case when refusal is null then 'pending' else 'rejected' end,
    refusal ->> 'reason',
    case
      when refusal is not null then refusal - 'reason'
      else jsonb_build_object('to_approve', to_jsonb(to_approve)) || ops_policy_in_force('auto_approve')
    end,
    case when refusal is not null then ops_now() end,
    case when cardinality(to_approve) > 0 then ops_now() + ops_approval_time() end,
    given.root_id, coalesce(given.depth, 0), given.simulated, given.normal_title, given.kinds, ops_now()
  )
  returning * into given;
  if refusal is not null then
    perform ops_tell_of_proposal('proposal_rejected', given);
  elsif cardinality(to_approve) > 0 then
    event_id := ops_tell_of_proposal('proposal_created', given);
    given.root_id := coalesce(given.root_id, event_id);
    update ops_mission_proposals as mine set root_id = given.root_id where mine.id = given.id;
  else
    given := ops_let_in(given, 'auto_approve');
  end if;
  return query select given.id, given.status, given.mission_id, given.rejection_reason;
end
$$;

comment on function ops_propose(text, text, jsonb, text, text, text) is
  'The one entry: a new proposal, accepted with its mission, pending, or rejected with the reason; or the first one of that'
  ' dedupe_key, unchanged. `set local ops.cause_event` names the event that led to it. Raises OP001, OP003, OP004, OP005, OP007.';

create or replace function ops_policy_in_force(key text)
returns jsonb
language plpgsql
stable
set search_path = public, pg_temp
as $$
begin
  return jsonb_build_object(
    'policy', ops_policy_in_force.key,
    'policy_version', (select policy.version from ops_policy as policy where policy.key = ops_policy_in_force.key)
  );
end
$$;

comment on function ops_policy_in_force(text) is 'The policy''s name and present version, as decisions record them.';

create or replace function ops_approval_time()
returns interval
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  days double precision;
begin
  select (policy.value ->> 'days')::double precision
  into days
  from ops_policy as policy
  where policy.key = 'approval_expiry';
  return coalesce(days, 7) * interval '1 day';
end
$$;

comment on function ops_approval_time() is 'How long something waits for a person before it counts as rejected.';

create or replace function ops_let_in(pending ops_mission_proposals, decided_by text)
returns ops_mission_proposals
language plpgsql
set search_path = public, pg_temp
as $$
declare
  given ops_mission_proposals := pending;
  event_id bigint;
begin
  given.status := 'accepted';
  given.mission_id := nextval(pg_get_serial_sequence('ops_missions', 'id'));
  given.decided_by := ops_let_in.decided_by;
  given.decided_at := ops_now();
  given.expires_at := null;
  event_id := ops_tell_of_proposal('proposal_accepted', given);
  given.root_id := coalesce(given.root_id, event_id);
  -- The event names the mission and the mission the event, so one of the ids is drawn before its row.
  insert into ops_missions (id, title, description, created_by, proposal_id, root_id, depth, simulated)
  overriding system value
  values (
    given.mission_id,
    given.title,
    given.description,
    given.agent_id,
    given.id,
    given.root_id,
    given.depth,
    given.simulated
  );
  perform ops_add_steps(given.mission_id, given.steps, 5, given.agent_id);
  update ops_mission_proposals as mine
  set
    status = given.status,
    decided_by = given.decided_by,
    decided_at = given.decided_at,
    expires_at = given.expires_at,
    root_id = given.root_id,
    mission_id = given.mission_id
  where mine.id = given.id;
  return given;
end
$$;

comment on function ops_let_in(ops_mission_proposals, text) is
  'The proposal, new or locked by the caller, is accepted and has its mission, the first step queued or held; returns it as it is now.';

create or replace function ops_check_decider(decided_by text)
returns void
language plpgsql
immutable
set search_path = public, pg_temp
as $$
begin
  if coalesce(length(trim(decided_by)), 0) not between 1 and 200 then
    raise exception using errcode = 'OP004', message = 'decided_by must name who decides, in 1 to 200 characters';
  end if;
end
$$;

comment on function ops_check_decider(text) is 'Returns when somebody is named; raises OP004.';

create or replace function ops_pending_proposal(proposal_id bigint)
returns ops_mission_proposals
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_proposal ops_mission_proposals;
begin
  select *
  into found_proposal
  from ops_mission_proposals as proposal
  where proposal.id = ops_pending_proposal.proposal_id
  for update;
  if not found then
    perform ops_unknown('proposal', ops_pending_proposal.proposal_id);
  end if;
  if found_proposal.status <> 'pending' then
    raise exception using
      errcode = 'OP009',
      message = format(
        'proposal %s is already %s%s',
        found_proposal.id,
        found_proposal.status,
        coalesce(' by ' || found_proposal.decided_by, '')
      );
  end if;
  if found_proposal.expires_at <= ops_now() then
    raise exception using
      errcode = 'OP009',
      message = format('proposal %s expired at %s: propose it again', found_proposal.id, found_proposal.expires_at);
  end if;
  return found_proposal;
end
$$;

comment on function ops_pending_proposal(bigint) is 'The proposal, locked, while it waits for a decision; raises OP001, OP009.';

create or replace function ops_approve(proposal_id bigint, decided_by text)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_proposal ops_mission_proposals;
  refusal jsonb;
begin
  perform ops_check_decider(decided_by);
  perform ops_pass_proposal_door();
  found_proposal := ops_pending_proposal(ops_approve.proposal_id);
  perform ops_check_proposal(
    found_proposal.agent_id, found_proposal.title, found_proposal.steps, found_proposal.source, null, null
  );
  -- Kinds are read from the steps again: what is approved is what will be done.
  update ops_mission_proposals as mine
  set
    kinds = ops_step_kinds_of(found_proposal.steps),
    normal_title = ops_normal_title(found_proposal.title)
  where mine.id = found_proposal.id
  returning * into found_proposal;
  refusal := ops_gate_refusal(found_proposal.kinds, found_proposal.simulated);
  if refusal is not null then
    raise exception using
      errcode = 'OP010',
      message = format(
        'proposal %s stays pending: %s (policy %s, version %s)',
        found_proposal.id, refusal ->> 'reason', refusal ->> 'policy', coalesce(refusal ->> 'policy_version', 'none')
      ),
      detail = (refusal - 'reason')::text;
  end if;
  found_proposal := ops_let_in(found_proposal, trim(ops_approve.decided_by));
  return found_proposal.mission_id;
end
$$;

comment on function ops_approve(bigint, text) is
  'The pending proposal is accepted; returns the id of its mission. Raises OP001, OP009 when it was decided, OP010 when a gate is'
  ' full now (it stays pending), and what ops_propose raises for what can no longer be.';

create or replace function ops_turn_down(
  pending ops_mission_proposals,
  gate text,
  decided_by text,
  reason text
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  given ops_mission_proposals;
begin
  update ops_mission_proposals as mine
  set
    status = 'rejected',
    rejection_reason = left(trim(reason), 4000),
    decision = mine.decision || jsonb_build_object('gate', gate),
    decided_by = ops_turn_down.decided_by,
    decided_at = ops_now(),
    expires_at = null
  where mine.id = pending.id
  returning * into given;
  perform ops_tell_of_proposal('proposal_rejected', given);
end
$$;

comment on function ops_turn_down(ops_mission_proposals, text, text, text) is
  'The proposal, locked by the caller, is rejected with the reason, and an event tells so.';

create or replace function ops_reject(proposal_id bigint, decided_by text, reason text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_proposal ops_mission_proposals;
begin
  perform ops_check_decider(decided_by);
  if coalesce(trim(reason), '') = '' then
    raise exception using errcode = 'OP004', message = 'a rejection needs a reason: it becomes a lesson of the proposer';
  end if;
  found_proposal := ops_pending_proposal(ops_reject.proposal_id);
  perform ops_turn_down(found_proposal, 'person', trim(ops_reject.decided_by), reason);
  perform ops_learn_from_rejection(
    found_proposal.agent_id,
    found_proposal.title,
    reason,
    'proposal:' || found_proposal.id,
    found_proposal.simulated
  );
end
$$;

comment on function ops_reject(bigint, text, text) is
  'The pending proposal is rejected and the reason a lesson of its agent. Raises OP001, OP004, OP009.';

create or replace function ops_learn_from_rejection(
  agent_id text,
  title text,
  reason text,
  trace text,
  simulated boolean
)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  -- The memory may not be there yet, or the agent no longer: a person's no counts all the same.
  if not exists (
    select
    from pg_proc as proc
    where proc.pronamespace = 'public'::regnamespace
      and proc.proname = 'ops_remember'
  ) or not exists (select from ops_agents as agent where agent.id = ops_learn_from_rejection.agent_id) then
    return;
  end if;
  perform ops_remember(
    agent_id => ops_learn_from_rejection.agent_id,
    type => 'lesson',
    content => left(format('"%s" was rejected: %s', left(ops_learn_from_rejection.title, 150), trim(reason)), 500),
    confidence => 0.75,
    tags => array['rejection'],
    source_trace_id => trace,
    simulated => ops_learn_from_rejection.simulated,
    trust => 'human'
  );
end
$$;

comment on function ops_learn_from_rejection(text, text, text, text, boolean) is
  'The reason of a rejection is a lesson of the agent, when there is a memory to keep it in.';

create or replace function ops_cancel_proposal(proposal_id bigint, reason text default 'cancelled by hand')
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  found_proposal ops_mission_proposals;
begin
  select *
  into found_proposal
  from ops_mission_proposals as proposal
  where proposal.id = ops_cancel_proposal.proposal_id
  for update;
  if not found then
    perform ops_unknown('proposal', ops_cancel_proposal.proposal_id);
  end if;
  if found_proposal.status <> 'pending' then
    return false;
  end if;
  perform ops_turn_down(found_proposal, 'cancelled', session_user::text, reason);
  return true;
end
$$;

comment on function ops_cancel_proposal(bigint, text) is 'See ops_cancel: a pending proposal is withdrawn; nobody learns from it.';
