-- Who of the fleet is dead.

create or replace function ops_worker_is_dead(liveness_key integer, heartbeat_at timestamptz)
returns boolean
language sql
volatile
set search_path = public, pg_temp
as $$
  select case
    when clock_timestamp() < pg_postmaster_start_time() + interval '10 seconds'
      and heartbeat_at < pg_postmaster_start_time() then false
    when liveness_key = 0 then heartbeat_at < ops_now() - interval '30 seconds'
    when heartbeat_at < ops_now() - interval '60 seconds' then true
    else pg_try_advisory_xact_lock(1987014778, liveness_key)
  end;
$$;

comment on function ops_worker_is_dead(integer, timestamptz) is
  'True when nobody holds the liveness lock, which is then held by this transaction, or when the heartbeat is a minute old: a frozen process'
  ' keeps its lock. Key 0 holds no lock: half a minute. Ten seconds after a start of the server nobody from before it is dead.';
