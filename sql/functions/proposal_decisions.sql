-- Proposals decided by people: approved, rejected, withdrawn, each exactly once. Lock order: see proposals.sql.

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
