-- name: terms
-- The least generation of the program that may work here, why, and the queues whose running rows are limited over all reactors.
select
  generation.minimum,
  generation.reason,
  array(
    select entry.key
    from ops_policy as policy
    cross join lateral jsonb_each(
      case jsonb_typeof(policy.value) when 'object' then policy.value else '{}' end
    ) as entry (key, value)
    where policy.key = 'queue_limits'
      and jsonb_typeof(entry.value) = 'number'
    order by entry.key
  ) as limited
from ops_generation as generation;

-- name: slots_free
-- How many more rows of the queue may run over all reactors, the queue locked until the transaction ends; null: no limit.
select ops_slots_free(%(queue)s, %(number)s);

-- name: hold_slots
-- The rows count against the queue's limit while they run under the token.
select ops_hold_slots(%(queue)s, %(ids)s::bigint[], %(token)s);
