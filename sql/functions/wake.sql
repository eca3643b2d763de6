-- The doorbell, seen from the writers.
--
-- Each queue has a bell: the advisory lock (1987014777, queue number). An idle reactor holds it exclusively while it sleeps;
-- a writer tries it shared, and only when that fails somebody waits for the ring. The try stands in the `when` clause of the
-- triggers (sql/triggers/wake.sql), so the silent path never enters PL/pgSQL.

create or replace function ops_ring()
returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform pg_notify('ops_wake', tg_table_name);
  return null;
end
$$;

comment on function ops_ring() is
  'Trigger: rings for the table it stands on. Called only when a reactor may be asleep.';

create or replace function ops_ring_all()
returns void
language sql
volatile
set search_path = public, pg_temp
as $$
  select pg_notify('ops_wake', queue.name)
  from (values ('ops_mission_steps'), ('ops_roundtable_queue'), ('ops_initiative_queue')) as queue (name);
$$;

comment on function ops_ring_all() is
  'Rings all three queues for every reactor: something that held rows back has ended.';
