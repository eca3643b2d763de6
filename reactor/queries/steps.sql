-- name: claim
-- Up to %(limit)s due steps this reactor may take, the most urgent first, at most 32 MiB of payload; running, fenced by %(token)s.
with due as materialized (
  select
    step.id,
    step.payload
  from ops_mission_steps as step
  where step.status = 'queued'
    and step.run_at <= (select ops_now())
    and step.kind = any (%(kinds)s)
    and (%(agent)s::text is null or step.agent_id is null or step.agent_id = %(agent)s)
    and not exists (select from ops_pauses as pause where pause.queue = 'mission')
    and (select set_config('synchronous_commit', 'off', true)) = 'off'
  order by step.priority desc, step.run_at, step.id
  limit %(limit)s
  for no key update skip locked
),
weighed as (
  select
    due.id,
    sum(case when pg_column_size(due.payload) < 2000 then 2000 else octet_length(due.payload::text) end)
      over (rows unbounded preceding) as bytes
  from due
),
taken as (
  select weighed.id
  from weighed
  where weighed.bytes <= 33554432
)
update ops_mission_steps as step
set
  status = 'running',
  attempt = least(step.attempt + 1, step.max_attempts),
  claimed_by = %(worker)s,
  claim_token = %(token)s,
  started_at = (select ops_now())
from taken
where step.id = taken.id
returning
  step.id,
  step.priority,
  step.run_at,
  step.attempt,
  step.max_attempts,
  step.simulated,
  step.mission_id,
  step.seq,
  step.kind,
  step.agent_id,
  step.payload,
  step.root_id;

-- name: claim_from
-- As claim, but each priority is read from the place the last claim had reached, past the dead entries before it.
with due as materialized (
  select
    picked.id,
    picked.payload
  from unnest(
    %(priorities)s::smallint[],
    %(after_run_at)s::timestamptz[],
    %(after_id)s::bigint[]
  ) as place (priority, run_at, id)
  cross join lateral (
    select
      step.id,
      step.payload
    from ops_mission_steps as step
    where step.status = 'queued'
      and step.priority = place.priority
      and (step.run_at, step.id) > (place.run_at, place.id)
      and step.run_at <= (select ops_now())
      and step.kind = any (%(kinds)s)
      and (%(agent)s::text is null or step.agent_id is null or step.agent_id = %(agent)s)
      and not exists (select from ops_pauses as pause where pause.queue = 'mission')
      and (select set_config('synchronous_commit', 'off', true)) = 'off'
    order by step.run_at, step.id
    limit %(limit)s
    for no key update skip locked
  ) as picked
  limit %(limit)s
),
weighed as (
  select
    due.id,
    sum(case when pg_column_size(due.payload) < 2000 then 2000 else octet_length(due.payload::text) end)
      over (rows unbounded preceding) as bytes
  from due
),
taken as (
  select weighed.id
  from weighed
  where weighed.bytes <= 33554432
)
update ops_mission_steps as step
set
  status = 'running',
  attempt = least(step.attempt + 1, step.max_attempts),
  claimed_by = %(worker)s,
  claim_token = %(token)s,
  started_at = (select ops_now())
from taken
where step.id = taken.id
returning
  step.id,
  step.priority,
  step.run_at,
  step.attempt,
  step.max_attempts,
  step.simulated,
  step.mission_id,
  step.seq,
  step.kind,
  step.agent_id,
  step.payload,
  step.root_id;

-- name: next_due
-- Seconds until the next step this reactor may take is due; 0 or less when one is due already, null when there is none.
select extract(epoch from step.run_at - (select ops_now()))::float8
from ops_mission_steps as step
where step.status = 'queued'
  and step.kind = any (%(kinds)s)
  and (%(agent)s::text is null or step.agent_id is null or step.agent_id = %(agent)s)
  and not exists (select from ops_pauses as pause where pause.queue = 'mission')
order by step.run_at
limit 1;

-- name: lock_missions
-- The missions are locked, in the order of their ids: the statement that must come before one that decides about steps.
select mission.id
from ops_missions as mission
where mission.id = any (%(missions)s::bigint[])
order by mission.id
for no key update;

