-- name: last
-- Up to %(limit)s events before the place (xact, id) and behind the other, the newest first, of that kind, agent and matter
-- (null: any).
select
  event.id,
  event.xact::text as xact,
  event.xact < pg_snapshot_xmin(pg_current_snapshot()) as final,
  event.created_at,
  event.kind,
  event.agent_id,
  event.title,
  event.summary,
  event.tags,
  event.metadata,
  event.root_id,
  event.depth
from ops_agent_events as event
where (%(xact)s::text is null or (event.xact, event.id) < (%(xact)s::xid8, %(id)s::bigint))
  and (%(since_xact)s::text is null or (event.xact, event.id) > (%(since_xact)s::xid8, %(since_id)s::bigint))
  and (%(kind)s::text is null or event.kind = %(kind)s)
  and (%(agent)s::text is null or event.agent_id = %(agent)s)
  and (%(key)s::text is null or event.metadata ->> %(key)s = %(about)s::text)
order by event.xact desc, event.id desc
limit %(limit)s;

-- name: one
-- One event.
select
  event.id,
  event.xact::text as xact,
  event.xact < pg_snapshot_xmin(pg_current_snapshot()) as final,
  event.created_at,
  event.kind,
  event.agent_id,
  event.title,
  event.summary,
  event.tags,
  event.metadata,
  event.root_id,
  event.depth
from ops_agent_events as event
where event.id = %(id)s;

-- name: after
-- Up to %(limit)s events behind the place (xact, id), in order; those not final may get company before them.
select
  event.id,
  event.xact::text as xact,
  event.xact < pg_snapshot_xmin(pg_current_snapshot()) as final,
  event.created_at,
  event.kind,
  event.agent_id,
  event.title,
  event.summary,
  event.tags,
  event.metadata,
  event.root_id,
  event.depth
from ops_agent_events as event
where (event.xact, event.id) > (%(xact)s::xid8, %(id)s)
  and (%(kind)s::text is null or event.kind = %(kind)s)
order by event.xact, event.id
limit %(limit)s;

-- name: counted
-- How many events of each kind lie behind the place (xact, id) and before the other, the most frequent kind first.
select
  event.kind,
  count(*) as events
from ops_agent_events as event
where (event.xact, event.id) > (%(xact)s::xid8, %(id)s)
  and (event.xact, event.id) < (%(before_xact)s::xid8, %(before_id)s)
group by event.kind
order by events desc, event.kind;

-- name: horizon
-- The transaction below which no event can appear any more; a write transaction left open holds it back.
select pg_snapshot_xmin(pg_current_snapshot())::text;
