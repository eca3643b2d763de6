-- name: register
-- This process is in the fleet.
insert into ops_workers (id, hostname, pid, version, generation, parts, kinds, agent_id, liveness_key, slots, state)
values (
  %(id)s,
  %(hostname)s,
  %(pid)s,
  %(version)s,
  %(generation)s,
  %(parts)s,
  %(kinds)s,
  %(agent)s,
  %(liveness_key)s,
  %(slots)s::jsonb,
  'starting'
)
on conflict on constraint ops_workers_pkey do nothing;

-- name: set_state
-- The process is starting, ready, stopping or stopped.
update ops_workers
set
  state = %(state)s,
  heartbeat_at = ops_now(),
  working = working and %(state)s <> 'stopped'
where id = %(id)s;

-- name: set_liveness
-- The process holds this liveness lock while it lives; 0: it cannot hold one, behind a transaction-pooling proxy.
update ops_workers
set liveness_key = %(liveness_key)s
where id = %(id)s
  and liveness_key <> %(liveness_key)s;

-- name: live
-- This session counts as the process being alive, for as long as it lasts.
select pg_advisory_lock_shared(1987014778, %(liveness_key)s);

-- name: revive
-- The process that was taken for dead, but was only cut off, is one of the fleet again.
update ops_workers as worker
set state = 'ready'
where worker.liveness_key = %(liveness_key)s
  and worker.liveness_key <> 0
  and worker.state = 'dead';

-- name: say_working
-- The process has rows running, and its peers hear of it.
with said as (
  update ops_workers as worker
  set working = true
  where worker.id = %(id)s
  returning worker.id
)
select pg_notify('ops_control', 'working')
from said;

-- name: look
-- Of the peers with rows running the next two, in the order of their ids as a ring: whether there are any, and who of them is dead.
with peers as materialized (
  select peer.id, peer.liveness_key, peer.heartbeat_at
  from ops_workers as peer
  where peer.id <> %(id)s
    and peer.working
  order by peer.id > %(id)s desc, peer.id
  limit 2
)
select
  exists (select from peers) as working,
  array(
    select peers.id
    from peers
    where ops_worker_is_dead(peers.liveness_key, peers.heartbeat_at)
  ) as dead;

-- name: beat
-- The heartbeat, the look for dead peers, and whether anything is due, in one statement.
with beat as (
  update ops_workers
  set
    heartbeat_at = ops_now(),
    working = %(working)s,
    vitals = %(vitals)s::jsonb,
    state = case state when 'dead' then 'ready' else state end
  where id = %(id)s
  returning id
),
peers as materialized (
  select peer.id, peer.liveness_key, peer.heartbeat_at, peer.working
  from ops_workers as peer
  where peer.id <> %(id)s
    and (peer.working or peer.state in ('starting', 'ready', 'stopping'))
)
select
  exists (select from beat) as registered,
  array(
    select peers.id
    from peers
    where ops_worker_is_dead(peers.liveness_key, peers.heartbeat_at)
  ) as dead,
  exists (select from peers where peers.working) as working,
  %(mission)s and exists (
    select
    from ops_mission_steps as step
    where step.status = 'queued'
      and step.run_at <= (select ops_now())
      and step.kind = any (%(kinds)s)
      and (%(agent)s::text is null or step.agent_id is null or step.agent_id = %(agent)s)
      and not exists (select from ops_pauses as pause where pause.queue = 'mission')
  ) as mission_due,
  %(roundtable)s and exists (
    select
    from ops_roundtable_queue as talk
    where talk.status = 'queued'
      and talk.run_at <= (select ops_now())
      and not exists (select from ops_pauses as pause where pause.queue = 'roundtable')
  ) as roundtable_due,
  %(initiative)s and exists (
    select
    from ops_initiative_queue as idea
    where idea.status = 'queued'
      and idea.run_at <= (select ops_now())
      and not exists (select from ops_pauses as pause where pause.queue = 'initiative')
  ) as initiative_due,
  %(mission)s and exists (
    select
    from (
      select step.kind
      from ops_mission_steps as step
      where step.status = 'queued'
        and step.run_at <= (select ops_now())
      order by step.priority desc, step.run_at, step.id
      limit 1000
    ) as first
    where not first.kind = any (%(kinds)s)
  ) as strangers,
  exists (
    select
    from ops_workers as watched
    where watched.viewers > 0
      and watched.state in ('starting', 'ready', 'stopping')
      and watched.heartbeat_at > (select ops_now()) - interval '15 seconds'
  )
  or exists (
    select
    from pg_locks as watching
    where watching.locktype = 'advisory'
      and watching.classid = 1987014781
      and watching.objsubid = 2
      and watching.database = (select base.oid from pg_database as base where base.datname = current_database())
  ) as watched,
  (select generation.minimum from ops_generation as generation) as minimum,
  (select generation.reason from ops_generation as generation) as reason,
  array(
    select entry.key
    from ops_policy as policy
    cross join lateral jsonb_each(
      case jsonb_typeof(policy.value) when 'object' then policy.value else '{}' end
    ) as entry (key, value)
    where policy.key = 'queue_limits'
      and jsonb_typeof(entry.value) = 'number'
  ) as limited;

-- name: bury
-- The process is marked dead, if it still is: until this transaction ends it cannot come back. True for the one who did it.
update ops_workers as worker
set
  state = 'dead',
  working = false
where worker.id = %(id)s
  and (worker.working or worker.state in ('starting', 'ready', 'stopping'))
  and ops_worker_is_dead(worker.liveness_key, worker.heartbeat_at)
returning true;

-- name: database_birth
-- When the first file of the schema was applied, as text.
select coalesce(min(done.applied_at)::text, current_database())
from ops_migrations as done;
