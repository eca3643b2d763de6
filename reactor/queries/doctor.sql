-- name: server
-- Version, and the settings that silence triggers or hold events back.
select
  current_setting('server_version') as version,
  current_setting('server_version_num')::integer as version_number,
  current_setting('session_replication_role') as replication_role,
  pg_is_in_recovery() as in_recovery,
  current_setting('transaction_read_only') = 'on' as read_only;

-- name: clock
-- The clock that everything is due by, in seconds since 1970.
select extract(epoch from ops_now())::double precision;

-- name: triggers
-- The triggers on tables of ours, each with whether it fires for ordinary sessions.
select
  trigger.tgname::text as name,
  trigger.tgrelid::regclass::text as on_table,
  trigger.tgenabled in ('O', 'A') as enabled
from pg_trigger as trigger
join pg_class as class on class.oid = trigger.tgrelid
where not trigger.tgisinternal
  and class.relnamespace = 'public'::regnamespace
  and class.relname ~ '^ops_'
order by name;

-- name: open_tables
-- Tables of ours without row-level security.
select class.relname::text as name
from pg_class as class
where class.relnamespace = 'public'::regnamespace
  and class.relkind in ('r', 'p')
  and class.relname ~ '^ops_'
  and not class.relrowsecurity
order by name;

-- name: missing_rights
-- Tables of ours this role cannot read and write; those that only a migration writes are only read.
select class.relname::text as name
from pg_class as class
where class.relnamespace = 'public'::regnamespace
  and class.relkind in ('r', 'p')
  and class.relname ~ '^ops_'
  and class.relname <> 'ops_migrations'
  and not (
    has_table_privilege(class.oid, 'select')
    and (
      class.relname in ('ops_webhook_key', 'ops_generation', 'ops_schema_objects', 'ops_guarded')
      or has_table_privilege(class.oid, 'insert')
      and has_table_privilege(class.oid, 'update')
      and has_table_privilege(class.oid, 'delete')
    )
  )
order by name;

-- name: hidden_tables
-- Tables of ours whose every row this role is kept from: row-level security holds for it, and no policy is made for it.
select class.relname::text as name
from pg_class as class
where class.relnamespace = 'public'::regnamespace
  and class.relkind in ('r', 'p')
  and class.relname ~ '^ops_'
  and row_security_active(class.oid)
  and not exists (
    select
    from pg_policy as policy
    where policy.polrelid = class.oid
      and exists (
        select
        from unnest(policy.polroles) as entry (role)
        where entry.role = 0
          or pg_has_role(entry.role, 'member')
      )
  )
order by name;

-- name: missing_functions
-- Functions of ours this role may not call; those of triggers are called by nobody.
select function.oid::regprocedure::text as name
from pg_proc as function
where function.pronamespace = 'public'::regnamespace
  and function.proname ~ '^ops_'
  and function.prorettype <> 'trigger'::regtype
  and not has_function_privilege(function.oid, 'execute')
order by name;

-- name: public_objects
-- What of ours is granted to everybody: tables, views and functions.
select class.relname::text as name
from pg_class as class
where class.relnamespace = 'public'::regnamespace
  and class.relkind in ('r', 'p', 'v')
  and class.relname ~ '^(ops_|v_)'
  and exists (select from aclexplode(class.relacl) as entry where entry.grantee = 0)
union all
select function.oid::regprocedure::text
from pg_proc as function
where function.pronamespace = 'public'::regnamespace
  and function.proname ~ '^ops_'
  and (
    function.proacl is null
    or exists (select from aclexplode(function.proacl) as entry where entry.grantee = 0)
  )
order by name;

-- name: appliers
-- Subscriptions that write tables of ours: what they apply fires no ordinary trigger.
select
  subscription.subname::text as subscription,
  pg_get_userbyid(subscription.subowner)::text as owner,
  array_agg(class.relname::text order by class.relname) as tables
from pg_subscription_rel as target
join pg_subscription as subscription on subscription.oid = target.srsubid
join pg_class as class on class.oid = target.srrelid
where class.relnamespace = 'public'::regnamespace
  and class.relname ~ '^ops_'
group by subscription.oid, subscription.subname, subscription.subowner
order by subscription;

-- name: room
-- How large the database is, its largest table, and the server's oldest transaction not yet frozen, with its database.
select
  pg_database_size(current_database()) as database_bytes,
  largest.name,
  largest.bytes,
  oldest.name,
  oldest.age
from (
  select base.datname::text as name, age(base.datfrozenxid) as age
  from pg_database as base
  order by age desc, name
  limit 1
) as oldest
cross join (
  select class.relname::text as name, pg_total_relation_size(class.oid) as bytes
  from pg_class as class
  where class.relnamespace = 'public'::regnamespace
    and class.relkind in ('r', 'p')
    and class.relname ~ '^ops_'
  order by bytes desc, name
  limit 1
) as largest;

-- name: fill_there
-- Temporary tables of this transaction lie where the database does.
select set_config('temp_tablespaces', '', true);

