-- name: take
-- Take the bell of a queue without waiting: taken, or who has it (a peer that sleeps, or silent writers).
select
  case
    when pg_try_advisory_lock(1987014777, %(number)s) then 'taken'
    when exists (
      select
      from pg_locks as held
      where held.locktype = 'advisory'
        and held.classid = 1987014777
        and held.objid = %(number)s
        and held.objsubid = 2
        and held.mode = 'ExclusiveLock'
        and held.granted
        and held.database = (select oid from pg_database where datname = current_database())
    ) then 'peer'
    else 'writers'
  end;

-- name: wait
-- Wait for silent writers to commit, at most 0.8 s; true when the bell is ours.
select ops_await_bell(%(number)s);

-- name: let_go
-- The bell is free, and every reactor hears that it is: a pass.
select
  pg_advisory_unlock_all(),
  pg_notify('ops_control', 'pass:' || %(queue)s);

-- name: pass_on
-- Every reactor hears that the bell was let go, by somebody whose connection is gone.
select pg_notify('ops_control', 'pass:' || %(queue)s);
