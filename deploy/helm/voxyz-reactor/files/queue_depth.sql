select coalesce(sum(queue.rows), 0)::bigint
from (
  select count(*) from ops_mission_steps
  where (status = 'running' or status = 'queued' and run_at <= now())
    and not exists (select from ops_pauses where ops_pauses.queue = 'mission')
  union all
  select 5 * count(*) from ops_roundtable_queue
  where (status = 'running' or status = 'queued' and run_at <= now())
    and not exists (select from ops_pauses where ops_pauses.queue = 'roundtable')
  union all
  select 12 * count(*) from ops_initiative_queue
  where (status = 'running' or status = 'queued' and run_at <= now())
    and not exists (select from ops_pauses where ops_pauses.queue = 'initiative')
) as queue (rows)
