-- Why a thing is where it is, for each sort of thing, and ops_why, which knows them all. What the answers are made of is in why.sql.

create or replace function ops_why_step(step_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  step ops_mission_steps;
  before ops_mission_steps;
  rule ops_policy;
begin
  select * into step from ops_mission_steps as row where row.id = step_id;
  if not found then
    perform ops_unknown('step', step_id);
  end if;
  if step.status = 'waiting' and step.hold is not null then
    select * into rule from ops_policy as policy where policy.key = 'hold_step_kinds';
    return query select * from ops_why_because(
      'held',
      format(
        'it waits for a person''s approval since %s: steps of kind %s are held (policy hold_step_kinds, version %s); unreleased it expires at %s',
        ops_said_at(step.held_at), step.kind, coalesce(rule.version::text, 'none'), ops_said_at(step.held_at + ops_approval_time())
      ),
      jsonb_build_object(
        'since', step.held_at,
        'expires_at', step.held_at + ops_approval_time(),
        'kind', step.kind,
        'policy', 'hold_step_kinds',
        'policy_version', rule.version
      )
    );
  elsif step.status = 'waiting' then
    select *
    into before
    from ops_mission_steps as earlier
    where earlier.mission_id = step.mission_id
      and (earlier.seq, earlier.id) < (step.seq, step.id)
      and earlier.status in ('waiting', 'queued', 'running')
    order by earlier.seq, earlier.id
    limit 1;
    return query select * from ops_why_because(
      'predecessor',
      coalesce(
        format('it comes after step %s (%s), which is %s', before.id, before.kind, case when before.hold is null then before.status else 'held' end),
        'it waits for its turn'
      ),
      jsonb_build_object('step_id', before.id, 'kind', before.kind, 'status', before.status)
    );
  elsif step.status = 'queued' then
    return query select * from ops_why_queued(
      'mission',
      step.kind,
      step.agent_id,
      (select known.services from ops_step_kinds as known where known.kind = step.kind),
      step.run_at,
      step.attempt,
      step.max_attempts,
      step.failure_reason,
      (
        select count(*)
        from ops_mission_steps as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-step.priority, step.run_at, step.id)
      )
    );
  elsif step.status = 'running' then
    return query select * from ops_why_running(step.claimed_by, step.started_at, step.attempt);
  elsif step.ended_by is not null then
    return query select * from ops_why_because(
      'mission_ended',
      format('%s (step %s)', coalesce(step.failure_reason, 'its mission has ended'), step.ended_by),
      jsonb_build_object('step_id', step.ended_by, 'mission_id', step.mission_id, 'at', step.completed_at)
    );
  elsif step.hold is not null and step.status = 'cancelled' then
    return query select * from ops_why_because(
      'rejected',
      format('it was not released: %s', coalesce(step.failure_reason, 'no reason is known')),
      jsonb_build_object(
        'at', step.completed_at,
        'reason', step.failure_reason,
        'by', (
          select event.metadata ->> 'decided_by'
          from ops_agent_events as event
          where event.kind = 'step_rejected'
            and event.metadata ->> 'step_id' = step.id::text
          order by event.id desc
          limit 1
        )
      )
    );
  else
    return query select * from ops_why_ended(
      step.status, step.completed_at, step.failure_reason, step.attempt, step.crashes, step.simulated
    );
  end if;
end
$$;

comment on function ops_why_step(bigint) is 'See ops_why.';

create or replace function ops_why_roundtable(roundtable_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  talk ops_roundtable_queue;
begin
  select * into talk from ops_roundtable_queue as row where row.id = roundtable_id;
  if not found then
    perform ops_unknown('roundtable', roundtable_id);
  end if;
  if talk.status in ('waiting', 'queued') then
    return query select * from ops_why_queued(
      'roundtable',
      talk.format,
      null,
      array['anthropic'],
      talk.run_at,
      talk.attempt,
      talk.max_attempts,
      talk.failure_reason,
      (
        select count(*)
        from ops_roundtable_queue as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-talk.priority, talk.run_at, talk.id)
      )
    );
  elsif talk.status = 'running' then
    return query select * from ops_why_running(talk.claimed_by, talk.started_at, talk.attempt);
  else
    return query select * from ops_why_ended(
      talk.status, talk.completed_at, talk.failure_reason, talk.attempt, talk.crashes, talk.simulated
    );
  end if;
end
$$;

comment on function ops_why_roundtable(bigint) is 'See ops_why.';

