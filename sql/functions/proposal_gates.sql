-- What a proposal has to pass: limits, gates, sameness, the depth of its chain, and what needs a person's yes. Whoever counts has
-- passed the door (ops_pass_proposal_door) in an earlier statement, so that the counting statement sees everybody who passed before.
-- Fail closed: a policy that is missing refuses; a kind of which nobody said that it needs no approval needs it.

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
