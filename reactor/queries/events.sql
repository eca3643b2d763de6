-- name: recent
-- The last %(limit)s events, newest first, and the horizon below which all is final.
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
where (%(kind)s::text is null or event.kind = %(kind)s)
order by event.xact desc, event.id desc
limit %(limit)s;

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

-- name: newest
-- The last %(limit)s events behind the place (xact, id), the newest first.
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
order by event.xact desc, event.id desc
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

-- name: about
-- The last %(limit)s events about one thing, oldest first.
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
from (
  select latest.*
  from ops_agent_events as latest
  where latest.metadata ->> %(key)s::text = %(id)s::text
  order by latest.xact desc, latest.id desc
  limit %(limit)s
) as event
order by event.xact, event.id;
