-- name: claim
-- Up to %(limit)s due rows, the most urgent first; running, fenced by %(token)s.
with due as materialized (
  select talk.id
  from ops_roundtable_queue as talk
  where talk.status = 'queued'
    and talk.run_at <= (select ops_now())
    and not exists (select from ops_pauses as pause where pause.queue = 'roundtable')
    and (select set_config('synchronous_commit', 'off', true)) = 'off'
  order by talk.priority desc, talk.run_at, talk.id
  limit %(limit)s
  for no key update skip locked
)
update ops_roundtable_queue as talk
set
  status = 'running',
  attempt = least(talk.attempt + 1, talk.max_attempts),
  claimed_by = %(worker)s,
  claim_token = %(token)s,
  started_at = ops_now()
from due
where talk.id = due.id
returning
  talk.id,
  talk.priority,
  talk.run_at,
  talk.attempt,
  talk.max_attempts,
  talk.simulated,
  talk.format,
  talk.topic,
  talk.participants,
  talk.claim_token;

-- name: next_due
-- Seconds until the next row this reactor may take is due; 0 or less when one is due already, null when there is none.
select extract(epoch from talk.run_at - ops_now())::float8
from ops_roundtable_queue as talk
where talk.status = 'queued'
  and not exists (select from ops_pauses as pause where pause.queue = 'roundtable')
order by talk.run_at
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
  update ops_roundtable_queue as talk
  set
    status = 'succeeded',
    result = outcome.result,
    simulated = outcome.simulated,
    started_at = talk.started_at + outcome.waited_s * interval '1 second',
    completed_at = ops_now(),
    failure_reason = null
  from outcome
  where talk.id = outcome.id
    and talk.claim_token = outcome.token
    and talk.status = outcome.expected
  returning talk.id, null::text as agent_id, talk.format as title
),
told as (
  insert into ops_agent_events (kind, agent_id, title, tags, metadata)
  select
    'roundtable_succeeded',
    done.agent_id,
    done.title,
    array['roundtable', done.title],
    jsonb_build_object('roundtable_id', done.id)
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
  update ops_roundtable_queue as talk
  set
    status = outcome.status,
    attempt = greatest(talk.attempt + outcome.attempts, 0),
    run_at = case
      when outcome.status = 'queued' and outcome.delay_s > 0 then ops_now() + outcome.delay_s * interval '1 second'
      else talk.run_at
    end,
    started_at = case when outcome.status = 'queued' then null else talk.started_at end,
    completed_at = case when outcome.status = 'queued' then null else ops_now() end,
    claimed_by = case when outcome.status = 'queued' then null else talk.claimed_by end,
    failure_reason = outcome.reason
  from outcome
  where talk.id = outcome.id
    and talk.claim_token = outcome.token
    and talk.status = outcome.expected
  returning talk.id, talk.status, talk.attempt, null::text as agent_id, talk.format as title, outcome.reason, outcome.attempts
),
told as (
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
  select
    case settled.status when 'queued' then 'roundtable_retried' else 'roundtable_' || settled.status end,
    settled.agent_id,
    settled.title,
    left(settled.reason, 4000),
    array['roundtable', settled.title],
    jsonb_build_object('roundtable_id', settled.id, 'attempt', settled.attempt)
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
  update ops_roundtable_queue as talk
  set
    status = case when talk.crashes >= 2 then 'failed' else 'queued' end,
    attempt = greatest(talk.attempt - 1, 0),
    crashes = least(talk.crashes, 32766) + 1,
    started_at = case when talk.crashes >= 2 then talk.started_at end,
    completed_at = case when talk.crashes >= 2 then ops_now() end,
    claimed_by = case when talk.crashes >= 2 then talk.claimed_by end,
    failure_reason = case
      when talk.crashes >= 2 then left('poison: a crash or a broken connection ended it 3 times; the last: ' || outcome.reason, 4000)
      else outcome.reason
    end
  from outcome
  where talk.id = outcome.id
    and talk.claim_token = outcome.token
    and talk.status = outcome.expected
  returning talk.id, talk.status, talk.format, talk.failure_reason, talk.crashes
),
told as (
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    case given.status when 'failed' then 'roundtable_failed' else 'roundtable_rescued' end,
    given.format,
    given.failure_reason,
    array['roundtable', given.format],
    jsonb_build_object('roundtable_id', given.id, 'crashes', given.crashes)
  from given
)
select given.id, given.status
from given;

-- name: still_mine
-- Of the rows those that are still running under their token.
select talk.id
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id
  from ops_roundtable_queue as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status = 'running'
  limit 1
) as talk;

-- name: finished_under
-- Of the rows those that are finished under their token: what a broken commit had done after all.
select talk.id, talk.status
from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as mine (id, token)
cross join lateral (
  select one.id, one.status
  from ops_roundtable_queue as one
  where one.id = mine.id
    and one.claim_token = mine.token
    and one.status in ('succeeded', 'failed', 'cancelled', 'queued')
  limit 1
) as talk;

-- name: release
-- Whatever is still running under %(token)s (null: under any) and claimed by %(worker)s goes back as if never taken.
update ops_roundtable_queue as talk
set
  status = 'queued',
  attempt = greatest(talk.attempt - 1, 0),
  claimed_by = null,
  started_at = null
where talk.status = 'running'
  and talk.claimed_by = %(worker)s
  and (%(token)s::uuid is null or talk.claim_token = %(token)s);
