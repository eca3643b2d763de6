-- name: register
-- This process is in the fleet.
insert into ops_workers (id, hostname, pid, version, parts, kinds, agent_id, liveness_key, state)
values (
  %(id)s,
  %(hostname)s,
  %(pid)s,
  %(version)s,
  %(parts)s,
  %(kinds)s,
  %(agent)s,
  %(liveness_key)s,
  'starting'
)
on conflict on constraint ops_workers_pkey do nothing;

-- name: set_state
-- The process is starting, ready, stopping or stopped.
update ops_workers
set
  state = %(state)s,
  heartbeat_at = ops_now()
where id = %(id)s;

-- name: live
-- This session counts as the process being alive, for as long as it lasts.
select pg_advisory_lock_shared(1987014778, %(liveness_key)s);

-- name: beat
-- The heartbeat, the look for dead peers, and whether anything is due, in one statement.
with beat as (
  update ops_workers
  set heartbeat_at = ops_now()
  where id = %(id)s
  returning id
),
peers as materialized (
  select peer.id, peer.liveness_key
  from ops_workers as peer
  where peer.id <> %(id)s
    and peer.state in ('starting', 'ready', 'stopping')
)
select
  exists (select from beat) as registered,
  array(
    select peers.id
    from peers
    where pg_try_advisory_xact_lock(1987014778, peers.liveness_key)
  ) as dead,
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
  ) as strangers;

-- name: bury
-- The dead process is marked so; true for the one who did it.
update ops_workers as worker
set state = 'dead'
where worker.id = %(id)s
  and worker.state in ('starting', 'ready', 'stopping')
returning true;
