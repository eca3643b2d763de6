-- name: claim
-- Up to %(limit)s due rows, the most urgent first; running, fenced by %(token)s.
with due as materialized (
  select idea.id
  from ops_initiative_queue as idea
  where idea.status = 'queued'
    and idea.run_at <= (select ops_now())
    and not exists (select from ops_pauses as pause where pause.queue = 'initiative')
    and (select set_config('synchronous_commit', 'off', true)) = 'off'
  order by idea.priority desc, idea.run_at, idea.id
  limit %(limit)s
  for no key update skip locked
)
update ops_initiative_queue as idea
set
  status = 'running',
  attempt = least(idea.attempt + 1, idea.max_attempts),
  claimed_by = %(worker)s,
  claim_token = %(token)s,
  started_at = ops_now()
from due
where idea.id = due.id
returning
  idea.id,
  idea.priority,
  idea.run_at,
  idea.attempt,
  idea.max_attempts,
  idea.simulated,
  idea.agent_id,
  idea.trigger_reason;

-- name: next_due
-- Seconds until the next row this reactor may take is due; 0 or less when one is due already, null when there is none.
select extract(epoch from idea.run_at - ops_now())::float8
from ops_initiative_queue as idea
where idea.status = 'queued'
  and not exists (select from ops_pauses as pause where pause.queue = 'initiative')
order by idea.run_at
limit 1;

-- name: succeed
-- Those of the rows that are still running under their token have succeeded, each with its event; returns their ids.
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
  update ops_initiative_queue as idea
  set
    status = 'succeeded',
    result = outcome.result,
    simulated = outcome.simulated,
    memory_influenced = coalesce(outcome.result -> 'memory_influenced' = 'true', false),
    proposal_id = case jsonb_typeof(outcome.result -> 'proposal_id')
      when 'number' then (outcome.result ->> 'proposal_id')::bigint
    end,
    started_at = idea.started_at + outcome.waited_s * interval '1 second',
    completed_at = ops_now(),
    failure_reason = null
  from outcome
  where idea.id = outcome.id
    and idea.claim_token = outcome.token
    and idea.status = outcome.expected
  returning idea.id, idea.agent_id as agent_id, left(coalesce(idea.trigger_reason, 'initiative'), 500) as title
),
told as (
  insert into ops_agent_events (kind, agent_id, title, tags, metadata)
  select
    'initiative_succeeded',
    done.agent_id,
    done.title,
    array['initiative'],
    jsonb_build_object('initiative_id', done.id)
  from done
)
select done.id
from done;

-- name: settle
-- Those of the rows that are still running under their token are where their outcome says; returns id and status.
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
  update ops_initiative_queue as idea
  set
    status = outcome.status,
    attempt = greatest(idea.attempt + outcome.attempts, 0),
    run_at = case
      when outcome.status = 'queued' and outcome.delay_s > 0 then ops_now() + outcome.delay_s * interval '1 second'
      else idea.run_at
    end,
    started_at = case when outcome.status = 'queued' then null else idea.started_at end,
    completed_at = case when outcome.status = 'queued' then null else ops_now() end,
    claimed_by = case when outcome.status = 'queued' then null else idea.claimed_by end,
    failure_reason = outcome.reason
  from outcome
  where idea.id = outcome.id
    and idea.claim_token = outcome.token
    and idea.status = outcome.expected
  returning idea.id, idea.status, idea.attempt, idea.agent_id as agent_id, left(coalesce(idea.trigger_reason, 'initiative'), 500) as title, outcome.reason, outcome.attempts
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  select
    case settled.status when 'queued' then 'initiative_retried' else 'initiative_' || settled.status end,
    settled.agent_id,
    settled.title,
    left(settled.reason, 4000),
    array['initiative'],
    jsonb_build_object('initiative_id', settled.id, 'attempt', settled.attempt)
  from settled
  where settled.status <> 'queued' or settled.attempts = 0
)
select settled.id, settled.status
from settled;

-- name: interrupt
-- Those of the rows that are still running under their token are queued again, or failed as poison at the third crash.
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
  update ops_initiative_queue as idea
  set
    status = case when idea.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(idea.attempt - 1, 0),
    crashes = least(idea.crashes, 32766) + 1,
    started_at = case when idea.crashes >= 2 then idea.started_at end,
    completed_at = case when idea.crashes >= 2 then ops_now() end,
    claimed_by = case when idea.crashes >= 2 then idea.claimed_by end,
    failure_reason = case
      when idea.crashes >= 2 then left('poison: a crash or a broken connection ended it 3 times; the last: ' || outcome.reason, 4000)
      else outcome.reason
    end
  from outcome
  where idea.id = outcome.id
    and idea.claim_token = outcome.token
    and idea.status = outcome.expected
  returning idea.id, idea.status, idea.agent_id, idea.failure_reason, idea.crashes
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  select
    case given.status when 'failed' then 'initiative_failed' else 'initiative_rescued' end,
    given.agent_id,
    'initiative',
    given.failure_reason,
    array['initiative'],
    jsonb_build_object('initiative_id', given.id, 'crashes', given.crashes)
  from given
)
select given.id, given.status
from given;

-- name: still_mine
-- Of the rows those that are still running under their token.
select idea.id
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id
  from ops_initiative_queue as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status = 'running'
  limit 1
) as idea;

-- name: finished_under
-- Of the rows those that are finished under their token: what a broken commit had done after all.
select idea.id, idea.status
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id, one.status
  from ops_initiative_queue as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status in ('succeeded', 'failed', 'cancelled', 'queued')
  limit 1
) as idea;

-- name: release
-- Whatever is still running under %(token)s (null: under any) and claimed by %(worker)s goes back as if never taken.
update ops_initiative_queue as idea
set
  status = 'queued',
  attempt = greatest(idea.attempt - 1, 0),
  claimed_by = null,
  started_at = null
where idea.status = 'running'
  and idea.claimed_by = %(worker)s
  and (%(token)s::uuid is null or idea.claim_token = %(token)s);