-- name: fill
-- A megabyte in a temporary table, which no compression makes smaller.
create temporary table ops_doctor_fill on commit drop as
select repeat(md5(number::text), 60) as text
from generate_series(1, 600) as number;

-- name: old_transactions
-- The sessions with a transaction open for over 10 s, the oldest first: they hold back vacuum and events.
select
  activity.pid,
  coalesce(activity.application_name, '') as application,
  coalesce(activity.usename, '')::text as "user",
  activity.xact_start as since,
  extract(epoch from clock_timestamp() - activity.xact_start)::double precision as open_s
from pg_stat_activity as activity
where activity.xact_start < clock_timestamp() - %(older_than_s)s * interval '1 second'
  and activity.pid <> pg_backend_pid()
  and activity.backend_type = 'client backend'
order by activity.xact_start;

-- name: unseen_sessions
-- How many sessions of others this role may not look into.
select count(*)
from pg_stat_activity as activity
where activity.query = '<insufficient privilege>'
  and activity.datname = current_database();

-- name: prepared
-- Transactions prepared for over 10 s, the oldest first.
select
  prepared.gid,
  prepared.owner::text,
  prepared.database::text,
  prepared.prepared as since,
  extract(epoch from clock_timestamp() - prepared.prepared)::double precision as open_s
from pg_prepared_xacts as prepared
where prepared.prepared < clock_timestamp() - %(older_than_s)s * interval '1 second'
order by prepared.prepared;

-- name: slots
-- Replication slots that hold back vacuum, or keep the log for nobody; and standbys whose queries hold back vacuum.
select
  true as slot,
  slot.slot_name::text as name,
  coalesce(slot.active_pid, 0) as pid,
  coalesce(reader.application_name, '') as application,
  coalesce(reader.usename, '')::text as "user",
  greatest(age(slot.xmin), age(slot.catalog_xmin)) as age,
  (case when slot.active_pid is null then pg_current_wal_lsn() - slot.restart_lsn end)::bigint as kept_bytes
from pg_replication_slots as slot
left join pg_stat_activity as reader on reader.pid = slot.active_pid
where slot.active_pid is null
  or greatest(age(slot.xmin), age(slot.catalog_xmin)) > %(older_than)s
union all
select
  false,
  coalesce(nullif(standby.application_name, ''), host(standby.client_addr), 'unnamed'),
  standby.pid,
  coalesce(standby.application_name, ''),
  coalesce(standby.usename, '')::text,
  age(standby.backend_xmin),
  null
from pg_stat_replication as standby
where age(standby.backend_xmin) > %(older_than)s
order by age desc nulls last, name;

-- name: late_workers
-- Reactors that should be there and have not beaten for 15 s.
select
  worker.pid,
  worker.hostname,
  worker.heartbeat_at,
  extract(epoch from ops_now() - worker.heartbeat_at)::double precision as silent_s
from ops_workers as worker
where worker.state in ('starting', 'ready', 'stopping')
  and worker.heartbeat_at < ops_now() - interval '15 seconds'
order by worker.heartbeat_at;

-- name: lockless_workers
-- Reactors that beat but can hold no lock: they work on sweeps alone.
select
  worker.pid,
  worker.hostname,
  worker.heartbeat_at,
  extract(epoch from ops_now() - worker.heartbeat_at)::double precision as silent_s
from ops_workers as worker
where worker.state in ('starting', 'ready', 'stopping')
  and worker.heartbeat_at >= ops_now() - interval '15 seconds'
  and worker.liveness_key = 0
order by worker.heartbeat_at;

-- name: orphans
-- How many rows run under a process that has ended, is dead, or was never there.
with held as (
  select step.claimed_by
  from ops_mission_steps as step
  where step.status = 'running'
  union all
  select talk.claimed_by
  from ops_roundtable_queue as talk
  where talk.status = 'running'
  union all
  select idea.claimed_by
  from ops_initiative_queue as idea
  where idea.status = 'running'
)
select count(*)
from held
where not exists (
  select
  from ops_workers as worker
  where worker.id = held.claimed_by
    and worker.state in ('starting', 'ready', 'stopping')
);

-- name: bell_keepers
-- Sessions that keep a queue's bell by a transaction, open for longer than %(older_than_s)s, that inserted in silence.
select
  activity.pid,
  coalesce(activity.application_name, '') as application,
  coalesce(activity.usename, '')::text as "user",
  activity.xact_start as since,
  extract(epoch from clock_timestamp() - activity.xact_start)::double precision as open_s,
  held.objid::integer as queue_number
from pg_locks as held
join pg_stat_activity as activity on activity.pid = held.pid
where held.locktype = 'advisory'
  and held.classid = 1987014777
  and held.objsubid = 2
  and held.mode = 'ShareLock'
  and held.granted
  and held.database = (select oid from pg_database where datname = current_database())
  and activity.xact_start < clock_timestamp() - %(older_than_s)s * interval '1 second'
order by activity.xact_start;