-- name: roll_up
-- The missions, locked before, are where their steps say.
select ops_roll_up(%(missions)s::bigint[]);

-- name: begin_missions
-- Missions whose first step has begun are running.
update ops_missions as mission
set
  status = 'running',
  started_at = (select ops_now())
from (
  select approved.id
  from ops_missions as approved
  where approved.id = any (%(missions)s::bigint[])
    and approved.status = 'approved'
  order by approved.id
  for no key update
) as begun
where mission.id = begun.id;

-- name: succeed
-- Those of the steps that are still running under their token have succeeded, each with its event; returns their ids.
-- The status is compared with a column, not a constant: few rows run, and the planner would start from those.
with outcome as materialized (
  select
    result.id,
    result.token,
    result.waited_s,
    result.simulated,
    result.result,
    'running' as expected
  from rows from (
    unnest(%(ids)s::bigint[]),
    unnest(%(tokens)s::uuid[]),
    unnest(%(waited_s)s::float8[]),
    unnest(%(simulated)s::boolean[]),
    jsonb_array_elements(%(results)s::jsonb)
  ) as result (id, token, waited_s, simulated, result)
),
done as (
  update ops_mission_steps as step
  set
    status = 'succeeded',
    result = outcome.result,
    simulated = outcome.simulated,
    started_at = step.started_at + outcome.waited_s * interval '1 second',
    completed_at = (select ops_now()),
    failure_reason = null
  from outcome
  where step.id = outcome.id
    and step.claim_token = outcome.token
    and step.status = outcome.expected
  returning step.id, step.mission_id, step.kind, step.agent_id, step.root_id, step.depth
),
told as (
  insert into ops_agent_events (kind, agent_id, title, tags, metadata, root_id, depth)
  select
    'step_succeeded',
    done.agent_id,
    done.kind,
    array['step', done.kind],
    jsonb_build_object('step_id', done.id, 'mission_id', done.mission_id),
    done.root_id,
    done.depth
  from done
)
select done.id
from done;

-- name: settle
-- Those of the steps that are still running under their token are where their outcome says; returns id and status.
with outcome as materialized (
  select
    given.id,
    given.token,
    given.status,
    given.attempts,
    given.delay_s,
    given.reason,
    'running' as expected
  from unnest(
    %(ids)s::bigint[],
    %(tokens)s::uuid[],
    %(statuses)s::text[],
    %(attempts)s::smallint[],
    %(delay_s)s::float8[],
    %(reasons)s::text[]
  ) as given (id, token, status, attempts, delay_s, reason)
),
settled as (
  update ops_mission_steps as step
  set
    status = outcome.status,
    attempt = greatest(step.attempt + outcome.attempts, 0),
    run_at = case
      when outcome.status = 'queued' and outcome.delay_s > 0 then (select ops_now()) + outcome.delay_s * interval '1 second'
      else step.run_at
    end,
    started_at = case when outcome.status = 'queued' then null else step.started_at end,
    completed_at = case when outcome.status = 'queued' then null else (select ops_now()) end,
    claimed_by = case when outcome.status = 'queued' then null else step.claimed_by end,
    failure_reason = outcome.reason
  from outcome
  where step.id = outcome.id
    and step.claim_token = outcome.token
    and step.status = outcome.expected
  returning
    step.id,
    step.status,
    step.mission_id,
    step.kind,
    step.agent_id,
    step.attempt,
    step.root_id,
    step.depth,
    outcome.reason,
    outcome.attempts
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  select
    case settled.status when 'queued' then 'step_retried' else 'step_' || settled.status end,
    settled.agent_id,
    settled.kind,
    left(settled.reason, 4000),
    array['step', settled.kind],
    jsonb_build_object('step_id', settled.id, 'mission_id', settled.mission_id, 'attempt', settled.attempt),
    settled.root_id,
    settled.depth
  from settled
  where settled.status <> 'queued' or settled.attempts = 0
)
select settled.id, settled.status
from settled;