create or replace function ops_why_initiative(initiative_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  idea ops_initiative_queue;
begin
  select * into idea from ops_initiative_queue as row where row.id = initiative_id;
  if not found then
    perform ops_unknown('initiative', initiative_id);
  end if;
  if idea.status in ('waiting', 'queued') then
    return query select * from ops_why_queued(
      'initiative',
      'initiative',
      null,
      array['anthropic'],
      idea.run_at,
      idea.attempt,
      idea.max_attempts,
      idea.failure_reason,
      (
        select count(*)
        from ops_initiative_queue as other
        where other.status = 'queued'
          and other.run_at <= ops_now()
          and (-other.priority, other.run_at, other.id) < (-idea.priority, idea.run_at, idea.id)
      )
    );
  elsif idea.status = 'running' then
    return query select * from ops_why_running(idea.claimed_by, idea.started_at, idea.attempt);
  else
    return query select * from ops_why_ended(
      idea.status, idea.completed_at, idea.failure_reason, idea.attempt, idea.crashes, idea.simulated
    );
  end if;
end
$$;

comment on function ops_why_initiative(bigint) is 'See ops_why.';

create or replace function ops_why_proposal(proposal_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  asked ops_mission_proposals;
  gate text;
begin
  select * into asked from ops_mission_proposals as row where row.id = proposal_id;
  if not found then
    perform ops_unknown('proposal', proposal_id);
  end if;
  gate := asked.decision ->> 'gate';
  return query select * from ops_why_because(
    case
      when asked.status = 'pending' then 'pending_approval'
      when asked.status = 'accepted' and asked.decided_by = 'auto_approve' then 'approved_by_policy'
      when asked.status = 'accepted' then 'approved'
      when gate = 'person' then 'rejected'
      when gate in ('expired', 'cancelled') then gate
      else 'gate'
    end,
    case
      when asked.status = 'pending' then format(
        'it waits for a person''s yes, because of %s (policy %s, version %s); undecided it expires at %s',
        coalesce((select string_agg(kind, ', ') from jsonb_array_elements_text(asked.decision -> 'to_approve') as kind), 'its kinds'),
        coalesce(asked.decision ->> 'policy', 'auto_approve'),
        coalesce(asked.decision ->> 'policy_version', 'none'),
        ops_said_at(asked.expires_at)
      )
      when asked.status = 'accepted' and asked.decided_by = 'auto_approve' then format(
        'policy %s, version %s, let all its kinds in without a person; it became mission %s',
        coalesce(asked.decision ->> 'policy', 'auto_approve'), coalesce(asked.decision ->> 'policy_version', 'none'), asked.mission_id
      )
      when asked.status = 'accepted' then format(
        '%s approved it at %s%s; it became mission %s',
        asked.decided_by,
        ops_said_at(asked.decided_at),
        case when asked.edited_by is not null then format(', changed by %s', asked.edited_by) else '' end,
        asked.mission_id
      )
      when gate = 'person' then format('%s rejected it at %s: %s', asked.decided_by, ops_said_at(asked.decided_at), asked.rejection_reason)
      when gate = 'expired' then format('nobody decided about it in time: it expired at %s', ops_said_at(asked.decided_at))
      when gate = 'cancelled' then format('%s withdrew it at %s', coalesce(asked.decided_by, 'somebody'), ops_said_at(asked.decided_at))
      else format(
        'gate %s turned it away: %s%s',
        coalesce(gate, '?'),
        asked.rejection_reason,
        coalesce(format(' (policy %s, version %s)', asked.decision ->> 'policy', asked.decision ->> 'policy_version'), '')
      )
    end,
    asked.decision || jsonb_build_object(
      'mission_id', asked.mission_id,
      'by', asked.decided_by,
      'at', asked.decided_at,
      'expires_at', asked.expires_at,
      'edited_by', asked.edited_by,
      'reason', asked.rejection_reason
    )
  );
end
$$;

comment on function ops_why_proposal(bigint) is 'See ops_why.';

create or replace function ops_why_mission(mission_id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  mission ops_missions;
  head ops_mission_steps;
  told record;
  origin jsonb;
begin
  select * into mission from ops_missions as row where row.id = ops_why_mission.mission_id;
  if not found then
    perform ops_unknown('mission', ops_why_mission.mission_id);
  end if;
  origin := jsonb_build_object(
    'created_by', mission.created_by,
    'proposal_id', mission.proposal_id,
    'approved_by', (select asked.decided_by from ops_mission_proposals as asked where asked.id = mission.proposal_id)
  );
  if mission.status in ('approved', 'running') then
    select *
    into head
    from ops_mission_steps as step
    where step.mission_id = mission.id
      and step.status in ('waiting', 'queued', 'running')
    order by step.seq, step.id
    limit 1;
    if not found then
      return query select * from ops_why_because('no_steps', 'it has no step to do', origin);
      return;
    end if;
    select why.* into told from ops_why_step(head.id) as why;
    return query select * from ops_why_because(
      told.facts ->> 'because',
      format('it is at step %s (%s): %s', head.id, head.kind, told.sentence),
      origin || (told.facts - 'because') || jsonb_build_object('step_id', head.id, 'kind', head.kind)
    );
    return;
  end if;
  return query select * from ops_why_because(
    mission.status,
    case mission.status
      when 'succeeded' then format('all its steps succeeded, the last at %s', ops_said_at(mission.completed_at))
      else format(
        'it %s at %s: %s',
        case mission.status when 'failed' then 'failed' else 'was cancelled' end,
        ops_said_at(mission.completed_at),
        coalesce(left(mission.failure_reason, 1000), 'no reason is known')
      )
    end,
    origin || jsonb_build_object(
      'at', mission.completed_at,
      'reason', mission.failure_reason,
      'step_id', (
        select step.id
        from ops_mission_steps as step
        where step.mission_id = mission.id
          and step.status in ('failed', 'cancelled')
          and step.ended_by is null
        order by step.status desc, step.seq, step.id
        limit 1
      )
    )
  );
end
$$;

comment on function ops_why_mission(bigint) is 'See ops_why.';

create or replace function ops_why(what text, id bigint)
returns table (sentence text, facts jsonb)
language plpgsql
stable
set search_path = public, pg_temp
as $$
#variable_conflict use_column
begin
  case what
    when 'step' then return query select * from ops_why_step(ops_why.id);
    when 'mission' then return query select * from ops_why_mission(ops_why.id);
    when 'roundtable' then return query select * from ops_why_roundtable(ops_why.id);
    when 'initiative' then return query select * from ops_why_initiative(ops_why.id);
    when 'proposal' then return query select * from ops_why_proposal(ops_why.id);
    else perform ops_unknown(what, ops_why.id);
  end case;
end
$$;

comment on function ops_why(text, bigint) is
  'Why the step, mission, roundtable, initiative or proposal is where it is: one sentence and its facts; facts ->> ''because'' is the'
  ' kind of answer in a word. Raises OP001, OP002.';
