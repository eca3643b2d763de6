-- name: announce
-- Whoever watches hears that there are new events; a word that a crash swallows is no loss.
select pg_notify('ops_events', '')
where set_config('synchronous_commit', 'off', true) = 'off';

-- name: say_begun
-- Whoever watches hears that some work has begun, which is no event.
select pg_notify('ops_events', 'began')
where set_config('synchronous_commit', 'off', true) = 'off';

-- name: watch
-- This session watches the events, without a reactor of its own; the beats see the lock.
select pg_advisory_lock_shared(1987014781, 1);

-- name: say_watching
-- Every reactor hears that somebody watches.
select pg_notify('ops_control', 'viewers');

-- name: set_viewers
-- So many watch at this process; every reactor hears when they are the first here.
with before as (
  select worker.id, worker.viewers
  from ops_workers as worker
  where worker.id = %(id)s
    and worker.viewers <> %(viewers)s
  for no key update
),
changed as (
  update ops_workers as worker
  set viewers = %(viewers)s
  from before
  where worker.id = before.id
  returning before.viewers
)
select pg_notify('ops_control', 'viewers')
from changed
where changed.viewers = 0;

-- name: horizon
-- For how long (seconds) the oldest transaction that has written is open, and whose it is; no row while none is.
-- Who may not see others' sessions sees its age only.
select
  extract(epoch from clock_timestamp() - oldest.since)::float8 as age_s,
  oldest.held_by
from (
  select
    session.backend_xid as xid,
    session.xact_start as since,
    format(
      'session %s of %s in database %s%s (%s)',
      session.pid,
      coalesce(session.usename, '?'),
      coalesce(session.datname, '?'),
      coalesce(', ' || nullif(left(session.application_name, 63), ''), ''),
      coalesce(session.state, '?')
    ) as held_by
  from pg_stat_activity as session
  where session.backend_xid is not null
    and session.pid <> pg_backend_pid()
  union all
  select
    prepared.transaction as xid,
    prepared.prepared as since,
    format('prepared transaction %L of %s in database %s', left(prepared.gid, 63), prepared.owner, prepared.database) as held_by
  from pg_prepared_xacts as prepared
) as oldest
order by age(oldest.xid) desc
limit 1;
