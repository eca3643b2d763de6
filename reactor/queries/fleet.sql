-- name: fleet
-- Every reactor known, the living first, then the latest. Live: its heartbeat is at most 15 s old and its liveness lock is held.
-- A reactor that cannot hold locks, behind a transaction-pooling proxy, says so by the key 0.
select
  worker.id,
  worker.hostname,
  worker.pid,
  worker.version,
  worker.generation,
  worker.parts,
  worker.kinds,
  worker.agent_id,
  worker.state,
  worker.started_at,
  worker.heartbeat_at,
  worker.state in ('starting', 'ready', 'stopping')
    and worker.heartbeat_at > (select ops_now()) - interval '15 seconds'
    and (
      worker.liveness_key = 0
      or exists (
        select
        from pg_locks as lock
        where lock.locktype = 'advisory'
          and lock.classid = 1987014778
          and lock.objid = worker.liveness_key::oid
          and lock.objsubid = 2
          and lock.mode = 'ShareLock'
          and lock.granted
          and lock.database = (select base.oid from pg_database as base where base.datname = current_database())
      )
    ) as live,
  worker.viewers,
  worker.vitals
from ops_workers as worker
order by live desc, worker.started_at desc
limit %(limit)s;

-- name: pages
-- Where the pages of the reactors are that serve one.
select worker.id, worker.url
from ops_workers as worker
where worker.url is not null
order by worker.started_at desc
limit 1000;

-- name: say_page
-- The reactor serves its page at the address.
update ops_workers
set url = %(url)s
where id = %(id)s;