-- name: interrupt
-- Those of the steps that are still running under their token are queued again, or failed as poison at the third crash.
-- What interrupted them is like a crash: no attempt is counted. Returns id and status.
with outcome as materialized (
  select
    given.id,
    given.token,
    given.reason,
    'running' as expected
  from unnest(%(ids)s::bigint[], %(tokens)s::uuid[], %(reasons)s::text[]) as given (id, token, reason)
),
given as (
  update ops_mission_steps as step
  set
    status = case when step.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(step.attempt - 1, 0),
    crashes = least(step.crashes, 32766) + 1,
    started_at = case when step.crashes >= 2 then step.started_at end,
    completed_at = case when step.crashes >= 2 then (select ops_now()) end,
    claimed_by = case when step.crashes >= 2 then step.claimed_by end,
    failure_reason = case
      when step.crashes >= 2 then left('poison: a crash or a broken connection ended it 3 times; the last: ' || outcome.reason, 4000)
      else outcome.reason
    end
  from outcome
  where step.id = outcome.id
    and step.claim_token = outcome.token
    and step.status = outcome.expected
  returning
    step.id,
    step.status,
    step.kind,
    step.agent_id,
    step.mission_id,
    step.failure_reason,
    step.crashes,
    step.root_id,
    step.depth
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  select
    case given.status when 'failed' then 'step_failed' else 'step_rescued' end,
    given.agent_id,
    given.kind,
    given.failure_reason,
    array['step', given.kind],
    jsonb_build_object('step_id', given.id, 'mission_id', given.mission_id, 'crashes', given.crashes),
    given.root_id,
    given.depth
  from given
)
select given.id, given.status
from given;

-- name: still_mine
-- Of the steps those that are still running under their token.
select step.id
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id
  from ops_mission_steps as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status = 'running'
  limit 1
) as step;

-- name: finished_under
-- Of the steps those that are finished under their token: what a broken commit had done after all.
select step.id, step.status
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id, one.status
  from ops_mission_steps as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status in ('succeeded', 'failed', 'cancelled', 'queued')
  limit 1
) as step;

-- name: orphaned_kinds
-- Due steps of kinds that no live reactor has had for a minute, or no reactor ever: failed for good; returns id, kind, mission.
with lost as (
  select step.id
  from ops_mission_steps as step
  where step.status = 'queued'
    and step.run_at <= (select ops_now())
    and not step.kind = any (%(kinds)s)
    and not exists (
      select
      from ops_workers as worker
      where step.kind = any (worker.kinds)
        and worker.heartbeat_at > (select ops_now()) - interval '60 seconds'
    )
    and (
      not exists (select from ops_step_kinds as known where known.kind = step.kind)
      or exists (
        select
        from ops_step_kinds as known
        where known.kind = step.kind
          and known.seen_at < (select ops_now()) - interval '60 seconds'
          and step.run_at < (select ops_now()) - interval '60 seconds'
      )
    )
  order by step.id
  limit 500
  for no key update skip locked
),
failed as (
  update ops_mission_steps as step
  set
    status = 'failed',
    completed_at = (select ops_now()),
    failure_reason = 'no reactor knows the kind ' || step.kind || '; known are '
      || (
        select coalesce(string_agg(known.kind, ', ' order by known.kind), 'none')
        from ops_step_kinds as known
        where known.kind <> step.kind
      )
  from lost
  where step.id = lost.id
  returning step.id, step.kind, step.mission_id, step.agent_id, step.failure_reason, step.root_id, step.depth
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  select
    'step_failed',
    failed.agent_id,
    failed.kind,
    left(failed.failure_reason, 4000),
    array['step', left(failed.kind, 100)],
    jsonb_build_object('step_id', failed.id, 'mission_id', failed.mission_id),
    failed.root_id,
    failed.depth
  from failed
)
select failed.id, failed.kind, failed.mission_id
from failed;

-- name: release
-- Whatever is still running under %(token)s (null: under any) and claimed by %(worker)s goes back as if never taken.
-- As a rescue, this reads the whole table: on the way out, and when a claim's answer was lost.
update ops_mission_steps as step
set
  status = 'queued',
  attempt = greatest(step.attempt - 1, 0),
  claimed_by = null,
  started_at = null
where step.status = 'running'
  and step.claimed_by = %(worker)s
  and (%(token)s::uuid is null or step.claim_token = %(token)s);
