-- name: paused
-- The queues that take no row now.
select pause.queue
from ops_pauses as pause
order by pause.queue;
