-- name: server
-- Version, and the settings that silence triggers or hold events back.
select
  current_setting('server_version') as version,
  current_setting('server_version_num')::integer as version_number,
  current_setting('session_replication_role') as replication_role,
  pg_is_in_recovery() as read_only;

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
-- Tables of ours this role cannot read and write; the key of the webhooks is only read.
select class.relname::text as name
from pg_class as class
where class.relnamespace = 'public'::regnamespace
  and class.relkind in ('r', 'p')
  and class.relname ~ '^ops_'
  and class.relname <> 'ops_migrations'
  and not (
    has_table_privilege(class.oid, 'select')
    and (
      class.relname = 'ops_webhook_key'
      or has_table_privilege(class.oid, 'insert')
      and has_table_privilege(class.oid, 'update')
      and has_table_privilege(class.oid, 'delete')
    )
  )
order by name;

-- name: oldest_transaction
-- The session whose transaction has been open for longest, if that is over 10 s: it holds back vacuum and events.
select
  activity.pid,
  coalesce(activity.application_name, '') as application,
  extract(epoch from clock_timestamp() - activity.xact_start)::double precision as open_s
from pg_stat_activity as activity
where activity.xact_start < clock_timestamp() - interval '10 seconds'
  and activity.pid <> pg_backend_pid()
  and activity.backend_type = 'client backend'
order by activity.xact_start
limit 1;

-- name: bell_keepers
-- Sessions that keep a queue's bell by a transaction, open for longer than %(older_than_s)s, that inserted in silence.
select
  activity.pid,
  coalesce(activity.application_name, '') as application,
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
