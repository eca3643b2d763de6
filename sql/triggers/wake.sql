-- Rings. An insert rings once a statement, also for a row due later: its time must become known.
-- An update rings by the row, and only for one that is claimable now: a statement-level trigger would fire
-- for every claim and completion, and two idle reactors would wake each other for ever.
-- `set local ops.ring = 'off'` keeps a transaction silent; its rows wait for the sweeps. Two-phase writers need it:
-- after a NOTIFY, PREPARE TRANSACTION is refused.

create or replace trigger ops_mission_steps_ring_on_insert
  after insert on ops_mission_steps
  for each statement
  when (
    current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 1)
  )
  execute function ops_ring();

create or replace trigger ops_mission_steps_ring_on_update
  after update of status, priority, run_at on ops_mission_steps
  for each row
  when (
    new.status = 'queued'
    and current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 1)
  )
  execute function ops_ring();

create or replace trigger ops_roundtable_queue_ring_on_insert
  after insert on ops_roundtable_queue
  for each statement
  when (
    current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 2)
  )
  execute function ops_ring();

create or replace trigger ops_roundtable_queue_ring_on_update
  after update of status, priority, run_at on ops_roundtable_queue
  for each row
  when (
    new.status = 'queued'
    and current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 2)
  )
  execute function ops_ring();

create or replace trigger ops_initiative_queue_ring_on_insert
  after insert on ops_initiative_queue
  for each statement
  when (
    current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 3)
  )
  execute function ops_ring();

create or replace trigger ops_initiative_queue_ring_on_update
  after update of status, priority, run_at on ops_initiative_queue
  for each row
  when (
    new.status = 'queued'
    and current_setting('ops.ring', true) is distinct from 'off'
    and not pg_try_advisory_xact_lock_shared(1987014777, 3)
  )
  execute function ops_ring();
