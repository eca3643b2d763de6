-- How often the busy tables are cleaned. A row of a queue leaves two dead versions behind, and by the server's own figure a
-- table of a million finished rows may collect 200,000 of them first. `python -m bench tables` measures what it brings, and
-- what emptier pages or completions in place would (less than they cost).

alter table ops_mission_steps set (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05
);

alter table ops_roundtable_queue set (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 200
);

alter table ops_initiative_queue set (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 200
);

-- One row a process, touched every five seconds for as long as it lives: room to do that in place.
alter table ops_workers set (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 200
);
