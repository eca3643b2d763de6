-- The doorbell, seen from a reactor (the writers' side is in wake.sql).

create or replace function ops_await_bell(queue integer)
returns boolean
language plpgsql
set search_path = public, pg_temp
set lock_timeout = '800ms'
as $$
begin
  -- The bound stays under deadlock_timeout (1 s): a longer wait would be logged, and hold a snapshot.
  perform pg_advisory_lock(1987014777, queue);
  return true;
exception
  when lock_not_available then
    return false;
end
$$;

comment on function ops_await_bell(integer) is
  'True when the session holds the bell of the queue; false when silent writers kept it for 0.8 s.';
