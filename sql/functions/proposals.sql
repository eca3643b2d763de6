-- Proposals: the one entry, and what is let in. The gates are in proposal_gates.sql, people's decisions in proposal_decisions.sql.
--
-- Lock order: the door (ops_proposal_door), the proposal, then what a new mission takes.

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
