-- How a reactor does, in its own words, so that every page shows every process.

alter table ops_workers
  add column vitals jsonb not null default '{}',
  add constraint worker_vitals_are_an_object check (jsonb_typeof(vitals) = 'object');

comment on column ops_workers.vitals is
  'As of its last heartbeat: listener, wakes by queue (times, half_s, almost_all_s), missed_wakes by queue, the last slow_claims.';
